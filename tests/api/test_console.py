"""The console by HTTP: who gets in, what is refused, and every page doing what the API does."""

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from lxml import etree

from euca_box.api.console.app import console_app
from euca_box.api.console.guard import OPEN, is_ours
from euca_box.api.console.web import Web
from euca_box.auth import totp
from euca_box.roles.clc import events
from tests.api.browser import Browser, person
from tests.api.cloud_box import RAMDISK, CloudBox, running_cloud

PASSWORD = "correct horse battery"
HOSTILE = "\"'><img src=x onerror=alert(1)>{{7*7}}</title><script>alert(2)</script>"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("console")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def alice(box: CloudBox) -> Browser:
    return person(box)


@pytest.fixture(scope="module")
def admin(box: CloudBox) -> Browser:
    return person(box, "admin")


def routes() -> list[tuple[str, str, str]]:
    """Endpoint, path with something in its holes, method: of every route there is."""

    async def nobody(*_: Any) -> None: ...

    app = console_app(Web(nobody, dict))
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", str(rule))
        found += [(rule.endpoint, path, method) for method in sorted(rule.methods or ())]
    return found


CLOSED = [(path, method) for endpoint, path, method in routes() if endpoint not in OPEN]
WRITING = [(path, m) for _, path, m in routes() if m not in ("GET", "HEAD", "OPTIONS")]


def test_the_table_of_routes_is_no_small_one() -> None:
    assert len(CLOSED) > 40 and len(WRITING) > 20


@pytest.mark.parametrize(("path", "method"), [c for c in CLOSED if c[1] in ("GET", "POST", "PUT")])
def test_every_page_is_closed_to_strangers(box: CloudBox, path: str, method: str) -> None:
    stranger = Browser(box)
    page = stranger.send(method, path, Origin=stranger.origin if method != "GET" else "")
    assert page.status == 401 or (page.status, page.location) == (303, "/login")
    forged = Browser(box, {"__Host-euca-box": "x" * 43})
    assert forged.send(method, path, Origin=forged.origin, Accept="*/*").status == 401


@pytest.mark.parametrize(("path", "method"), WRITING)
def test_what_comes_from_elsewhere_changes_nothing(
    box: CloudBox, alice: Browser, path: str, method: str
) -> None:
    body = f"csrf={alice.csrf}".encode()
    kind = "application/x-www-form-urlencoded"
    for origin in ("https://evil.example", "null", "http://127.0.0.1", ""):
        assert alice.send(method, path, body, Origin=origin, Content_Type=kind).status == 403
    if path not in ("/login", "/signup", "/language", "/recover", "/recover/x"):
        for token in (b"", b"csrf=", b"csrf=" + b"0" * 64):
            page = alice.send(method, path, token, Origin=alice.origin, Content_Type=kind)
            assert page.status == 403


@pytest.mark.parametrize("path", sorted({p for p, m in CLOSED if m == "GET" and "x" not in p.split("/")}))
def test_every_page_forbids_foreign_scripts_frames_and_keeping(alice: Browser, path: str) -> None:
    if path == "/live":
        return
    page = alice.get(path, follow=False)
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]* src=)|\son\w+=|javascript:", page.text)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8443", "127.0.0.1.evil.example", ""])
def test_a_strangers_name_that_leads_here_is_refused(box: CloudBox, host: str) -> None:
    assert not is_ours(host, ("cloud.example",))
    if host:
        assert Browser(box).send("GET", "/login", Host=host).status == 421


def test_names_and_addresses_of_ours_are_taken() -> None:
    for host in ("127.0.0.1:8443", "[::1]:8443", "localhost", "Cloud.Example:8443", "192.168.1.20"):
        assert is_ours(host, ("cloud.example",))


# Logging in


