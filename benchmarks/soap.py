"""What a signed SOAP message costs more than the same by Query, and what the worst documents cost.

Server CPU of one DescribeInstances, over HTTP, of a cloud with 0, 10 and 100 instances: the whole server of
the `ec2` benchmark in a process of its own. The message is signed once by libxmlsec and sent again and again,
since one that reads may be. The bad documents go through parser and verifier in this process.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ec2 import Connection, request, wait_listening
from benchmarks.load import cpu_seconds
from benchmarks.s3_servers import free_port
from euca_box.api.soap import envelopes
from euca_box.api.xml_documents import BadDocument
from euca_box.auth import wsse
from tests import soap

COUNTS = (0, 10, 100)
REQUESTS = 2000
ROUNDS = 5
AIM_MS, AIM_BAD_MS, AIM_BAD_MIB = 1.0, 50, 10
VERSION = "2011-05-15"


@contextlib.contextmanager
def serving(instances: int, certificate: Path) -> Iterator[tuple[int, int]]:
    """Its port and process."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.ec2", "--serve", str(port), str(instances), "1"]
    process = subprocess.Popen([*argv, "--certificate", str(certificate)], stderr=subprocess.DEVNULL)
    try:
        wait_listening(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def envelope(pem: bytes, key: bytes) -> bytes:
    """DescribeInstances, signed, ready to send."""
    body = soap.signed(soap.ec2_request("DescribeInstances", "<instancesSet/>", VERSION), pem, key)
    head = f"content-type: text/xml\r\ncontent-length: {len(body)}\r\n\r\n"
    return f"POST /services/Eucalyptus HTTP/1.1\r\nhost: 127.0.0.1\r\n{head}".encode() + body


async def cost_ms(port: int, pid: int, sent: bytes, expected: int) -> float:
    """Server CPU of one request, in milliseconds."""
    connection = Connection(port)
    for _ in range(50):
        assert (await connection.ask(sent)).count(b"<instanceId>") == expected
    before = cpu_seconds(pid)
    for _ in range(REQUESTS):
        await connection.ask(sent)
    spent = cpu_seconds(pid) - before
    connection.close()
    return 1000 * spent / REQUESTS


def measure_requests(pem: bytes, key: bytes, certificate: Path) -> None:
    print(f"{'server CPU of DescribeInstances':34}{'Query ms':>10}{'SOAP ms':>10}{'more':>8}", end="")
    print(f"   (aim: {AIM_MS:g})")
    for count in COUNTS:
        with serving(count, certificate) as (port, pid):
            query = asyncio.run(
                cost_ms(port, pid, request(port, Action="DescribeInstances", Version=VERSION), count)
            )
            signed = asyncio.run(cost_ms(port, pid, envelope(pem, key), count))
        print(f"{f'{count} instances':34}{query:10.3f}{signed:10.3f}{signed - query:8.3f}", flush=True)


def refuse(document: bytes, known: dict[bytes, wsse.Signer[str]]) -> None:
    with contextlib.suppress(BadDocument, wsse.NotBelieved):
        wsse.verify(envelopes.parse(document), known.get, datetime.now(UTC))


def peak_mib(document: bytes, known: dict[bytes, wsse.Signer[str]]) -> float:
    """What a process of its own grew by, libxml2's tree with it."""

    def grow(told: Any) -> None:
        refuse(b"<a/>", known)
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here: man 5 proc
        before = _peak_kib()
        refuse(document, known)
        told.send((_peak_kib() - before) / 1024)

    found, told = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=grow, args=(told,))
    child.start()
    child.join()
    return float(found.recv())


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def measure_bad_documents(pem: bytes, key: bytes) -> None:
    known = {soap.der_of(pem): wsse.Signer(soap.public_key_of(pem), "somebody")}
    honest = soap.signed(soap.ec2_request("DescribeInstances", "<instancesSet/>"), pem, key)
    costs = []
    for name, document in soap.bad_documents(honest).items():
        spent = []
        for _ in range(ROUNDS):
            before = time.process_time()
            refuse(document, known)
            spent.append(time.process_time() - before)
        costs.append((1000 * max(spent), peak_mib(document, known), name))
    print(f"\n{'worst of ' + str(len(costs)) + ' bad documents':34}{'ms':>10}{'MiB':>10}", end="")
    print(f"   (aim: {AIM_BAD_MS} ms, {AIM_BAD_MIB} MiB)")
    for milliseconds, mib, name in sorted(costs, reverse=True)[:5]:
        print(f"{name:34}{milliseconds:10.1f}{mib:10.2f}")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    pem, key = soap.new_certificate()
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder) / "cert.pem"
        certificate.write_bytes(pem)
        measure_requests(pem, key, certificate)
    measure_bad_documents(pem, key)


if __name__ == "__main__":
    main()
