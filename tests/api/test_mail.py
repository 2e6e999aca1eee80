"""Mail: asking for an account, its approval, a forgotten password; by a real SMTP server (aiosmtpd)."""

import re
import socket
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import attrs
import pytest

from tests.api import cloud_box
from tests.api.browser import Browser, person
from tests.api.cloud_box import CloudBox, running_cloud

controller = pytest.importorskip("aiosmtpd.controller")
PASSWORD = "correct horse battery"


class Letterbox:
    def __init__(self) -> None:
        self.letters: list[Any] = []
        self.refuses = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refuses:
            return "451 come back later"
        self.letters.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"

    def to(self, recipient: str) -> list[Any]:
        return [letter for letter in self.letters if letter["To"] == recipient]


@pytest.fixture(scope="module")
def letterbox() -> Iterator[tuple[Letterbox, int]]:
    letters = Letterbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = controller.Controller(letters, hostname="127.0.0.1", port=port)
    server.start()
    yield letters, port
    server.stop()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, letterbox: tuple[Letterbox, int]) -> Iterator[CloudBox]:
    plain = cloud_box._config

    def with_mail(*args: Any) -> Any:
        config = plain(*args)
        mail = attrs.evolve(
            config.mail,
            smtp_host="127.0.0.1",
            smtp_port=letterbox[1],
            tls="none",
            sender="cloud@example.com",
            admin="boss@example.com",
            console_url="https://cloud.example:8443",
        )
        return attrs.evolve(config, mail=mail)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud_box, "_config", with_mail)
        with running_cloud(tmp_path_factory.mktemp("mail")) as cloud:
            patch.undo()
            yield cloud


def forget(box: CloudBox) -> None:
    box.in_trio(box.app.clc.attempts._failed.clear)


def test_the_administrator_hears_of_a_request_and_the_person_of_the_approval(
    box: CloudBox, letterbox: tuple[Letterbox, int]
) -> None:
    letters, _ = letterbox
    asked = {"email": "ada@example.com", "password": PASSWORD, "again": PASSWORD}
    name = "Ada\r\nBcc: everybody@example.com"
    Browser(box).post("/signup", account_name="analysts", real_name=name, reason="engines", **asked)
    box.until(lambda: letters.to("boss@example.com"))
    [letter] = letters.to("boss@example.com")
    assert letter["Bcc"] is None and letter["From"] == "cloud@example.com"
    assert "https://cloud.example:8443/accounts" in letter.get_content()
    assert "engines" in letter.get_content()
    admin = person(box, "admin")
    found = re.search(r'name="signup" value="([0-9a-f]{16})"', admin.get("/accounts").text)
    assert found is not None
    admin.post("/accounts", signup=found[1], do="approve")
    box.until(lambda: letters.to("ada@example.com"))
    assert "https://cloud.example:8443/login" in letters.to("ada@example.com")[0].get_content()
    box.until(lambda: box.rows("clc", "SELECT * FROM mail") == [])


def test_a_forgotten_password_is_chosen_anew_by_a_link_that_is_good_once(
    box: CloudBox, letterbox: tuple[Letterbox, int]
) -> None:
    letters, _ = letterbox
    box.keys["grace"] = box.admin("AddUser", name="grace", email="grace@example.com")
    before = person(box, "grace")
    stranger = Browser(box)
    said = {
        stranger.said(stranger.post("/recover", name=name, email=email))
        for name, email in (("grace", "Grace@example.com"), ("grace", "x@example.com"), ("nobody", "a@b.c"))
    }
    assert len(said) == 1
    box.until(lambda: letters.to("grace@example.com"))
    [letter] = letters.to("grace@example.com")
    assert letters.to("x@example.com") == letters.to("a@b.c") == []
    found = re.search(r"https://cloud.example:8443(/recover/\S+)", letter.get_content())
    assert found is not None
    link = found[1]
    assert link.rpartition("/")[2] not in repr(box.rows("clc", "SELECT * FROM recovery"))
    assert "differ" in stranger.said(stranger.post(link, new="a" * 9, again="b" * 9))
    assert "8 to 128" in stranger.said(stranger.post(link, new="short", again="short"))
    new = "another good password"
    assert "changed" in stranger.said(stranger.post(link, new=new, again=new))
    assert "not good" in stranger.said(stranger.post(link, new=new, again=new))
    assert before.get("/", follow=False).location == "/login"
    assert Browser(box).log_in("grace", new).status == 200
    forget(box)


def test_a_link_is_over_after_an_hour(box: CloudBox, letterbox: tuple[Letterbox, int]) -> None:
    letters, _ = letterbox
    box.keys["late"] = box.admin("AddUser", name="late", email="late@example.com")
    Browser(box).post("/recover", name="late", email="late@example.com")
    box.until(lambda: letters.to("late@example.com"))
    link = re.search(r"8443(/recover/\S+)", letters.to("late@example.com")[0].get_content())
    assert link is not None
    now = box.app.clc.now
    box.app.clc.now = lambda: now() + 3601
    try:
        browser = Browser(box)
        assert "not good" in browser.said(browser.post(link[1], new="a good one", again="a good one"))
    finally:
        box.app.clc.now = now
    forget(box)


def test_what_cannot_be_sent_waits_and_the_administrator_reads_why(
    box: CloudBox, letterbox: tuple[Letterbox, int]
) -> None:
    letters, _ = letterbox
    box.keys["patient"] = box.admin("AddUser", name="patient", email="patient@example.com")
    letters.refuses = True
    Browser(box).post("/recover", name="patient", email="patient@example.com")
    box.until(lambda: box.rows("clc", "SELECT * FROM mail WHERE tries = 1"))
    [row] = box.rows("clc", "SELECT * FROM mail")
    assert "come back later" in row["error"]
    assert any("Mail cannot be sent" in p for p in box.admin("DescribeCloud")["problems"])
    letters.refuses = False
    now = box.app.clc.now
    box.app.clc.now = lambda: now() + 120
    try:
        box.in_trio(box.app.clc.mail_bell.ring)
        box.until(lambda: letters.to("patient@example.com"))
    finally:
        box.app.clc.now = now
    box.until(lambda: not any("Mail" in p for p in box.admin("DescribeCloud")["problems"]))
    forget(box)


def test_without_a_server_there_is_no_recovery(tmp_path: Any) -> None:
    with running_cloud(tmp_path, users=()) as plain:
        browser = Browser(plain)
        assert browser.get("/recover").status == 404
        assert "/recover" not in browser.get("/login").text
        Browser(plain).post(
            "/signup", account_name="nomail", email="a@b.example", password=PASSWORD, again=PASSWORD
        )
        assert plain.rows("clc", "SELECT * FROM mail") == []
        assert len(plain.rows("clc", "SELECT * FROM signup")) == 1