def test_the_session_is_new_with_each_login_and_over_with_the_logout(box: CloudBox) -> None:
    browser = person(box, "mallory")
    first = dict(browser.cookies)
    assert browser.log_in("mallory", PASSWORD).status == 200
    assert browser.cookies != first
    old = Browser(box, first)
    assert old.get("/instances", follow=False).location == "/login"
    kept = dict(browser.cookies)
    browser.post("/logout")
    assert Browser(box, kept).get("/instances", follow=False).location == "/login"


def test_the_cookie_is_for_this_host_and_no_script(box: CloudBox) -> None:
    box.admin("SetPassword", name="mallory", password=PASSWORD)
    browser = Browser(box)
    page = browser.post("/login", name="mallory", password=PASSWORD, follow=False)
    cookie = page.headers["set-cookie"]
    assert cookie.startswith("__Host-euca-box=")
    for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert part in cookie
    [row] = box.rows("clc", "SELECT * FROM console_session ORDER BY created_at DESC LIMIT 1")
    assert browser.cookies["__Host-euca-box"] not in repr(row)


def test_wrong_passwords_unknown_names_and_absent_passwords_are_told_alike(box: CloudBox) -> None:
    box.add_user("without")
    box.in_trio(box.app.clc.attempts._failed.clear)
    said = set()
    for name, password in (
        ("alice", "wrong one"),
        ("nobody", PASSWORD),
        ("without", ""),
        ("without", "x" * 9),
    ):
        browser = Browser(box)
        page = browser.post("/login", name=name, password=password, follow=False)
        assert page.status == 403 and "__Host-euca-box" not in browser.cookies
        said.add(browser.said(page))
    assert said == {"The user name, the password or the code is not right."}
    box.in_trio(box.app.clc.attempts._failed.clear)


def test_guessing_gets_slow_and_the_right_password_is_then_refused_too(box: CloudBox) -> None:
    box.add_user("guessed")
    box.admin("SetPassword", name="guessed", password=PASSWORD)
    browser = Browser(box)
    answers = [browser.post("/login", name="guessed", password=f"guess {n}") for n in range(12)]
    slowed = [browser.said(page) for page in answers if "Too many attempts" in browser.said(page)]
    assert len(slowed) >= 5
    assert "Too many attempts" in browser.said(browser.post("/login", name="guessed", password=PASSWORD))
    box.in_trio(box.app.clc.attempts._failed.clear)
    assert browser.log_in("guessed", PASSWORD).status == 200


def test_a_suspended_user_is_out_at_once_and_so_are_sessions_of_an_old_password(box: CloudBox) -> None:
    box.add_user("leaving")
    browser = person(box, "leaving")
    assert browser.get("/").status == 200
    box.admin("SetUserState", name="leaving", state="disabled")
    assert browser.get("/", follow=False).location == "/login"
    box.admin("SetUserState", name="leaving", state="active")
    browser = person(box, "leaving")
    box.admin("SetPassword", name="leaving", password="another password")
    assert browser.get("/", follow=False).location == "/login"


@pytest.mark.parametrize(("pause", "rounds"), [(1801, 1), (1500, 29)])
def test_a_session_ends_after_idle_time_and_after_half_a_day(box: CloudBox, pause: int, rounds: int) -> None:
    name = f"idle{pause}"
    box.add_user(name)
    browser, now = person(box, name), box.app.clc.now
    try:
        for n in range(1, rounds + 1):
            assert n == 1 or browser.get("/me", follow=False).status == 200
            box.app.clc.now = lambda n=n: now() + n * pause
        assert browser.get("/me", follow=False).location == "/login"
    finally:
        box.app.clc.now = now
    assert browser.get("/me", follow=False).location == "/login"  # it does not come back


