"""Buckets as web sites: pages, index, errors, redirects, and nothing that a visitor may not read."""

import http.client
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.s3_box import ALICE, S3Box, running_s3

_names = itertools.count()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture(scope="module")
def alice(box: S3Box) -> Any:
    return box.client(ALICE)


@pytest.fixture
def site(alice: Any) -> str:
    name = f"site-{next(_names)}"
    alice.create_bucket(Bucket=name)
    for key in ("index.html", "docs/index.html", "docs/a.html", "error.html"):
        text = f"<p>{key}</p>"
        alice.put_object(Bucket=name, Key=key, Body=text, ContentType="text/html", ACL="public-read")
    alice.put_object(Bucket=name, Key="secret.html", Body=b"secret")
    alice.put_bucket_website(Bucket=name, WebsiteConfiguration=SITE)
    return name


SITE = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}


def visit(
    box: S3Box, site: str, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=10)
    host = f"{site}.s3-website.localhost:{box.port}"
    connection.request(method, path, headers={"Host": host, **headers})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/", b"index.html"),
        ("/docs/", b"docs/index.html"),
        ("/docs/a.html", b"docs/a.html"),
        ("/docs/a.html?x=y&acl&versionId=1", b"docs/a.html"),
    ],
)
def test_a_visitor_reads_pages(box: S3Box, site: str, path: str, page: bytes) -> None:
    status, headers, body = visit(box, site, path)
    assert (status, headers["content-type"], body) == (200, "text/html", b"<p>" + page + b"</p>")
    status, headers, body = visit(box, site, path, "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(page) + 7))


def test_a_folder_is_asked_for_with_its_slash(box: S3Box, site: str) -> None:
    status, headers, _ = visit(box, site, "/docs")
    assert (status, headers["location"]) == (302, "/docs/")


def test_what_is_not_there_or_not_public_is_the_error_page(box: S3Box, alice: Any, site: str) -> None:
    alice.put_bucket_acl(Bucket=site, ACL="public-read")
    assert (visit(box, site, "/absent")[0], visit(box, site, "/absent")[2]) == (404, b"<p>error.html</p>")
    status, _, body = visit(box, site, "/secret.html")
    assert (status, body) == (403, b"<p>error.html</p>")
    assert visit(box, site, "/absent", Range="bytes=0-1")[0] == 404
    alice.delete_object(Bucket=site, Key="error.html")
    status, headers, body = visit(box, site, "/ab%3Cb%3Esent")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"Code: NoSuchKey" in body
    assert b"<b>" not in body


def test_a_site_takes_nothing_in(box: S3Box, alice: Any, site: str) -> None:
    alice.put_bucket_acl(Bucket=site, ACL="public-read-write")
    for method in ("PUT", "POST", "DELETE"):
        assert visit(box, site, "/index.html", method)[0] == 405
    assert visit(box, site, "/")[2] == b"<p>index.html</p>"


def test_a_bucket_that_is_no_site_is_none(box: S3Box, alice: Any, site: str) -> None:
    alice.delete_bucket_website(Bucket=site)
    status, _, body = visit(box, site, "/")
    assert status == 404
    assert b"NoSuchWebsiteConfiguration" in body
    assert visit(box, "nobody-has-it", "/")[0] == 404


def test_all_requests_may_go_elsewhere(box: S3Box, alice: Any, site: str) -> None:
    elsewhere = {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "https"}}
    alice.put_bucket_website(Bucket=site, WebsiteConfiguration=elsewhere)
    status, headers, _ = visit(box, site, "/a%20b")
    assert (status, headers["location"]) == (301, "https://example.com/a%20b")


def test_rules_redirect_before_and_after_the_look(box: S3Box, alice: Any, site: str) -> None:
    rules = [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404", "KeyPrefixEquals": "x"},
            "Redirect": {"HostName": "example.com", "HttpRedirectCode": "307", "ReplaceKeyWith": "missing"},
        },
    ]
    alice.put_bucket_website(Bucket=site, WebsiteConfiguration={**SITE, "RoutingRules": rules})
    alice.put_bucket_acl(Bucket=site, ACL="public-read")
    host = f"{site}.s3-website.localhost:{box.port}"
    status, headers, _ = visit(box, site, "/old/a")
    assert (status, headers["location"]) == (301, f"http://{host}/new/a")
    status, headers, _ = visit(box, site, "/x/y")
    assert (status, headers["location"]) == (307, "http://example.com/missing")
    assert visit(box, site, "/y")[0] == 404


def test_an_object_may_redirect(box: S3Box, alice: Any, site: str) -> None:
    alice.put_object(Bucket=site, Key="moved", ACL="public-read", WebsiteRedirectLocation="/docs/a.html")
    status, headers, _ = visit(box, site, "/moved")
    assert (status, headers["location"]) == (301, "/docs/a.html")


@pytest.mark.parametrize(
    "document",
    [
        {"ErrorDocument": {"Key": "e"}},
        {"IndexDocument": {"Suffix": "a/b"}},
        {"IndexDocument": {"Suffix": ""}},
        {**SITE, "RedirectAllRequestsTo": {"HostName": "example.com"}},
        {"RedirectAllRequestsTo": {"HostName": "example.com/x"}},
        {"RedirectAllRequestsTo": {"HostName": "example.com", "Protocol": "ftp"}},
        {**SITE, "RoutingRules": [{"Redirect": {}}]},
        {**SITE, "RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]},
        {**SITE, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200"}}]},
        {**SITE, "RoutingRules": [{"Redirect": {"HostName": "a b"}}]},
        {
            **SITE,
            "RoutingRules": [
                {"Condition": {"HttpErrorCodeReturnedEquals": "200"}, "Redirect": {"ReplaceKeyWith": "a"}}
            ],
        },
        {**SITE, "RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a"}}] * 51},
    ],
)
def test_a_site_that_could_not_be_served_is_refused(alice: Any, site: str, document: Any) -> None:
    with pytest.raises(ClientError) as error:
        alice.put_bucket_website(Bucket=site, WebsiteConfiguration=document)
    assert error.value.response["Error"]["Code"] in ("InvalidRequest", "InvalidArgument", "MalformedXML")
    shown = alice.get_bucket_website(Bucket=site)
    shown.pop("ResponseMetadata")
    assert shown == SITE
