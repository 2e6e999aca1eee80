"""SOAP envelopes: read as if hostile, written in the version of the caller.

Source: SOAP 1.1 (W3C Note, 2000), SOAP 1.2 Part 1 and 2 (2007).
"""

import re
from typing import Any

from lxml import etree

from euca_box.api.ec2.encode import escaped
from euca_box.auth.wsse import SOAP_11, SOAP_12

MOST_NAMESPACES = 256
MOST_ELEMENTS = 20_000
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)")
_FAULTS = "http://webservices.amazon.com/AWSFault/2005-15-05"


class BadEnvelope(Exception):
    """The document cannot be a SOAP message of ours. `message` is for the client."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def parse(document: bytes) -> etree._Element:
    """The root of a document in UTF-8 without DTD, comments, instructions. Raises BadEnvelope."""
    declared = _DECLARED.match(document.removeprefix(b"\xef\xbb\xbf"))
    if declared and declared[1].lower() not in (b"utf-8", b"us-ascii"):
        raise BadEnvelope("The document must be in UTF-8.")
    if b"<!DOCTYPE" in document or b"<!ENTITY" in document:
        raise BadEnvelope("A document type is not accepted.")
    if document.count(b"xmlns") > MOST_NAMESPACES or document.count(b"<") > 2 * MOST_ELEMENTS:
        raise BadEnvelope("The document has too many parts.")
    try:
        document.decode("utf-8")
        root = etree.fromstring(document, _parser())
    except (etree.XMLSyntaxError, UnicodeDecodeError, ValueError):
        raise BadEnvelope("The document is not well-formed XML.") from None
    docinfo: Any = root.getroottree().docinfo
    if docinfo.doctype:
        raise BadEnvelope("A document type is not accepted.")
    if next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise BadEnvelope("Comments, processing instructions and entities are not accepted.")
    return root


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
    )


def space_of(root: etree._Element | None) -> str:
    """The namespace of the envelope: the version of SOAP in which is answered."""
    found = etree.QName(root).namespace if root is not None else None
    return SOAP_12 if found == SOAP_12 else SOAP_11


def content_type(space: str) -> str:
    return "application/soap+xml; charset=UTF-8" if space == SOAP_12 else "text/xml; charset=UTF-8"


def reply(space: str, content: str) -> bytes:
    """`content` is the one element of the Body."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soapenv:Envelope xmlns:soapenv="{space}"><soapenv:Body>{content}</soapenv:Body></soapenv:Envelope>'
    ).encode()


def fault(space: str, side: str, code: str, message: str, request_id: str, detail: str = "") -> bytes:
    """`side` is Client or Server; `code` the error code. `detail`: more elements for the client."""
    name, text = f"{side}.{code}", escaped(message)
    detail += f'<aws:RequestId xmlns:aws="{_FAULTS}">{request_id}</aws:RequestId>'
    if space == SOAP_11:
        return reply(
            space,
            f"<soapenv:Fault><faultcode>{name}</faultcode><faultstring>{text}</faultstring>"
            f"<detail>{detail}</detail></soapenv:Fault>",
        )
    value = "Sender" if side == "Client" else "Receiver"
    return reply(
        space,
        f"<soapenv:Fault><soapenv:Code><soapenv:Value>soapenv:{value}</soapenv:Value><soapenv:Subcode>"
        f'<soapenv:Value xmlns:aws="{_FAULTS}">aws:{name}</soapenv:Value></soapenv:Subcode></soapenv:Code>'
        f'<soapenv:Reason><soapenv:Text xml:lang="en">{text}</soapenv:Text></soapenv:Reason>'
        f"<soapenv:Detail>{detail}</soapenv:Detail></soapenv:Fault>",
    )


def fault_status(space: str, side: str) -> int:
    """SOAP 1.1 section 6.2: 500 for every fault; SOAP 1.2 part 2, 7.5.2.2: 400 for those of the sender."""
    return 400 if space == SOAP_12 and side == "Client" else 500