def test_a_password_that_somebody_else_gave_must_be_changed_first(box: CloudBox) -> None:
    box.iam_user("newcomer")
    box.client("iam").create_login_profile(UserName="newcomer", Password=PASSWORD, PasswordResetRequired=True)
    browser = Browser(box)
    browser.log_in("newcomer", PASSWORD)
    assert browser.get("/instances", follow=False).location == "/password"
    assert "differ" in browser.said(browser.post("/password", old=PASSWORD, new="a" * 9, again="b" * 9))
    assert "not right" in browser.said(browser.post("/password", old="wrong", new="a" * 9, again="a" * 9))
    browser.post("/password", old=PASSWORD, new="my own words", again="my own words")
    assert browser.get("/me", follow=False).status == 200


def test_a_second_factor_is_asked_for_and_each_code_is_good_once(box: CloudBox) -> None:
    box.add_user("careful")
    browser = person(box, "careful")
    page = browser.get("/me/second-factor")
    found = re.search(r'<code class="key">([A-Z2-7]+)<', page.text)
    assert found is not None
    secret, now = found[1], int(time.time()) // 30
    wrong = browser.post("/me/second-factor", secret=secret, code="000000", password=PASSWORD)
    assert "not right" in browser.said(wrong)
    used = totp.code(secret, now)
    browser.post("/me/second-factor", secret=secret, code=used, password=PASSWORD)
    other = Browser(box)
    page = other.post("/login", name="careful", password=PASSWORD, follow=False)
    assert page.status == 200 and "one-time-code" in page.text and "__Host-euca-box" not in other.cookies
    again = other.post("/login", name="careful", password=PASSWORD, code=used, follow=False)
    assert again.status == 403
    later = totp.code(secret, now + 1)
    assert other.post("/login", name="careful", password=PASSWORD, code=later, follow=False).status == 303
    [row] = box.rows("clc", "SELECT totp_secret FROM user WHERE name = 'careful'")
    assert secret not in row["totp_secret"]
    box.in_trio(box.app.clc.attempts._failed.clear)


def test_sessions_are_listed_and_ended(box: CloudBox) -> None:
    box.add_user("several")
    one, two = person(box, "several"), Browser(box)
    two.log_in("several", PASSWORD)
    page = two.get("/me")
    found = re.search(r'name="session_id" value="([0-9a-f]{16})"', page.text)
    assert found is not None
    two.post("/me/sessions", session_id=found[1])
    assert one.get("/", follow=False).location == "/login"
    assert two.get("/").status == 200


# Asking for an account


def test_a_stranger_asks_the_administrator_approves_and_the_stranger_logs_in(
    box: CloudBox, admin: Browser
) -> None:
    asked = {
        "account_name": "astronomers",
        "email": "a@example.com",
        "real_name": HOSTILE,
        "reason": HOSTILE,
        "password": PASSWORD,
        "again": PASSWORD,
    }
    stranger = Browser(box)
    assert "Thank you" in stranger.post("/signup", **asked).text
    assert stranger.post("/login", name="astronomers", password=PASSWORD).status == 403
    page = admin.get("/accounts")
    assert "astronomers" in page.text and "<img src=x" not in page.text
    found = re.search(r'name="signup" value="([0-9a-f]{16})"', page.text)
    assert found is not None
    admin.post("/accounts", signup=found[1], do="approve")
    assert stranger.log_in("astronomers", PASSWORD).status == 200
    assert stranger.get("/instances").status == 200
    again = admin.post("/accounts", signup=found[1], do="approve")
    assert "decided already" in admin.said(again)
    box.in_trio(box.app.clc.attempts._failed.clear)


def test_asking_for_a_name_that_is_taken_tells_nothing(box: CloudBox, admin: Browser) -> None:
    asked = {"email": "a@example.com", "password": PASSWORD, "again": PASSWORD}
    texts = [
        re.sub(r"\s+", " ", Browser(box).post("/signup", account_name=name, **asked).text)
        for name in ("alice", "free-name")
    ]
    assert texts[0] == texts[1]
    page = admin.get("/accounts").text
    assert "free-name" in page
    robot = Browser(box).post("/signup", account_name="robots", website="http://spam", **asked)
    assert "Thank you" in robot.text and "robots" not in admin.get("/accounts").text
    for bad in ({"account_name": "No Name"}, {"account_name": "ok-name", "email": "none"}):
        assert Browser(box).post("/signup", **{**asked, **bad}).status == 400
    box.in_trio(box.app.clc.attempts._failed.clear)


