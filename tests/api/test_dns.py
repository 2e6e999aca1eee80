"""The name service beside a running cloud: names come and go with instances, and lead to buckets."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.api.cloud_box import CloudBox, running_cloud

DOMAIN = "cloud.example"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    settings = {"domain": DOMAIN, "listen": ["127.0.0.1"], "port": 0, "service_address": "198.51.100.1"}
    with running_cloud(tmp_path_factory.mktemp("dns"), dns=settings) as box:
        yield box


def port_of(cloud: CloudBox) -> int:
    [(datagrams, _)] = cloud.app.name_sockets
    return int(datagrams.getsockname()[1])


def ask(cloud: CloudBox, name: str, *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, "A")
    if tcp:
        return dns.query.tcp(query, "127.0.0.1", timeout=5, port=port_of(cloud))
    for _ in range(5):  # as every client does: a datagram may be lost
        with contextlib.suppress(dns.exception.Timeout):
            return dns.query.udp(query, "127.0.0.1", timeout=2, port=port_of(cloud))
    raise AssertionError("no answer")


def address_at(cloud: CloudBox, name: str, *, tcp: bool = False) -> str | None:
    reply = ask(cloud, name, tcp=tcp)
    return reply.answer[0][0].to_text() if reply.answer else None


def test_an_instance_has_names_while_it_is_there(cloud: CloudBox) -> None:
    ec2 = cloud.client("ec2")
    _, _, image_id = cloud.register_images()
    [instance_id] = cloud.run_instances(image_id)
    instance = cloud.until_state(instance_id, "running")
    private, public = instance["PrivateDnsName"], instance["PublicDnsName"]
    assert private.startswith("euca-127-77-") and private.endswith(".eucalyptus.internal")
    assert public.endswith(f".eucalyptus.{DOMAIN}")
    assert ec2.describe_instances(Filters=[{"Name": "dns-name", "Values": [public]}])["Reservations"]
    assert ec2.describe_instances(Filters=[{"Name": "private-dns-name", "Values": [private]}])["Reservations"]

    cloud.until(lambda: address_at(cloud, private) == instance["PrivateIpAddress"])
    assert address_at(cloud, public, tcp=True) == instance["PublicIpAddress"]

    cloud.terminate([instance_id])
    cloud.until(lambda: ask(cloud, private).rcode() == dns.rcode.NXDOMAIN)
    assert address_at(cloud, public) is None


def test_a_bucket_is_a_name_that_s3_understands(cloud: CloudBox) -> None:
    cloud.client("s3").create_bucket(Bucket="named")

    assert address_at(cloud, f"named.walrus.{DOMAIN}") == "198.51.100.1"
    with socket.create_connection(("127.0.0.1", cloud.app.api_port), timeout=5) as http:
        http.sendall(f"GET / HTTP/1.1\r\nHost: named.walrus.{DOMAIN}\r\nConnection: close\r\n\r\n".encode())
        assert b"AccessDenied" in http.makefile("rb").read()


def test_strangers_on_tcp_hold_nobody_up(cloud: CloudBox) -> None:
    """Half questions, broken ones, and more connections than are served."""
    idle = [socket.create_connection(("127.0.0.1", port_of(cloud)), timeout=5) for _ in range(100)]
    try:
        idle[0].sendall(struct.pack("!H", 40) + b"half")
        idle[1].sendall(struct.pack("!H", 3) + b"bad")
        assert address_at(cloud, f"walrus.{DOMAIN}") == "198.51.100.1"
        assert idle[1].recv(1) == b""
    finally:
        for sock in idle:
            sock.close()


def test_a_flood_of_rubbish_is_no_reason_to_stop(cloud: CloudBox) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(500):
            sock.sendto(bytes([number % 256]) * (number % 300), ("127.0.0.1", port_of(cloud)))
    assert address_at(cloud, f"walrus.{DOMAIN}") == "198.51.100.1"
    assert threading.active_count() < 100
