"""How long the console takes for each page of a large account, and what open browsers cost.

    python -m benchmarks console

1,000 instances, 1,000 volumes, 10,000 events and 100,000 objects of one account; every page twenty times,
over TLS, a connection each. Fakes for hypervisor and network, as in tests/api.
"""

import asyncio
import resource
import ssl
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from euca_box.model.volumes import Volume, VolumeState
from euca_box.store.store import insert
from tests.api.browser import Browser, person
from tests.api.cloud_box import CloudBox, running_cloud

ROUNDS, BROWSERS, IDLE_SECONDS = 20, 100, 20.0
PAGES = (
    "/", "/instances", "/instances/{instance}", "/launch", "/images", "/volumes", "/network", "/buckets",
    "/buckets/many/", "/users", "/credentials", "/events", "/events?action=terminate",
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running_cloud(Path(folder)) as box:
        instance = fill(box)
        browser = person(box)
        print(f"{'page':32} {'median ms':>10} {'slowest':>8} {'KiB':>7}")
        for page in PAGES:
            times, size = [], 0
            for _ in range(ROUNDS):
                began = time.perf_counter()
                answer = browser.get(page.format(instance=instance))
                times.append((time.perf_counter() - began) * 1000)
                assert answer.status == 200, (page, answer.status)
                size = len(answer.text)
            print(f"{page:32} {statistics.median(times):10.1f} {max(times):8.1f} {size / 1024:7.1f}")
        print(f"{BROWSERS} open browsers, nothing happens: {idle(box, browser):.1f} % of a core")


def fill(box: CloudBox) -> str:
    """The id of one of the instances."""
    _, _, image = box.register_images()
    [instance] = box.run_instances(image)
    box.until_state(instance, "running")
    account, clc = box.account(), box.app.clc
    [one] = [r for r in clc.instances.of(account) if r.instance_id == instance]

    async def rows() -> None:
        for start in range(0, 1000, 100):
            numbers = range(start, start + 100)
            await clc.instances.add(
                [
                    replace(
                        one,
                        instance_id=f"i-{0xA0000000 + n:08x}",
                        reservation_id=f"r-{0xA0000000 + n:08x}",
                        placed=False,
                        state=type(one.state).STOPPED,
                        tags=(("Name", f"machine {n}"),),
                    )
                    for n in numbers
                ]
            )
            await clc.volumes.add(
                [
                    Volume(
                        volume_id=f"vol-{0xA0000000 + n:08x}",
                        account=account,
                        zone=one.zone,
                        size_gib=1,
                        state=VolumeState.AVAILABLE,
                        created_at=clc.now(),
                        deadline=clc.now() + 1e9,
                    )
                    for n in numbers
                ]
            )
        for start in range(0, 10_000, 500):
            await clc.store.write(*(_event(account, n, clc.now()) for n in range(start, start + 500)))

    box.await_in_trio(rows)
    box.client("s3").create_bucket(Bucket="many")
    owner = box.rows("walrus", "SELECT * FROM object LIMIT 1")
    copy_objects(box, 100_000, bool(owner))
    return instance


def _event(account: str, number: int, now: float) -> object:
    return insert(
        "event",
        {
            "id": f"{int(now * 1000) - 10**7 + number:014}{number:06}",
            "at": now,
            "account": account,
            "who": f"arn:aws:iam::{account}:user/alice",
            "action": "ec2:DescribeInstances" if number % 3 else "ec2:TerminateInstances",
            "parameters": "{}",
            "source_ip": "127.0.0.1",
            "user_agent": "aws-cli",
            "access_key_id": "",
            "request_id": f"{number:036}",
            "error_code": "",
            "error_message": "",
        },
    )


def copy_objects(box: CloudBox, count: int, _: bool) -> None:
    """One object by S3, the others as rows like it."""
    import sqlite3

    box.client("s3").put_object(Bucket="many", Key="object", Body=b"x")
    with sqlite3.connect(box.data_dir / "walrus" / "walrus.db", timeout=30) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(object)")]
        chosen = ", ".join("printf('%06d', n)" if c == "key" else c for c in columns)
        db.execute(
            "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?) "
            f"INSERT INTO object SELECT {chosen} FROM object, counted WHERE key = 'object'",
            (count,),
        )


def idle(box: CloudBox, browser: Browser) -> float:
    """CPU of the whole process while that many browsers listen, in percent of a core."""

    async def listen(context: ssl.SSLContext, port: int, opened: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        cookie = "; ".join(f"{n}={v}" for n, v in browser.cookies.items())
        writer.write(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        await reader.readuntil(b"data:")
        opened.set()
        while await reader.read(1000):
            pass

    async def measured() -> float:
        context = ssl.create_default_context(cafile=str(box.data_dir / "ca.pem"))
        port = box.app.consoles[0].port
        events = [asyncio.Event() for _ in range(BROWSERS)]
        tasks = [asyncio.create_task(listen(context, port, event)) for event in events]
        for event in events:
            await event.wait()
        await asyncio.sleep(2)
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() - began
        for task in tasks:
            task.cancel()
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return used / seconds * 100

    return asyncio.run(measured())


if __name__ == "__main__":
    main()
