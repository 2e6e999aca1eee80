"""Read the XML that clients send, as if all of it were hostile.

Comments and processing instructions are dropped before text is read. Names count without their
namespace: clients send the one of 2006 or none.
"""

from lxml import etree

from euca_box.api import xml_documents
from euca_box.model.s3_errors import MalformedXML

MOST_ELEMENTS = 100_000  # a completion of 10 000 parts with all their checksums has 80 000
MOST_NAMESPACES = 16


def parse_xml(body: bytes, root_name: str) -> etree._Element:
    """The root element. Raises MalformedXML."""
    try:
        root = xml_documents.parse(
            body, most_elements=MOST_ELEMENTS, most_namespaces=MOST_NAMESPACES, drops_comments=True
        )
    except xml_documents.BadDocument:
        raise MalformedXML() from None
    if local_name(root) != root_name:
        raise MalformedXML()
    return root


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
