"""`euca-box image cache`: what the nodes keep of images, and fetching before somebody waits for it."""

from datetime import UTC, datetime
from pathlib import Path

import click

from euca_box.cli import common

COLUMNS = {"node": "Node", "image_id": "Image", "state": "State", "mib": "MiB", "used": "Used (UTC)"}
WAIT_SECONDS = 50.0


@click.command("cache")
@click.argument("image_ids", nargs=-1, metavar="[ID]...")
@common.output_option
@common.data_dir_option
def cache_command(image_ids: tuple[str, ...], output: str, data_dir: Path | None) -> None:
    """Show what the nodes have in their image caches, or have them fetch these images now."""
    wait = WAIT_SECONDS if image_ids else 0.0
    data = common.data_dir_of(data_dir)
    rows = common.ask(data, "CacheImages", image_ids=image_ids, wait_seconds=wait)["images"]
    for row in rows:
        row["mib"] = -(-row["size_bytes"] // (1 << 20)) or ""
        used = row["used_at"]
        row["used"] = f"{datetime.fromtimestamp(used, UTC):%Y-%m-%d %H:%M:%S}" if used else ""
    common.show(rows, output, COLUMNS)
