"""/services/Configuration, by boto 2 as the administration tools of Eucalyptus use it."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.cloud_box import CloudBox, running_cloud

pytest.importorskip("boto", reason="boto 2 needs Python 3.11", exc_type=ImportError)

from boto.ec2.connection import EC2Connection
from boto.ec2.regioninfo import RegionInfo
from boto.exception import BotoServerError


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("configuration")) as cloud:
        yield cloud


class Item(dict):
    """As those tools read it: one element, one attribute."""

    def __init__(self, connection: Any = None) -> None:
        super().__init__()

    def startElement(self, name: str, attrs: Any, connection: Any) -> None:  # noqa: N802
        return None

    def endElement(self, name: str, value: str, connection: Any) -> None:  # noqa: N802
        self[name] = value


def connect(box: CloudBox, user: str = "admin", path: str = "/services/Configuration") -> Any:
    key, secret = box.credentials(user)
    made = EC2Connection(
        key, secret, is_secure=False, port=box.port, path=path, debug=0,
        region=RegionInfo(name="eucalyptus", endpoint="127.0.0.1"), api_version="eucalyptus",
    )  # fmt: skip
    made.num_retries = 0
    return made


def described(box: CloudBox, action: str, **more: Any) -> list[dict[str, str]]:
    found = connect(box, **more).get_list(action, {}, [("euca:item", Item)])
    return [dict(item) for item in found]


def test_what_runs_is_registered(box: CloudBox) -> None:
    host = socket.gethostname().partition(".")[0] or "localhost"
    [cluster] = described(box, "DescribeClusters")
    assert (cluster["euca:name"], cluster["euca:hostName"], cluster["euca:state"]) == (
        "us-east-1a",
        host,
        "ENABLED",
    )
    [walrus] = described(box, "DescribeWalruses")
    assert walrus["euca:name"] == "walrus"
    [storage] = described(box, "DescribeStorageControllers")
    assert (storage["euca:name"], storage["euca:state"]) == ("us-east-1a", "ENABLED")
    [node] = described(box, "DescribeNodes", path="/services/configuration/")
    assert (node["euca:clusterName"], node["euca:state"]) == ("us-east-1a", "ENABLED")


@pytest.mark.parametrize(
    ("user", "action", "status", "code"),
    [
        ("alice", "DescribeClusters", 403, "UnauthorizedOperation"),
        ("alice", "RegisterCluster", 403, "UnauthorizedOperation"),
        ("admin", "RegisterCluster", 400, "IncorrectState"),
        ("admin", "DeregisterWalrus", 404, "NoSuchEntity"),
        ("admin", "RegisterNodes", 400, "IncorrectState"),
        ("alice", "DeregisterNodes", 403, "UnauthorizedOperation"),
        ("admin", "DescribeInstances", 400, "InvalidAction"),
        ("admin", "Describe<&>", 400, "InvalidAction"),
    ],
)
def test_who_may_not_and_what_cannot_be_is_refused(
    box: CloudBox, user: str, action: str, status: int, code: str
) -> None:
    with pytest.raises(BotoServerError) as refused:
        connect(box, user).get_list(action, {"Name": "c", "Host": "10.0.0.1"}, [("euca:item", Item)])
    assert (refused.value.status, refused.value.error_code) == (status, code)


def test_registering_what_is_there_lets_it_be_used_and_twice_is_harmless(box: CloudBox) -> None:
    node = socket.gethostname().partition(".")[0] or "localhost"
    box.admin("SetComponentState", component=f"nc@{node}", state="DISABLED")
    assert [n["euca:state"] for n in described(box, "DescribeNodes")] == ["DISABLED"]
    for _ in range(2):
        answer = connect(box).make_request("RegisterNodes", {"Host": node})
        assert (answer.status, b"<euca:_return>true" in answer.read()) == (200, True)
    assert [n["euca:state"] for n in described(box, "DescribeNodes")] == ["ENABLED"]


@pytest.mark.parametrize("action", ["DeregisterCluster", "DeregisterStorageController"])
def test_roles_of_the_cloud_controllers_host_stay(box: CloudBox, action: str) -> None:
    with pytest.raises(BotoServerError) as refused:
        connect(box).get_list(action, {"Name": "us-east-1a"}, [("euca:item", Item)])
    assert refused.value.error_code == "UnsupportedOperation"


def test_a_wrong_signature_is_refused(box: CloudBox) -> None:
    wrong = EC2Connection(
        box.credentials("admin")[0], "wrong", is_secure=False, port=box.port, path="/services/Configuration",
        region=RegionInfo(name="eucalyptus", endpoint="127.0.0.1"), api_version="eucalyptus",
    )  # fmt: skip
    wrong.num_retries = 0
    with pytest.raises(BotoServerError) as refused:
        wrong.get_list("DescribeClusters", {}, [("euca:item", Item)])
    assert refused.value.status == 401
