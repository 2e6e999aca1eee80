"""A browser without scripts for the console: cookies, forms with their tokens, redirects."""

import http.client
import re
import ssl
from dataclasses import dataclass, field
from html import unescape
from typing import Any
from urllib.parse import urlencode

from tests.api.cloud_box import CloudBox


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def location(self) -> str:
        return self.headers.get("location", "")


@dataclass
class Browser:
    box: CloudBox
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.box.app.consoles[0].port}"

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Page:
        context = ssl.create_default_context(cafile=str(self.box.data_dir / "ca.pem"))
        port = self.box.app.consoles[0].port
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept": "text/html", **({"Cookie": cookie} if cookie else {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items() if value}
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    self.cookies[key] = rest.partition(";")[0]
            page = Page(answer.status, {n.lower(): v for n, v in answer.getheaders()}, text)
        finally:
            connection.close()
        if found := re.search(r'data-csrf="([0-9a-f]+)"', text):
            self.csrf = found[1]
        return page

    def get(self, path: str, *, follow: bool = True, **headers: str) -> Page:
        page = self.send("GET", path, **headers)
        while follow and page.status == 303:
            page = self.send("GET", page.location)
        return page

    def post(self, path: str, *, follow: bool = True, **fields: Any) -> Page:
        """As a form of ours: with the token, from our origin."""
        pairs = [("csrf", self.csrf)] if self.csrf else []
        for name, value in fields.items():
            name = {"from_": "from"}.get(name, name)
            pairs += [(name, v) for v in value] if isinstance(value, list) else [(name, value)]
        page = self.send(
            "POST",
            path,
            urlencode(pairs).encode(),
            Origin=self.origin,
            Content_Type="application/x-www-form-urlencoded",
        )
        while follow and page.status == 303:
            page = self.send("GET", page.location)
        return page

    def log_in(self, name: str, password: str, **more: str) -> Page:
        page = self.post("/login", name=name, password=password, **more)
        if page.status == 200:
            self.get("/")
        return page

    def said(self, page: Page) -> str:
        found = re.search(r'class="(?:said|error)" role="\w+">([^<]*)<', page.text)
        return unescape(found[1]) if found else ""


def person(box: CloudBox, name: str = "alice", password: str = "correct horse battery") -> Browser:
    """Somebody who is logged in."""
    box.admin("SetPassword", name=name, password=password)
    browser = Browser(box)
    assert browser.log_in(name, password).status == 200
    return browser
