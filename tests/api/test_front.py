"""One root URL for all services, health, the console over TLS, the operator's socket, and an orderly end."""

import http.client
import json
import socket
import ssl
import stat
import threading
from unittest import mock

import pytest

from tests.api.cloud_box import SUBNET, refused, running_cloud
from tests.api.ec2_raw import FORM, Raw, pairs_of, quoted, send


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


# Services on one URL


def test_ec2_s3_and_sts_share_one_root_url(box):
    assert box.ec2().describe_regions()["Regions"]
    assert box.client("s3").list_buckets()["Buckets"] == []
    assert box.client("sts").get_caller_identity()["Account"] == box.account()


@pytest.mark.parametrize(
    ("user", "arn"),
    [("admin", "arn:aws:iam::{}:root"), ("alice", "arn:aws:iam::{}:user/alice")],
)
def test_get_caller_identity_says_who_asks(box, user, arn):
    found = box.client("sts", user).get_caller_identity()
    assert (found["Arn"], found["Account"]) == (arn.format(box.account(user)), box.account(user))
    assert found["UserId"]


def test_sts_refuses_with_its_own_codes(box):
    asked = [("Action", "GetCallerIdentity"), ("Version", "2011-06-15")]
    good = Raw(box).v4(asked, service="sts")
    assert good.root.tag == "{https://sts.amazonaws.com/doc/2011-06-15/}GetCallerIdentityResponse"
    wrong = Raw(box, secret="x").v4(asked, service="sts")
    assert (wrong.status, wrong.code) == (403, "SignatureDoesNotMatch")
    box.keys["nobody"] = {"access_key_id": "AKIANOBODY", "secret_access_key": "x"}
    unknown = Raw(box, "nobody").v4(asked, service="sts")
    assert (unknown.status, unknown.code) == (403, "InvalidClientTokenId")
    assert Raw(box).v4(pairs_of("<&>"), service="sts").find("Message").startswith("The action <&> is not")
    assert Raw(box).v4(pairs_of("CreateSAMLProvider"), service="iam").code == "InvalidAction"
    assert refused(box.client("sts").get_access_key_info, AccessKeyId="AKIA" + "A" * 16) == (
        "ValidationError",
        400,
    )


@pytest.mark.parametrize("path", ["/services/Tokens", "/services/Tokens/", "/services/Euare"])
def test_the_old_paths_of_sts_work(box, path):
    assert Raw(box).v2([("Action", "GetCallerIdentity")], path=path).find("Account") == box.account()


def test_sts_hides_what_broke(box):
    with mock.patch.object(type(box.app.bridge), "to_trio", side_effect=OSError("/secret")):
        answer = Raw(box).v4([("Action", "GetCallerIdentity")], service="sts")
    assert (answer.status, answer.code, b"secret" in answer.body) == (500, "InternalError", False)


@pytest.mark.parametrize(
    "path", ["/services/Walrus", "/services/walrus/", "/services/Walrus/some-bucket/key"]
)
def test_the_old_paths_of_walrus_lead_to_s3(box, path):
    answer = send(box.port, "GET", path)
    assert answer.status in (403, 404)
    assert b"<Error>" in answer.body
    assert b"<Response>" not in answer.body


@pytest.mark.parametrize(
    ("method", "target", "kind"),
    [
        ("GET", "/", b"<Error>"),
        ("GET", "/some-bucket", b"<Error>"),
        ("PUT", "/some-bucket", b"<Error>"),
        ("GET", "/?Action=DescribeInstances", b"<Response>"),
        ("GET", "/?Action=GetCallerIdentity", b"<ErrorResponse "),
        ("POST", "/", b"<Response>"),
        ("POST", "/services/Eucalyptus", b"<Response>"),
    ],
)
def test_unsigned_requests_go_where_their_shape_says(box, method, target, kind):
    body, headers = (
        (quoted(pairs_of("X")).encode(), {"Content-Type": FORM}) if method == "POST" else (b"", {})
    )
    answer = send(box.port, method, target, body, headers)
    assert 400 <= answer.status < 500
    assert kind in answer.body