# Pages


def test_an_instance_is_launched_seen_tagged_and_terminated(box: CloudBox, alice: Browser) -> None:
    _, _, image = box.register_images()
    page = alice.get("/launch")
    assert image in page.text
    shown = alice.post("/launch", image=image, type="m1.small", count="2", name="a b", do="show")
    assert "aws ec2 run-instances" in shown.text and "resource &#34;aws_instance&#34;" in shown.text
    box.client("iam").create_instance_profile(InstanceProfileName="shown")
    asked = {"image": image, "type": "m1.small", "profile": "shown", "count": "1", "name": HOSTILE}
    page = alice.post("/launch", **asked, do="launch")
    said = alice.said(page)
    assert said.startswith("Launched: i-")
    instance_id = said.partition(": ")[2]
    box.until_state(instance_id, "running")
    page = alice.get("/instances")
    assert instance_id in page.text and "<img src=x" not in page.text and "49" not in page.text[:0]
    alice.post(f"/instances/{instance_id}", do="tag", key="team", value=HOSTILE)
    detail = alice.get(f"/instances/{instance_id}")
    assert "team = " in detail.text and "<script>alert" not in detail.text
    for tab in ("serial", "screen", "log", "metrics"):
        assert alice.get(f"/instances/{instance_id}?tab={tab}").status == 200
    other = person(box, "mallory")
    assert other.get(f"/instances/{instance_id}").status == 404
    assert "InvalidInstanceID" in other.said(other.post(f"/instances/{instance_id}", do="terminate"))
    page = alice.post("/instances", id=[instance_id], do="terminate")
    assert alice.said(page) == f"terminate: {instance_id}"
    box.until_state(instance_id, "terminated")


def test_a_refusal_is_said_with_its_code(alice: Browser) -> None:
    page = alice.post("/launch", image="emi-00000000", type="m1.small", count="1", do="launch")
    assert alice.said(page).startswith("InvalidAMIID")
    assert "number of instances" in alice.said(alice.post("/launch", image="x", count="many"))


def test_keys_groups_and_addresses_are_made_and_removed(box: CloudBox, alice: Browser) -> None:
    page = alice.post("/network/keys", name="console-key", do="create")
    assert "PRIVATE KEY-----" in page.text
    assert "PRIVATE KEY" not in alice.get("/network").text
    alice.post("/network/groups", name="console-group", description="a (b)", do="create")
    group = box.ec2().describe_security_groups(GroupNames=["console-group"])["SecurityGroups"][0]
    rule = {"group": group["GroupId"], "direction": "in", "protocol": "tcp", "cidr": "10.0.0.0/8"}
    alice.post("/network/groups", **rule, from_="22", to="23", do="authorize")
    seen = box.ec2().describe_security_groups(GroupNames=["console-group"])["SecurityGroups"][0]
    assert (seen["IpPermissions"][0]["FromPort"], seen["IpPermissions"][0]["ToPort"]) == (22, 23)
    assert "<img src=x" not in alice.get("/network").text
    alice.post("/network/groups", **rule, from_="22", to="23", do="revoke")
    alice.post("/network/groups", group=group["GroupId"], do="delete")
    assert "console-group" not in alice.get("/network").text
    alice.post("/network/keys", id=["console-key"], do="delete")
    alice.post("/network/addresses", do="allocate")
    [address] = box.ec2().describe_addresses()["Addresses"]
    alice.post("/network/addresses", allocation=address["AllocationId"], do="release")
    assert box.ec2().describe_addresses()["Addresses"] == []


