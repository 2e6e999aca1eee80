"""The metadata service, as guests and cloud-init use it."""

import base64
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from euca_box.api.metadata.app import metadata_app
from euca_box.api.metadata.identity import IdentitySigner
from euca_box.auth import certificates
from euca_box.model.metadata import InstanceMetadata

pytestmark = pytest.mark.anyio

TOKEN, TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
MINE = InstanceMetadata(
    instance_id="i-4e9f08a1",
    image_id="emi-12345678",
    reservation_id="r-11112222",
    instance_type="m1.small",
    private_ip="172.31.1.1",
    mac="d0:0d:4e:9f:08:a1",
    hostname="ip-172-31-1-1.ec2.internal",
    account_id="000000000001",
    zone="us-east-1a",
    region="us-east-1",
    launch_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    kernel_id="eki-12345678",
    public_ip="172.30.0.10",
    public_hostname="ec2-172-30-0-10.compute-1.amazonaws.com",
    key_name="my key=1",
    public_key="ssh-ed25519 AAAA me\n",
    user_data=b"\x1f\x8b\x00raw\n",
    group_names=("default", "web"),
    group_ids=("sg-000000aa", "sg-000000bb"),
    block_devices={"ami": "sda1", "root": "/dev/sda1"},
    vpc_id="vpc-12345678",
    subnet_id="subnet-12345678",
    vpc_cidr="172.31.0.0/16",
    subnet_cidr="172.31.0.0/20",
    tags={"Name": "web 1", "a/b": "not a path name", "..": "neither"},
)
OTHER = replace(
    MINE, instance_id="i-0ddba110", private_ip="172.31.1.2", mac="d0:0d:0d:db:a1:10", user_data=b""
)


class Service:
    """The application, asked from chosen addresses at a chosen time."""

    def __init__(self, signer: IdentitySigner) -> None:
        self.now = 1_000_000.0
        self.instances = {MINE.private_ip: MINE, OTHER.private_ip: OTHER}
        self.app = metadata_app(self._describe, clock=lambda: self.now, signer=signer)

    async def _describe(self, source_ip: str) -> InstanceMetadata | None:
        return self.instances.get(source_ip)

    async def ask(
        self, path: str, method: str = "GET", source: str = MINE.private_ip, data: bytes = b"", **headers: str
    ) -> Any:
        client = self.app.test_client()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.open(
            path, method=method, headers=names, data=data or None, scope_base={"client": (source, 40000)}
        )

    async def body(self, path: str, **options: Any) -> bytes:
        response = await self.ask(path, **options)
        assert response.status_code == 200, path
        return bytes(await response.get_data())

    async def token(self, seconds: int = 60, source: str = MINE.private_ip) -> str:
        return (
            await self.body("/latest/api/token", method="PUT", source=source, **{TTL: str(seconds)})
        ).decode()


async def crawl(service: Service, base: str, **options: Any) -> dict[str, Any]:
    """As cloud-init does (MetadataMaterializer): every leaf that a directory lists is fetched."""
    found: dict[str, Any] = {}
    for line in (await service.body(base, **options)).decode().splitlines():
        if line.endswith("/"):
            found[line[:-1]] = await crawl(service, base + line, **options)
        elif "=" in line and base.endswith("public-keys/"):
            number, _, name = line.partition("=")
            found[name] = (await service.body(f"{base}{number}/openssh-key", **options)).decode()
        else:
            found[line] = (await service.body(base + line, **options)).decode(errors="replace")
    return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    certificates.make_ca(folder / "ca.pem", folder / "ca.key")
    certificates.issue_identity(
        folder / "ca.pem", folder / "ca.key", folder / "identity.pem", folder / "identity.key"
    )
    return folder


@pytest.fixture
def service(authority: Path) -> Service:
    return Service(IdentitySigner(authority / "identity.pem", authority / "identity.key"))


@pytest.mark.parametrize("version", ["1.0", "2009-04-04", "2016-09-02", "2021-03-23", "latest"])
async def test_a_crawl_fetches_every_listed_leaf(service: Service, version: str) -> None:
    found = await crawl(service, f"/{version}/meta-data/")

    assert found["ami-id"] == "emi-12345678"
    assert found["public-keys"] == {"my key=1": "ssh-ed25519 AAAA me"}
    assert found["security-groups"] == "default\nweb"
    assert found["block-device-mapping"] == {"ami": "sda1", "root": "/dev/sda1"}
    assert found["placement"] == {"availability-zone": "us-east-1a", "region": "us-east-1"}
    [nic] = found["network"]["interfaces"]["macs"].values()
    assert (nic["vpc-id"], nic["ipv4-associations"]) == ("vpc-12345678", {"172.30.0.10": "172.31.1.1"})
    assert "ramdisk-id" not in found and "tags" not in found