@pytest.mark.parametrize("value", ["", ",", "AWS4-HMAC-SHA256 Credential=////", "Basic eDp5", "\xff" * 100])
def test_any_authorization_header_gets_an_answer(box, value):
    for method, target in (("GET", "/"), ("POST", "/services/Eucalyptus"), ("GET", "/b/k")):
        answer = send(box.port, method, target, b"", {"Authorization": value, "Content-Type": FORM})
        assert 400 <= answer.status < 500


# Health


def test_livez_and_readyz_are_ok_when_all_roles_run(box):
    for path in ("/livez", "/readyz"):
        answer = send(box.port, "GET", path)
        assert (answer.status, json.loads(answer.body)["status"]) == (200, "ok")
        assert answer.headers["content-type"] == "application/json"
        assert send(box.port, "HEAD", path).body == b""
        assert send(box.port, "DELETE", path).status == 405


def test_readyz_names_what_is_not_ready(box):
    box.app.waiting["nc"] = "starts"
    try:
        answer = send(box.port, "GET", "/readyz")
        assert (answer.status, json.loads(answer.body)["waiting"]) == (503, {"nc": "starts"})
        assert send(box.port, "GET", "/livez").status == 200
    finally:
        del box.app.waiting["nc"]


def test_each_role_tells_its_health(box):
    answer = send(box.port, "GET", "/healthz")
    assert answer.status == 200
    assert json.loads(answer.body)["roles"] == dict.fromkeys(("clc", "walrus", "cc", "sc", "nc"), "runs")
    box.app.waiting["nc"] = "starts"
    try:
        assert send(box.port, "GET", "/healthz/clc").status == 200
        answer = send(box.port, "GET", "/healthz/nc")
        assert (answer.status, json.loads(answer.body)["roles"]) == (503, {"nc": "starts"})
        assert send(box.port, "GET", "/healthz").status == 503
    finally:
        del box.app.waiting["nc"]
    assert send(box.port, "GET", "/healthz/xc").status != 200


def test_guests_reach_the_api_at_the_gateway(box):
    [listener] = [x for x in box.app.listeners if x.host == str(SUBNET[1])]
    connection = http.client.HTTPConnection(listener.host, listener.port, timeout=10)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()


# The console


def console(box, path="/", method="GET"):
    context = ssl.create_default_context(cafile=str(box.data_dir / "ca.pem"))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", box.app.consoles[0].port, timeout=10, context=context
    )
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def test_the_consoles_certificate_is_of_our_own_authority(box):
    assert console(box, "/login")[0] == 200
    connection = http.client.HTTPSConnection("127.0.0.1", box.app.consoles[0].port, timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")


def test_the_console_shows_strangers_the_way_in_and_nothing_of_the_cloud(box):
    assert console(box)[0] == 401
    status, headers, page = console(box, "/login")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "us-east-1" not in page and "UP" not in page
    for user in ("alice", "mallory"):
        assert user not in page
        for value in (*box.credentials(user), box.account(user)):
            assert value not in page


def test_the_console_forbids_foreign_scripts_frames_and_keeping(box):
    for path in ("/login", "/static/console.css", "/absent"):
        _, headers, _ = console(box, path)
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/static/../templates/base.html", "/static/%2e%2e/app.py", "/static//etc/passwd"]
)
def test_the_console_gives_no_other_files(box, path):
    assert console(box, path)[0] in (401, 404, 308)


