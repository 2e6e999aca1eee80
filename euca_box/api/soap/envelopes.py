"""SOAP envelopes: read as if hostile, written in the version of the caller.

Source: SOAP 1.1 (W3C Note, 2000), SOAP 1.2 Part 1 and 2 (2007).
"""

from lxml import etree

from euca_box.api import xml_documents
from euca_box.api.ec2.encode import escaped
from euca_box.api.xml_documents import BadDocument
from euca_box.auth.wsse import SOAP_11, SOAP_12

MOST_NAMESPACES = 256
MOST_ELEMENTS = 13_000
_FAULTS = "http://webservices.amazon.com/AWSFault/2005-15-05"


def parse(document: bytes) -> etree._Element:
    """The root of a document without comments, processing instructions and entities. Raises BadDocument."""
    root = xml_documents.parse(document, most_elements=MOST_ELEMENTS, most_namespaces=MOST_NAMESPACES)
    if next(root.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise BadDocument("Comments, processing instructions and entities are not accepted.")
    return root


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