def test_objects_are_uploaded_seen_downloaded_and_deleted(box: CloudBox, alice: Browser) -> None:
    alice.post("/buckets", name="console-bucket", do="create")
    for key in ("a/b%20c.html", "top.txt"):
        page = alice.send(
            "PUT", f"/buckets/console-bucket/{key}", b"<script>hello</script>",
            Origin=alice.origin, X_CSRF_Token=alice.csrf,
        )  # fmt: skip
        assert page.status == 204
    assert "top.txt" in alice.get("/buckets/console-bucket/").text
    assert "b c.html" in alice.get("/buckets/console-bucket/?prefix=a/").text
    page = alice.get("/buckets/console-bucket/a/b%20c.html")
    assert page.text == "<script>hello</script>"
    assert page.headers["content-disposition"].startswith("attachment")
    assert page.headers["content-type"] == "application/octet-stream"
    stored = box.client("s3").get_object(Bucket="console-bucket", Key="a/b c.html")
    assert stored["ContentType"] == "text/html"
    page = alice.post("/share/console-bucket", key=["a/b c.html"], hours="1")
    found = re.search(r"(http://127[^<]+X-Amz-Signature=[0-9a-f]+)", page.text)
    assert found is not None
    with urllib.request.urlopen(unescape(found[1])) as answer:
        assert answer.read() == b"<script>hello</script>"
    assert "Tick one object" in alice.said(alice.post("/share/console-bucket"))
    assert "Tick one object" in alice.said(alice.post("/share/console-bucket", key=["x"], hours="9999"))
    other = person(box, "mallory")
    assert other.get("/buckets/console-bucket/").status == 403
    assert other.get("/buckets/console-bucket/top.txt").status == 403
    refused = other.send(
        "PUT", "/buckets/console-bucket/x", b"x", Origin=other.origin, X_CSRF_Token=other.csrf
    )
    assert refused.status == 403
    alice.post("/buckets/console-bucket/", key=["a/b c.html", "top.txt"])
    alice.post("/buckets", id=["console-bucket"], do="delete")
    assert "console-bucket" not in alice.get("/buckets").text


def test_users_are_made_given_rights_and_deleted(box: CloudBox, alice: Browser) -> None:
    alice.post("/users", name="clerk", do="create")
    policy = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
    alice.post("/users/clerk", value=policy, do="attach")
    alice.post("/users/clerk", password=PASSWORD, do="password")
    clerk = Browser(box)
    clerk.log_in("clerk", PASSWORD)
    clerk.post("/password", old=PASSWORD, new="clerk's own words", again="clerk's own words")
    assert clerk.get("/instances").status == 200
    assert "UnauthorizedOperation" in clerk.said(clerk.post("/network/addresses", do="allocate"))
    assert "do not let you list" in clerk.get("/buckets").text
    page = alice.post("/users/clerk", do="new-key")
    assert re.search(r"AKIA[A-Z2-7]{16}\n\S{40}", page.text)
    assert "DeleteConflict" in alice.said(alice.post("/users/clerk", do="delete", sure="1"))


def test_pages_of_the_administrator_are_nobody_elses(alice: Browser, admin: Browser) -> None:
    for path in ("/accounts", "/components", "/vm-types", "/settings"):
        assert admin.get(path).status == 200
        assert alice.get(path).status == 403
    for path, fields in (
        ("/accounts", {"name": "mine", "do": "create"}),
        ("/accounts", {"name": "mallory", "do": "disable"}),
        ("/vm-types", {"name": "m1.small", "do": "remove"}),
    ):
        assert "AccessDenied" in alice.said(alice.post(path, **fields))
    assert 'name="everybody"' not in alice.get("/events").text