def test_the_console_does_not_speak_plain_http(box):
    with socket.create_connection(("127.0.0.1", box.app.consoles[0].port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(1000)


# The operator's socket


def test_only_the_operator_may_open_the_admin_socket(box):
    mode = box.app.data.admin_socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_secrets_are_readable_by_the_operator_only(box):
    for name in ("ca.key", "tls.key", "master.key", "clc/clc.db", "walrus/walrus.db"):
        assert stat.S_IMODE((box.data_dir / name).stat().st_mode) == 0o600, name
    for name in ("clc", "walrus", "logs"):
        assert stat.S_IMODE((box.data_dir / name).stat().st_mode) == 0o700, name
    _, secret = box.credentials()
    for path in (box.data_dir / "clc").iterdir():
        assert secret.encode() not in path.read_bytes(), "secrets are sealed"


@pytest.mark.parametrize(
    ("name", "fields", "status", "code"),
    [
        ("AddUser", {"name": "a b"}, 400, "InvalidParameterValue"),
        ("AddUser", {"name": "x" * 65}, 400, "InvalidParameterValue"),
        ("AddUser", {"name": "x", "email": "no"}, 400, "InvalidParameterValue"),
        ("AddUser", {"name": "x", "account": "absent"}, 404, "NoSuchEntity"),
        ("AddUser", {"name": "alice"}, 409, "EntityAlreadyExists"),
        ("AddUser", {}, 400, "InvalidParameterValue"),
        ("GetUserKeys", {"name": "absent"}, 404, "NoSuchEntity"),
        ("SetUserState", {"name": "alice", "state": "asleep"}, 400, "InvalidParameterValue"),
        ("SetUserState", {"name": "admin", "state": "disabled"}, 400, "InvalidParameterValue"),
        ("SetPassword", {"name": "absent", "password": "x"}, 404, "NoSuchEntity"),
        ("RunInstances", {}, 404, "InvalidAction"),
    ],
)
def test_the_admin_socket_refuses_with_a_code(box, name, fields, status, code):
    answer = box.admin_raw("POST", f"/{name}", json.dumps(fields).encode())
    assert (answer[0], answer[1]["error"]) == (status, code)


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"1", b'{"name": {"a": 1}}'])
def test_the_admin_socket_takes_only_what_the_operation_has(box, body):
    status, reply = box.admin_raw("POST", "/AddUser", body)
    assert (status, reply["error"]) == (400, "InvalidParameterValue")


def test_a_second_user_of_an_account_shares_its_resources(box):
    box.keys["bob"] = box.admin(
        "AddUser", name="bob", account="alice", email="b@example.com", policies=["AmazonEC2ReadOnlyAccess"]
    )
    assert box.account("bob") == box.account("alice")
    group = box.ec2().create_security_group(GroupName="shared", Description="d")["GroupId"]
    assert box.ec2("bob").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert "bob" in [u["user_name"] for u in box.admin("ListUsers")["users"]]
    status = box.admin_raw("GET", "/status")[1]
    assert status["roles"]["clc"] == "runs"
    assert status["roles"]["sc"] == "runs"


# The end


def test_a_stopped_cloud_leaves_no_listener_and_comes_back_with_its_users(tmp_path):
    before = {t.name for t in threading.enumerate()}
    with running_cloud(tmp_path) as box:
        ports = [x.port for x in (*box.app.listeners, *box.app.consoles)]
        group = box.ec2().create_security_group(GroupName="kept", Description="d")["GroupId"]
        keys = box.keys["alice"]
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
    # Idle workers of trio's cache are daemons and end by themselves.
    left = {t.name for t in threading.enumerate() if not t.name.startswith("Trio thread")}
    assert left <= before
    with running_cloud(tmp_path, users=()) as box:
        box.keys["alice"] = box.admin("GetUserKeys", name="alice")
        assert box.keys["alice"] == keys
        assert (
            box.ec2().describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["GroupName"] == "kept"
        )


@pytest.mark.parametrize("path", [b"/", b"/bucket/key", b"/services/Eucalyptus"])
def test_a_request_with_two_lengths_is_refused_and_the_connection_closed(box, path):
    smuggled = (
        b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", box.port), timeout=5) as raw:
        raw.sendall(smuggled)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
