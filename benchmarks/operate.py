"""What an operator waits for: commands, and a cloud with 1,000 instances and 100,000 objects after kill -9.

Also what the log costs: small objects a second with lines at INFO, and with none.
"""

import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

from euca_box.cli import common
from euca_box.client import Client
from euca_box.datadir import DataDir
from euca_box.messages import base
from euca_box.model.instances import Instance, InstanceState

INSTANCES, OBJECTS, RUNS = 1000, 100_000, 7
PUTS = 1500
ENVIRONMENT = {
    "EUCA_BOX__API__LISTEN": '["127.0.0.1"]',
    "EUCA_BOX__API__PORT": "0",
    "EUCA_BOX__API__CONSOLE_PORT": "0",
    "EUCA_BOX__BUS__PORT": "0",
    "EUCA_BOX__BUS__LISTEN": '["127.0.0.1"]',
}


@contextmanager
def started(folder: Path, **more: str):
    command = [sys.executable, "-m", "euca_box", "run", "--roles", "clc,walrus", "--data-dir", str(folder)]
    with (folder.parent / "out").open("w") as out:
        process = subprocess.Popen(command, env=os.environ | ENVIRONMENT | more, stdout=out, stderr=out)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait()


def until_ready(data: DataDir, answered) -> float:
    """Seconds until `answered(client)` does not fail."""
    begun = time.perf_counter()
    while not common.answers(data):
        time.sleep(0.01)
    while common.ask(data, "status")["waiting"]:
        time.sleep(0.01)
    answered(common.client_of(data))
    return time.perf_counter() - begun


def fill(folder: Path) -> None:
    """Rows as the roles write them: instances that are stopped, and small objects like the first one."""
    with closing(sqlite3.connect(folder / "clc" / "clc.db")) as db, db:
        account = db.execute("SELECT account FROM account LIMIT 1").fetchone()[0]
        for number in range(INSTANCES):
            record = Instance(
                instance_id=f"i-{number:08x}", reservation_id=f"r-{number:08x}", account=account,
                image_id="emi-00000001", instance_type="m1.small", zone="us-east-1a",
                state=InstanceState.STOPPED, launch_time=time.time(), launch_index=0,
                deadline=0.0, group_ids=(),
            )  # fmt: skip
            db.execute(
                "INSERT INTO instance (id, account, version, record) VALUES (?, ?, 1, ?)",
                (record.instance_id, account, base.encode(record)),
            )
    with closing(sqlite3.connect(folder / "walrus" / "walrus.db")) as db, db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(object)")]
        first = list(db.execute("SELECT * FROM object LIMIT 1").fetchone())
        key, generation = (
            columns.index("key"),
            columns.index("generation") if "generation" in columns else None,
        )
        marks = ", ".join("?" * len(columns))
        for number in range(OBJECTS):
            row = first[:]
            row[key] = f"k{number:06d}"
            if generation is not None:
                row[generation] = first[generation] + 1 + number
            db.execute(f"INSERT OR IGNORE INTO object VALUES ({marks})", row)


def commands() -> None:
    for words in (["--help"], ["status"], ["version"]):
        times = []
        for _ in range(RUNS):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-m", "euca_box", *words], capture_output=True, check=False)
            times.append(time.perf_counter() - begun)
        words_ = " ".join(words)
        print(f"{'euca-box ' + words_:40}{1000 * statistics.median(times):8.0f} ms   (aim: 150)")


def puts(client: Client) -> float:
    begun = time.perf_counter()
    for number in range(PUTS):
        client.s3("PUT", f"/bench/p{number}", {}, b"x" * 1000)
    return PUTS / (time.perf_counter() - begun)


def main() -> None:
    commands()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as parent:
        folder = Path(parent) / "d"
        folder.mkdir()
        data = DataDir(folder)
        with started(folder):
            until_ready(data, lambda c: c.make_bucket("bench"))
            common.client_of(data).s3("PUT", "/bench/first", {}, b"x" * 1000)
            begun = time.perf_counter()
            common.ask(data, "status")
            print(f"{'status over the admin socket':40}{1000 * (time.perf_counter() - begun):8.1f} ms")
        rates: dict[str, list[float]] = {"INFO": [], "ERROR": []}
        for _ in range(3):
            for level in rates:
                with started(folder, EUCA_BOX__LOG__LEVEL=level):
                    until_ready(data, lambda c: c.ec2("DescribeRegions"))
                    rates[level].append(puts(common.client_of(data)))
        info, error = (statistics.median(rates[level]) for level in ("INFO", "ERROR"))
        cost = 100 * (error - info) / error
        print(f"{'PUT 1 kB, log at INFO':40}{info:8.0f} /s   ({cost:+.1f} % beside ERROR; aim: 5)")
        fill(folder)
        with started(folder) as process:
            until_ready(data, lambda c: c.ec2("DescribeInstances"))
            process.kill()
            process.wait()
        times = []
        for _ in range(3):
            with started(folder) as process:
                times.append(
                    until_ready(data, lambda c: (c.ec2("DescribeInstances"), c.get("bench", "first")))
                )
                process.kill()
                process.wait()
        words_ = f"ready after kill -9, {INSTANCES} instances, {OBJECTS} objects"
        print(f"{words_:40}{statistics.median(times):8.2f} s   (aim: 3)")


if __name__ == "__main__":
    main()
