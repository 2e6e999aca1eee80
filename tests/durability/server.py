"""S3 alone on a folder, a process that can be killed: `python -m tests.durability.server FOLDER PORT`.

A third argument is the URL of the notification target `hook`.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from euca_box.api.s3.access_log import AccessLog
from euca_box.api.s3.app import s3_app
from euca_box.api.s3.notifier import Notifier
from euca_box.api.server import bind, run_server
from euca_box.auth.keyring import Keyring
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.store.sqlite_store import open_store
from tests.api.s3_box import KEYS, MIGRATIONS


async def main(folder: Path, port: int, targets: dict[str, str]) -> None:
    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder, ballast_bytes=0)
    keyring = Keyring()
    keyring.replace(1, KEYS)
    access_log = AccessLog(objects, folder / "access-logs", "us-east-1", lambda: datetime.now(UTC))
    notifier = Notifier(targets, "us-east-1", first_pause=0.05)
    app = s3_app(objects, keyring, None, access_log, notifier)
    async with asyncio.TaskGroup() as group:
        group.create_task(notifier.run(objects))
        await run_server(app, bind("127.0.0.1", port, None, "port"), asyncio.Event().wait)


if __name__ == "__main__":
    hooks = {"hook": sys.argv[3]} if len(sys.argv) > 3 else {}
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), hooks))
