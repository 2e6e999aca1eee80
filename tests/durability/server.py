"""S3 alone on a folder, as a process that can be killed: `python -m tests.durability.server FOLDER PORT`."""

import asyncio
import sys
from pathlib import Path

from euca_box.api.s3.app import s3_app
from euca_box.api.server import bind, run_server
from euca_box.auth.keyring import Keyring
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.store.sqlite_store import open_store
from tests.api.s3_box import KEYS, MIGRATIONS


async def main(folder: Path, port: int) -> None:
    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder, ballast_bytes=0)
    keyring = Keyring()
    keyring.replace(1, KEYS)
    await run_server(s3_app(objects, keyring), bind("127.0.0.1", port, None, "port"), asyncio.Event().wait)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
