"""The console in Chromium: every page in light, dark and narrow, by axe-core; a person's way through it.

Nothing may be asked of another host, and nothing may stand in the browser's error log. With
EUCA_BOX_SCREENSHOTS=FOLDER each page is kept as an image. axe.min.js is axe-core 4.14.1 (MPL 2.0).
"""

import base64
import contextlib
import http.client
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.cloud_box import CloudBox, running_cloud

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

AXE = Path(__file__).parent / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
PASSWORD = "correct horse battery"
HOSTILE = "\"'><img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
SHOTS = os.environ.get("EUCA_BOX_SCREENSHOTS", "")
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 740}},
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("browser")) as cloud:
        cloud.admin("SetPassword", name="admin", password=PASSWORD)
        cloud.admin("SetPassword", name="alice", password=PASSWORD)
        yield cloud


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True)
        yield browser
        browser.close()


class Person:
    """Somebody at a browser; what the page complains of and where it asks is kept."""

    def __init__(self, box: CloudBox, chromium: Any, look: str = "light") -> None:
        self.origin = f"https://127.0.0.1:{box.app.consoles[0].port}"
        self.context = chromium.new_context(ignore_https_errors=True, **LOOKS[look])
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: m.type == "error" and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def go(self, path: str) -> None:
        self.page.goto(self.origin + path, wait_until="load")

    def log_in(self, name: str) -> None:
        self.go("/login")
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.origin + "/")

    def violations(self) -> list[str]:
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate(f"axe.run({{runOnly: {TAGS}}})")
        return [
            f"{v['id']}: {v['help']} {[n['html'][:120] for n in v['nodes'][:3]]}" for v in found["violations"]
        ]

    def check_quiet(self) -> None:
        foreign = [url for url in self.asked if not url.startswith((self.origin, "data:", "blob:"))]
        assert (self.complaints, foreign) == ([], [])
        assert "pwned" not in self.page.title()