async def test_a_crawl_with_a_token_finds_the_same(service: Service) -> None:
    without_token = await crawl(service, "/latest/")
    service.instances[MINE.private_ip] = replace(MINE, http_tokens="required")

    assert await crawl(service, "/latest/", **{TOKEN: await service.token()}) == without_token


async def test_the_root_lists_versions_and_a_version_lists_its_parts(service: Service) -> None:
    assert (await service.body("/")).decode().split("\n")[0] == "1.0"
    assert (await service.body("/")).endswith(b"latest")
    assert await service.body("/latest") == b"dynamic/\nmeta-data/\nuser-data"
    assert await service.body("/latest/", source=OTHER.private_ip) == b"dynamic/\nmeta-data/"


@pytest.mark.parametrize(
    "directory", ["meta-data", "meta-data/placement", "meta-data/public-keys/0", "dynamic"]
)
async def test_directories_answer_with_and_without_a_slash(service: Service, directory: str) -> None:
    assert await service.body(f"/latest/{directory}") == await service.body(f"/latest/{directory}/")
    assert await service.body(f"/latest//{directory}//") == await service.body(f"/latest/{directory}/")


async def test_leaves_are_plain_text_without_a_newline_at_the_end(service: Service) -> None:
    response = await service.ask("/latest/meta-data/public-keys/0/openssh-key")

    assert await response.get_data() == b"ssh-ed25519 AAAA me"
    assert response.headers["Content-Type"] == "text/plain"


async def test_user_data_passes_through_untouched_and_is_absent_when_there_is_none(service: Service) -> None:
    response = await service.ask("/2009-04-04/user-data")
    assert await response.get_data() == MINE.user_data
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert (await service.ask("/latest/user-data", source=OTHER.private_ip)).status_code == 404


IDENTITY = "/latest/dynamic/instance-identity"


async def test_whoever_trusts_the_cloud_can_check_the_identity_document(
    service: Service, authority: Path, tmp_path: Path
) -> None:
    document = await service.body(f"{IDENTITY}/document")
    for leaf in ("pkcs7", "rsa2048"):
        text = await service.body(f"{IDENTITY}/{leaf}")
        (tmp_path / leaf).write_bytes(b"-----BEGIN PKCS7-----\n" + text + b"\n-----END PKCS7-----\n")
        argv = ["openssl", "smime", "-verify", "-inform", "PEM", "-in", tmp_path / leaf]
        argv += ["-CAfile", authority / "ca.pem"]
        verified = subprocess.run(argv, capture_output=True, check=True).stdout
        assert verified == document
    signature = base64.b64decode(await service.body(f"{IDENTITY}/signature"))
    (tmp_path / "signature").write_bytes(signature)
    public = ["openssl", "x509", "-in", authority / "identity.pem", "-pubkey", "-noout"]
    (tmp_path / "key").write_bytes(subprocess.run(public, capture_output=True, check=True).stdout)
    argv = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "key", "-signature", tmp_path / "signature"]
    subprocess.run(argv, input=document, capture_output=True, check=True)
    changed = document.replace(b"i-4e9f08a1", b"i-4e9f08a2")
    assert subprocess.run(argv, input=changed, capture_output=True, check=False).returncode != 0


async def test_each_guest_proves_itself_and_no_other(service: Service) -> None:
    mine = await service.body(f"{IDENTITY}/signature")
    assert mine == await service.body(f"{IDENTITY}/signature")
    assert mine != await service.body(f"{IDENTITY}/signature", source=OTHER.private_ip)
    listed = (await service.body(f"{IDENTITY}/")).decode().split()
    assert listed == ["document", "pkcs7", "rsa2048", "signature"]


async def test_the_identity_document_is_json(service: Service) -> None:
    document = json.loads(await service.body("/latest/dynamic/instance-identity/document"))

    assert document["instanceId"] == "i-4e9f08a1" and document["pendingTime"] == "2026-01-02T03:04:05Z"
    assert document["version"] == "2017-09-30" and document["ramdiskId"] is None


