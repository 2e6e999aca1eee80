"""Read the XML that clients send, as if all of it were hostile.

No DTD at all, UTF-8 only, bounded size, depth and number of elements; comments and processing
instructions are dropped before text is read. Names count without their namespace: clients send the
one of 2006 or none.
"""

import re
from typing import Any

from lxml import etree

from euca_box.model.s3_errors import MalformedXML

MOST_ELEMENTS = 100_000  # a completion of 10 000 parts with all their checksums has 80 000
MOST_NAMESPACES = 16
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")


def parse_xml(body: bytes, root_name: str) -> etree._Element:
    """The root element. Raises MalformedXML."""
    declared = _DECLARED.match(body.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        raise MalformedXML()
    if body.count(b"xmlns") > MOST_NAMESPACES or b"<!DOCTYPE" in body or body.count(b"<") > 3 * MOST_ELEMENTS:
        raise MalformedXML()
    try:
        body.decode("utf-8")
        root = etree.fromstring(body, _parser())
    except (etree.XMLSyntaxError, UnicodeDecodeError, ValueError):
        raise MalformedXML() from None
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype or local_name(root) != root_name:
        raise MalformedXML()
    return root


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


def local_name(element: etree._Element) -> str:
    return etree.QName(element).localname


def children(element: etree._Element, name: str) -> list[etree._Element]:
    return [child for child in element if isinstance(child.tag, str) and local_name(child) == name]


def text_of(element: etree._Element, name: str) -> str | None:
    """The text of the one child of that name; None when there is none. Raises MalformedXML."""
    found = children(element, name)
    if len(found) > 1 or (found and len(found[0])):
        raise MalformedXML()
    return (found[0].text or "") if found else None