@pytest.fixture(scope="module")
def furnished(box: CloudBox) -> dict[str, str]:
    """Something of everything, with hostile names."""
    _, _, image = box.register_images("admin")
    ec2, iam, s3 = box.ec2("admin"), box.client("iam", "admin"), box.client("s3", "admin")
    [instance] = box.run_instances(image, user="admin")
    box.until_state(instance, "running", "admin")
    box.workbench.printed[instance] = HOSTILE.encode() + b"\r\nlogin: "
    ec2.create_tags(Resources=[instance, image], Tags=[{"Key": "Name", "Value": HOSTILE}])
    ec2.create_key_pair(KeyName="key " + HOSTILE)
    group = ec2.create_security_group(GroupName="web", Description="for the web")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="0.0.0.0/0"
    )
    ec2.allocate_address()
    iam.create_user(UserName="clerk")
    iam.create_access_key(UserName="clerk")
    iam.attach_user_policy(UserName="clerk", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    s3.create_bucket(Bucket="furnished")
    for key in (HOSTILE, "folder/x.txt", "plain.txt"):
        s3.put_object(Bucket="furnished", Key=key, Body=b"x")
    return {"instance": instance, "image": image}


PAGES = [
    "/", "/instances", "/instances/{instance}", "/instances/{instance}?tab=log",
    "/instances/{instance}?tab=metrics", "/launch", "/images",
    "/volumes", "/network", "/buckets", "/buckets/furnished/", "/users", "/users/clerk", "/credentials",
    "/events", "/accounts", "/components",
    "/vm-types", "/settings", "/me", "/me/second-factor", "/password", "/absent",
]  # fmt: skip


@pytest.mark.parametrize("look", list(LOOKS))
def test_no_page_has_a_barrier_an_error_or_a_foreign_request(
    box: CloudBox, chromium: Any, furnished: dict[str, str], look: str
) -> None:
    person = Person(box, chromium, look)
    found: dict[str, list[str]] = {}
    for path in ("/login", "/signup"):
        person.go(path)
        found[path] = person.violations()
        keep(person, look, path)
    person.log_in("admin")
    for pattern in PAGES:
        path = pattern.format(**furnished)
        person.go(path)
        found[pattern] = person.violations()
        keep(person, look, pattern)
        wide = person.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            found[pattern].append(f"wider than the window by {wide}")
    person.complaints = [text for text in person.complaints if "404" not in text]  # /absent
    person.check_quiet()
    assert {path: texts for path, texts in found.items() if texts} == {}


def keep(person: Person, look: str, path: str) -> None:
    if SHOTS:
        name = path.strip("/").replace("/", "_").replace("?", "_").replace("{", "").replace("}", "") or "home"
        person.page.screenshot(path=f"{SHOTS}/{name}.{look}.png", full_page=True)


def test_a_list_renews_itself_and_keeps_what_was_ticked(
    box: CloudBox, chromium: Any, furnished: dict[str, str]
) -> None:
    person = Person(box, chromium)
    person.log_in("admin")
    person.go("/instances")
    person.page.get_by_text("live", exact=True).wait_for()
    person.page.check(f"input[value={furnished['instance']}]")
    [another] = box.run_instances(furnished["image"], user="admin")
    person.page.get_by_role("link", name=another).wait_for()
    person.page.locator("tr", has_text=another).get_by_text("running").wait_for()
    assert person.page.is_checked(f"input[value={furnished['instance']}]")
    box.terminate([another], "admin")
    person.page.locator("tr", has_text=another).get_by_text("terminated").wait_for()
    person.check_quiet()


def test_tabs_that_nobody_sees_keep_no_connection(
    box: CloudBox, chromium: Any, furnished: dict[str, str]
) -> None:
    """More tabs than a browser opens connections to one host; the last one still loads and is live."""
    person = Person(box, chromium)
    person.log_in("admin")
    for _ in range(8):
        person.page = person.context.new_page()
        person.go("/instances")
        person.page.evaluate(
            "Object.defineProperty(document, 'hidden', {get: () => true, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange'))"
        )
    person.page = person.context.new_page()
    person.go("/instances")
    person.page.get_by_text("live", exact=True).wait_for()


def test_by_keyboard_alone_from_asking_for_an_account_to_an_instance(
    box: CloudBox, chromium: Any, furnished: dict[str, str]
) -> None:
    stranger, admin = Person(box, chromium), Person(box, chromium)
    stranger.go("/signup")
    tab_to(stranger, "[name=account_name]")
    for text in ("observatory", "o@example.com", "Otto", "to look at stars", PASSWORD, PASSWORD):
        stranger.page.keyboard.type(text)
        stranger.page.keyboard.press("Tab")
    stranger.page.keyboard.press("Enter")
    stranger.page.get_by_role("heading", name="Thank you").wait_for()
    admin.log_in("admin")
    admin.go("/accounts")
    tab_to(admin, "button[value=approve]")
    admin.page.keyboard.press("Enter")
    admin.page.get_by_text("It is done.").wait_for()
    stranger.log_in("observatory")
    stranger.go("/launch")
    tab_to(stranger, "[name=name]")
    stranger.page.keyboard.type("telescope")
    tab_to(stranger, "button[value=launch]")
    stranger.page.keyboard.press("Enter")
    stranger.page.get_by_text("Launched: i-").wait_for()
    stranger.page.locator("tr", has_text="telescope").get_by_text("running").wait_for()
    stranger.check_quiet()


def tab_to(person: Person, selector: str) -> None:
    for _ in range(200):
        person.page.keyboard.press("Tab")
        if person.page.evaluate("([s]) => document.activeElement.matches(s)", [selector]):
            return
    raise AssertionError(f"{selector} is not reached by the Tab key")


def test_files_are_uploaded_with_their_progress(
    box: CloudBox, chromium: Any, furnished: dict[str, str], tmp_path: Path
) -> None:
    person = Person(box, chromium)
    person.log_in("admin")
    person.go("/buckets/furnished/?prefix=folder/")
    names = ["ä ö.txt", "large.bin"]
    (tmp_path / names[0]).write_text("hello")
    (tmp_path / names[1]).write_bytes(os.urandom(8 << 20))
    person.page.set_input_files("[name=files]", [tmp_path / name for name in names])
    person.page.click("#upload button")
    person.page.get_by_role("link", name="large.bin").wait_for()
    s3 = box.client("s3", "admin")
    stored = s3.get_object(Bucket="furnished", Key="folder/large.bin")["Body"].read()
    assert stored == (tmp_path / "large.bin").read_bytes()
    assert s3.get_object(Bucket="furnished", Key="folder/ä ö.txt")["Body"].read() == b"hello"
    person.check_quiet()


def test_what_cannot_be_taken_back_is_asked_first(
    box: CloudBox, chromium: Any, furnished: dict[str, str]
) -> None:
    person = Person(box, chromium)
    person.log_in("admin")
    person.go(f"/instances/{furnished['instance']}")
    person.page.once("dialog", lambda dialog: dialog.dismiss())
    person.page.click("button[value=terminate]")
    assert box.instance(furnished["instance"], "admin")["State"]["Name"] == "running"


@pytest.fixture
def serial_line(box: CloudBox, furnished: dict[str, str]) -> Iterator[list[bytes]]:
    """What was typed into the serial console of the instance; it answers in capitals."""
    folder = box.app.data.run_dir / "consoles" / furnished["instance"]
    folder.mkdir(parents=True, exist_ok=True)
    path, typed = folder / "serial.sock", []
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with contextlib.suppress(OSError):
            guest, _ = listener.accept()
            guest.sendall(b"login: ")
            while data := guest.recv(1000):
                typed.append(data)
                guest.sendall(data.upper())

    thread = threading.Thread(target=answer)
    thread.start()
    yield typed
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def test_a_serial_console_is_typed_into(
    box: CloudBox, chromium: Any, furnished: dict[str, str], serial_line: list[bytes]
) -> None:
    person = Person(box, chromium)
    person.log_in("admin")
    person.go(f"/instances/{furnished['instance']}?tab=serial")
    person.page.locator("#terminal-state", has_text="live").wait_for()
    person.page.locator("#terminal").get_by_text("login:").first.wait_for()
    person.page.keyboard.type("uname -sr")
    person.page.locator("#terminal").get_by_text("UNAME -SR").first.wait_for()
    assert b"".join(serial_line) == b"uname -sr"
    assert person.violations() == []
    person.check_quiet()
    person.context.close()


def test_a_console_is_closed_to_other_origins_accounts_and_strangers(
    box: CloudBox, chromium: Any, furnished: dict[str, str]
) -> None:
    url = f"/instances/{furnished['instance']}/serial"
    key = base64.b64encode(os.urandom(16)).decode()
    for who, origin in (("alice", ""), ("admin", "https://evil.example"), (None, "")):
        person = Person(box, chromium)
        if who is not None:
            person.log_in(who)
        cookies = "; ".join(f"{c['name']}={c['value']}" for c in person.context.cookies())
        context = ssl.create_default_context(cafile=str(box.data_dir / "ca.pem"))
        port = box.app.consoles[0].port
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            "Origin": origin or person.origin,
            "Cookie": cookies,
        }
        connection.request("GET", url, headers=headers)
        assert connection.getresponse().status in (401, 403)
        connection.close()
