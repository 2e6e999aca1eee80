"""Whatever a signed request says, to every action in every parameter: a refusal or an answer, never a 5xx.

Good calls come from the rows of the authorisation matrix; one thing in them is made wrong at a time. Calls
that would end what the others need are sent with DryRun, the rest for real.
"""

import http.client
import itertools
import urllib.parse
from collections.abc import Iterator

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from euca_box.api.ec2.shapes import Member, actions
from euca_box.messages.registry import EC2_ACTIONS
from tests.api.cloud_box import running_cloud
from tests.api.ec2_raw import FORM, Answer, Raw, pairs_of, quoted
from tests.api.test_ec2_authorisation import GOOD, ROWS, make_things, pairs_for

ENDS_THINGS = {
    "RunInstances", "TerminateInstances", "StartInstances", "StopInstances", "RebootInstances",
    "DeregisterImage", "DeleteKeyPair", "DeleteSecurityGroup", "AllocateAddress", "ReleaseAddress",
    "DisassociateAddress", "RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress",
}  # fmt: skip
ONE_ATTRIBUTE = {
    "ModifyInstanceAttribute": ("InstanceId", "stopped"),
    "ModifyImageAttribute": ("ImageId", "image"),
}
LONG = 5000  # more digits than int() takes (CPython, sys.set_int_max_str_digits)
VALUES = [
    b"", b"%00", b"a%00b", b"%ED%A0%80", b"0", b"-1", b"9" * 17, b"9" * LONG, b"1e999", b"nan", b"x" * LONG,
    b"%3C%26%5D%5D%3E", b"%E2%80%A8%F4%8F%BF%BF", b"%F0%9F%98%80" * 300, b"2026-13-45T99:99:99Z",
    b"..%2F..%2Fetc%2Fpasswd", b"%3D%3D%3D%3D", b"i-" + b"f" * 17, b"0.0.0.0%2F" + b"9" * LONG, b"%D9%A5",
    b"tag:" + b"%5C%2A" * 50,
]  # fmt: skip
SHAPES = (
    "{name}.1", "{name}.x", "{name}..", "{first}", "{first}.0", "{first}.999999", "{first}.-1", "{name}%00",
    "{first}.1.1.1.1.1.1.1.1", "{first}.1" + ".x" * 300,
)  # fmt: skip


class Line:
    """One connection of alice: thousands of requests, each signed."""

    def __init__(self, box) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=20)
        self._url = box.url + "/"
        self._signer = SigV4Auth(Credentials(*box.credentials()), "ec2", "us-east-1")

    def post(self, body: bytes) -> Answer:
        request = AWSRequest("POST", self._url, headers={"Content-Type": FORM}, data=body)
        self._signer.add_auth(request)
        self._connection.request("POST", "/", body, dict(request.headers))
        answer = self._connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), users=("alice",)) as box:
        box.alice = make_things(box, "alice")
        box.numbers = itertools.count()
        yield box


@pytest.fixture(scope="module")
def line(box):
    line = Line(box)
    yield line
    line.close()


@pytest.fixture(params=list(EC2_ACTIONS))
def action(request):
    return request.param


def good_call(box, action: str, about: str = "") -> dict[str, str]:
    """The parameters of a call that works now, about this parameter; new names for what is made."""
    if action in ONE_ATTRIBUTE:  # with two they refuse before they look at values
        return dict(pairs_of(action, **{ONE_ATTRIBUTE[action][0]: box.alice[ONE_ATTRIBUTE[action][1]]}))
    rows = [row for row in ROWS if row.action == action]
    row = next((row for row in rows if any(name.startswith(about) for name in row.parameters)), rows[0])
    new = {} if row.own == GOOD else {row.noun: f"n{next(box.numbers)}"}
    return dict(pairs_for(row, box.alice | new, dry_run=action in ENDS_THINGS))