def test_the_zip_has_working_credentials(box: CloudBox, alice: Browser) -> None:
    page = alice.send(
        "POST", "/credentials/zip", f"csrf={alice.csrf}".encode(),
        Origin=alice.origin, Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert page.status == 200 and page.headers["content-type"] == "application/zip"
    page = alice.post("/credentials", do="new-key")
    assert "aws_access_key_id" in page.text
    assert "LimitExceeded" in alice.said(alice.post("/credentials", do="new-key"))


def test_every_call_is_an_event_without_secrets(box: CloudBox, alice: Browser) -> None:
    box.ec2().create_key_pair(KeyName="noted-by-api")
    alice.post("/network/keys", name="noted-by-console", do="create")
    with pytest.raises(Exception, match="InvalidInstanceID"):
        box.ec2().terminate_instances(InstanceIds=["i-00000000"])
    box.until(lambda: "noted-by-console" in alice.get("/events").text)
    text = alice.get("/events").text
    assert "noted-by-api" in text and "InvalidInstanceID" in text
    lines = alice.get("/events.jsonl?action=createkeypair").text.splitlines()
    rows = [json.loads(line) for line in lines]
    assert {"ec2:CreateKeyPair"} == {row["action"] for row in rows}
    assert all(row["request_id"] and row["account"] == box.account() for row in rows)
    failed = alice.get("/events.jsonl?failed=1").text
    assert "InvalidInstanceID" in failed and "noted-by" not in failed
    everything = repr(box.rows("clc", "SELECT * FROM event"))
    assert PASSWORD not in everything and box.credentials()[1] not in everything
    other = person(box, "mallory")
    assert "noted-by" not in other.get("/events").text + other.get("/events.jsonl?everybody=1").text


def test_logins_and_what_is_done_with_objects_are_events(box: CloudBox, alice: Browser) -> None:
    Browser(box).post("/login", name="alice", password="wrong")
    alice.post("/buckets", name="noted-bucket", do="create")
    alice.post("/buckets", id=["noted-bucket"], do="delete")
    box.until(lambda: alice.get("/events").text.count("noted-bucket") >= 2)
    rows = [json.loads(line) for line in alice.get("/events.jsonl").text.splitlines()]
    found = {(row["action"], row["error_code"]) for row in rows}
    assert {("console:LogIn", ""), ("console:LogIn", "LoginRefused"), ("s3:CreateBucket", "")} <= found
    assert {"resource": "noted-bucket"} in [row["parameters"] for row in rows]
    box.in_trio(box.app.clc.attempts._failed.clear)


def test_the_oldest_events_go_when_there_are_too_many(tmp_path: Path) -> None:
    with running_cloud(tmp_path, users=("alice",), events_most=5) as small:
        ec2 = small.ec2()
        for number in range(9):
            ec2.create_key_pair(KeyName=f"k{number}")
        named = "SELECT parameters FROM event WHERE action = 'ec2:CreateKeyPair' ORDER BY id"
        small.until(lambda: len(small.rows("clc", named)) == 9)
        small.await_in_trio(events._sweep, small.app.clc)
        kept = [json.loads(row["parameters"])["key_name"] for row in small.rows("clc", named)]
        assert kept == ["k4", "k5", "k6", "k7", "k8"]


def test_images_are_registered_and_shared(box: CloudBox, alice: Browser) -> None:
    s3 = box.client("s3")
    s3.create_bucket(Bucket="console-images")
    s3.put_object(Bucket="console-images", Key="initrd-console", Body=RAMDISK)
    asked = {"location": "console-images/initrd-console", "name": "by-console"}
    page = alice.post("/images", **asked, do="register")
    assert alice.said(page) == "The image is registered."
    [image] = [i for i in box.ec2().describe_images(Owners=["self"])["Images"] if i["Name"] == "by-console"]
    alice.post("/images", id=[image["ImageId"]], do="private")
    assert image["ImageId"] not in person(box, "mallory").get("/images").text
    alice.post("/images", id=[image["ImageId"]], do="deregister")
    assert image["ImageId"] not in alice.get("/images?mine=1").text


def test_volumes_and_snapshots_are_made_and_deleted(box: CloudBox, alice: Browser) -> None:
    assert "number of GiB" in alice.said(alice.post("/volumes", do="create", size="many", zone="us-east-1a"))
    page = alice.post("/volumes", do="create", size="1", zone="us-east-1a")
    assert alice.said(page) == "The volume is being made."
    ec2 = box.ec2()
    [volume] = ec2.describe_volumes()["Volumes"]
    volume_id = volume["VolumeId"]
    box.until(lambda: ec2.describe_volumes()["Volumes"][0]["State"] == "available")
    other = person(box, "mallory")
    assert "InvalidVolume.NotFound" in other.said(other.post("/volumes", id=[volume_id], do="delete"))
    alice.post("/volumes", id=[volume_id], do="snapshot")
    [snapshot] = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert snapshot["SnapshotId"] in alice.get("/volumes").text
    assert snapshot["SnapshotId"] not in other.get("/volumes").text
    box.until(lambda: ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"][0]["State"] == "completed")
    alice.post("/volumes", id=[snapshot["SnapshotId"]], do="delete-snapshot")
    alice.post("/volumes", id=[volume_id], do="delete")
    box.until(lambda: volume_id not in alice.get("/volumes").text)


def test_the_language_and_the_theme_are_chosen(box: CloudBox) -> None:
    browser = Browser(box)
    assert '<html lang="en"' in browser.get("/login").text
    assert '<html lang="de"' in browser.get("/login", Accept_Language="de-DE,de;q=0.9").text
    browser.post("/language", language="de", theme="dark")
    assert '<html lang="de" data-theme="dark"' in browser.get("/login").text


@pytest.mark.parametrize(
    "path", ["/absent", "/static/../app.py", "/static/%2e%2e/app.py", "/templates/base.html"]
)
def test_what_is_no_page_is_none(alice: Browser, path: str) -> None:
    assert alice.get(path).status in (308, 404)


CORPUS = json.loads((Path(__file__).parents[1] / "vectors/keys/keys.json").read_text())


def hostile_texts() -> list[str]:
    """Every text of the corpus that a page could get to show."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(CORPUS)
    return [
        *dict.fromkeys(found),
        HOSTILE,
        "{{ 7*7 }}",
        "${7*7}",
        "]]>",
        "</textarea><script>alert(3)</script>",
    ]


def elements(page: str) -> dict[str, int]:
    root = etree.fromstring(page.encode(), etree.HTMLParser(huge_tree=False))
    kinds = [e.tag for e in root.iter() if isinstance(e.tag, str)]
    handlers = [name for e in root.iter() for name in e.attrib if name.lower().startswith("on")]
    assert handlers == []
    return {kind: kinds.count(kind) for kind in ("script", "img", "svg", "iframe", "object", "style", "base")}


def test_no_text_of_the_corpus_becomes_an_element_of_a_page(box: CloudBox) -> None:
    """As a tag, an object's key, a file of a bucket's folder, a name in a form that is refused."""
    box.add_user("corpus")
    who = person(box, "corpus")
    plain = elements(who.get("/buckets").text)
    texts = hostile_texts()
    assert len(texts) > 40
    s3 = box.client("s3", "corpus")
    s3.create_bucket(Bucket="corpus-bucket")
    kept = 0
    for text in texts:
        with contextlib.suppress(Exception):  # what S3 refuses is not shown either
            s3.put_object(Bucket="corpus-bucket", Key=text, Body=b"x")
            kept += 1
        page = who.post("/launch", image=text, type=text, name=text, count="1", user_data=text, do="launch")
        assert elements(page.text) == plain, text
        page = who.post("/network/groups", name=text, description=text, do="create")
        assert elements(page.text) == plain, text
        page = who.get("/events?" + urlencode({"action": text, "who": text}))
        assert elements(page.text) == plain, text
        assert elements(who.get("/buckets/corpus-bucket/?" + urlencode({"prefix": text})).text) == plain, text
    assert kept > 20
    for path in ("/buckets/corpus-bucket/", "/events", "/network", "/"):
        assert elements(who.get(path).text) == plain, path
