"""Read XML that clients send, as if all of it were hostile: no DTD, UTF-8 only, bounded, no network."""

import re
from typing import Any

from lxml import etree

_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")


class BadDocument(Exception):
    """The document is not read. `message` is for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse(
    document: bytes, *, most_elements: int, most_namespaces: int, drops_comments: bool = False
) -> etree._Element:
    """The root element. Comments and processing instructions are dropped, or stay to be looked for.

    What opens a tag, an end tag too, is counted before anything is built. Raises BadDocument.
    """
    declared = _DECLARED.match(document.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        raise BadDocument("The document must be in UTF-8.")
    if b"<!DOCTYPE" in document:
        raise BadDocument("A document type is not accepted.")
    if document.count(b"xmlns") > most_namespaces or document.count(b"<") > 3 * most_elements:
        raise BadDocument("The document has too many parts.")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=drops_comments,
        remove_pis=drops_comments,
    )
    try:
        document.decode("utf-8")
        root = etree.fromstring(document, parser)
    except (etree.XMLSyntaxError, UnicodeDecodeError, ValueError):
        raise BadDocument("The document is not well-formed XML.") from None
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype:
        raise BadDocument("A document type is not accepted.")
    return root