def check(line: Line, body: bytes) -> Answer:
    answer = line.post(body)
    assert answer.status < 500, (body[:500], len(body), answer.body)
    assert answer.root.tag.rpartition("}")[2] in ("Response", answer_of(body))
    return answer


def answer_of(body: bytes) -> str:
    return dict(urllib.parse.parse_qsl(body[:200].decode("latin-1"))).get("Action", "") + "Response"


def leaves(members: tuple[Member, ...], path: str = "") -> Iterator[str]:
    """Every parameter that the model has, with 1 for the numbers of lists."""
    for member in members:
        yield from _leaves_of(member, path + member.wire)


def _leaves_of(member: Member, name: str) -> Iterator[str]:
    if member.kind == "L":
        assert member.item is not None
        yield from _leaves_of(member.item, f"{name}.1")
    elif member.kind == "S":
        yield from leaves(member.members, name + ".")
    else:
        yield name


def taken(action: str) -> list[str]:
    """Parameters that the message has; others are refused before anybody looks at their values."""
    fields = EC2_ACTIONS[action].__dataclass_fields__
    known = {member.wire for member in actions()[action].request if member.name in fields}
    known -= {"DryRun"} if action in ENDS_THINGS else set()
    return [name for name in leaves(actions()[action].request) if name.partition(".")[0] in known]


def test_every_parameter_bears_every_value(box, line, action):
    for name in taken(action):
        for value in VALUES:
            check(line, changed(good_call(box, action, name.partition(".")[0]), name, value))


def test_every_parameter_that_is_not_supported_is_refused(box, line, action):
    known = {name.partition(".")[0] for name in taken(action)} | {"DryRun"}
    for name in leaves(actions()[action].request):
        if name.partition(".")[0] not in known:
            answer = check(line, changed(good_call(box, action), name, b"1"))
            assert (answer.status, answer.code) == (400, "UnsupportedOperation"), name


def test_every_parameter_bears_every_shape(box, line, action):
    names = [(name, name.partition(".")[0]) for name in taken(action)]
    for wrong in sorted({shape.format(name=n, first=first) for n, first in names for shape in SHAPES}):
        check(line, f"{quoted(list(good_call(box, action).items()))}&{wrong}=1".encode())


def changed(call: dict[str, str], name: str, value: bytes) -> bytes:
    """The call as a form, with this value (in percent-encoding) for the parameter."""
    others = [(other, text) for other, text in call.items() if other != name]
    return f"{quoted(others)}&{name}=".encode() + value


def test_a_parameter_given_twice_is_refused(box, line, action):
    for name, value in good_call(box, action).items():
        body = quoted([*good_call(box, action).items(), (name, value)]).encode()
        assert (check(line, body).status, check(line, body).code[:7]) == (400, "Invalid"), name


def test_a_list_number_in_two_spellings_is_given_twice(box, line):
    body = b"Action=DescribeInstances&InstanceId.1=i-00000001&InstanceId.01=i-00000002"
    assert check(line, body).code == "InvalidParameterCombination"


def test_a_thousand_parameters_are_answered_and_more_refused(box, line, action):
    for first in {name.partition(".")[0] for name in taken(action)}:
        asked = list(good_call(box, action).items())
        many = [(f"{first}.{n}", "i-00000000") for n in range(2, 1002 - len(asked))]
        assert check(line, quoted([*asked, *many]).encode()).status < 500
        many += [("MaxResults", "5")] * 2
        assert check(line, quoted([*asked, *many]).encode()).code == "MalformedQueryString"


def test_a_body_of_10_mib_is_refused(box, action):
    body = f"Action={action}&x=".encode() + b"x" * (10 * 1024 * 1024)
    try:
        answer = Raw(box).v4([], body=body)
    except (BrokenPipeError, ConnectionResetError):
        return  # it was refused before all of it was sent
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")


def test_after_all_that_the_cloud_works(box, line):
    for action in EC2_ACTIONS:
        assert check(line, quoted(pairs_of(action)).encode()).status < 500
    assert box.instance(box.alice["instance"])["State"]["Name"] == "running"