async def test_tags_are_shown_only_when_allowed_and_only_where_they_exist(service: Service) -> None:
    service.instances[MINE.private_ip] = replace(MINE, tags_shown=True)

    assert await service.body("/latest/meta-data/tags/instance/") == b"Name"
    assert await service.body("/2021-03-23/meta-data/tags/instance/Name") == b"web 1"
    assert (await service.ask("/2020-10-27/meta-data/tags/")).status_code == 404


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("/2016-09-03/meta-data/", "GET", {}, 404),
        ("/latest/meta-data/ramdisk-id", "GET", {}, 404),
        ("/latest/meta-data/ami-id/", "GET", {}, 404),
        ("/latest/meta-data/../user-data", "GET", {}, 404),
        ("/latest/meta-data/ami-id%00", "GET", {}, 404),
        ("/latest/meta-data/%ff", "GET", {}, 404),
        ("/latest/meta-data/ami-id", "POST", {}, 405),
        ("/latest/meta-data/ami-id", "PUT", {TTL: "60"}, 405),
        ("/latest/api/token", "GET", {}, 405),
        ("/latest/api/token", "PUT", {}, 400),
        ("/latest/api/token", "PUT", {TTL: "0"}, 400),
        ("/latest/api/token", "PUT", {TTL: "21601"}, 400),
        ("/latest/api/token", "PUT", {TTL: "-1"}, 400),
        ("/latest/api/token", "PUT", {TTL: "9" * 5000}, 400),
        ("/latest/api/token", "PUT", {TTL: "60", "X-Forwarded-For": "172.31.1.2"}, 403),
        ("/latest/meta-data/", "GET", {"X-Forwarded-For": "172.31.1.2"}, 403),
        ("/latest/meta-data/", "GET", {TOKEN: "bm90IGEgdG9rZW4="}, 401),
        ("/latest/meta-data/", "GET", {TOKEN: "é" * 10}, 401),
        ("/latest/meta-data/", "GET", {TOKEN: "A" * 5000}, 401),
        ("/latest/" + "a" * 2000, "GET", {}, 414),
    ],
)
async def test_it_refuses(
    service: Service, path: str, method: str, headers: dict[str, str], status: int
) -> None:
    assert (await service.ask(path, method=method, **headers)).status_code == status


async def test_it_takes_no_bodies(service: Service) -> None:
    for header in ({"Content-Length": "1"}, {"Transfer-Encoding": "chunked"}):
        response = await service.ask("/latest/api/token", method="PUT", data=b"x", **{TTL: "60"}, **header)
        assert response.status_code == 400


async def test_a_token_is_required_where_the_instance_says_so(service: Service) -> None:
    service.instances[MINE.private_ip] = replace(MINE, http_tokens="required")

    assert (await service.ask("/latest/meta-data/")).status_code == 401
    assert (await service.ask("/")).status_code == 401
    assert await service.body("/latest/meta-data/ami-id", **{TOKEN: await service.token()}) == b"emi-12345678"


async def test_a_token_ends_with_its_time(service: Service) -> None:
    response = await service.ask("/latest/api/token", method="PUT", **{TTL: "60"})
    token = (await response.get_data()).decode()
    assert response.headers[TTL] == "60"

    service.now += 59
    await service.body("/latest/meta-data/", **{TOKEN: token})
    service.now += 1
    assert (await service.ask("/latest/meta-data/", **{TOKEN: token})).status_code == 401


async def test_a_token_of_another_instance_is_worth_nothing(service: Service) -> None:
    stolen = await service.token(source=OTHER.private_ip)

    assert (await service.ask("/latest/meta-data/", **{TOKEN: stolen})).status_code == 401


async def test_a_changed_token_is_worth_nothing(service: Service) -> None:
    token = await service.token()

    for at in range(len(token) - 1):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        assert (await service.ask("/", **{TOKEN: changed})).status_code == 401, at


async def test_each_guest_reads_its_own_and_strangers_read_nothing(service: Service) -> None:
    path = "/latest/meta-data/instance-id"
    assert await service.body(path, source=OTHER.private_ip) == b"i-0ddba110"
    assert await service.body(path, Host="172.31.1.2", Forwarded="for=172.31.1.2") == b"i-4e9f08a1"
    for asked in ("/", "/latest/", path):
        assert (await service.ask(asked, source="172.31.1.99")).status_code == 404
    stranger = await service.ask("/latest/api/token", method="PUT", source="172.31.1.99", **{TTL: "60"})
    assert stranger.status_code == 404


async def test_a_switched_off_endpoint_answers_nothing(service: Service) -> None:
    service.instances[MINE.private_ip] = replace(MINE, http_endpoint="disabled")

    assert (await service.ask("/latest/meta-data/")).status_code == 403
    assert (await service.ask("/latest/api/token", method="PUT", **{TTL: "60"})).status_code == 403


async def test_user_data_is_in_no_repr() -> None:
    assert "raw" not in repr(MINE)
