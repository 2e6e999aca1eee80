"""The WSDL of EC2's SOAP interface (WSDL 1.1 W3C Note), from the tables that requests are read with."""

import functools
from collections.abc import Iterable

from euca_box.api.ec2 import shapes
from euca_box.api.ec2.encode import escaped
from euca_box.api.soap import ec2_shapes
from euca_box.api.soap.ec2_shapes import Element

_HTTP = "http://schemas.xmlsoap.org/soap/http"
_BINDINGS = {"soap": "AmazonEC2Binding", "soap12": "AmazonEC2Binding12"}


@functools.cache
def wsdl(version: str, endpoint: str) -> bytes:
    """The document of one version; its actions are those that are served."""
    space = ec2_shapes.NAMESPACE.format(version)
    actions = [action for action in ec2_shapes.actions(version) if action in shapes.actions()]
    types = "".join(_types(version, action) for action in actions)
    messages = "".join(_messages(action) for action in actions)
    operations = "".join(
        f'<operation name="{action}"><input message="tns:{action}Request"/>'
        f'<output message="tns:{action}Response"/></operation>'
        for action in actions
    )
    bindings = "".join(_binding(soap, name, actions) for soap, name in _BINDINGS.items())
    ports = "".join(
        f'<port name="{name}Port" binding="tns:{name}">'
        f'<{soap}:address location="{escaped(endpoint)}"/></port>'
        for soap, name in _BINDINGS.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" '
        'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" '
        'xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xs="http://www.w3.org/2001/XMLSchema" '
        f'xmlns:tns="{space}" targetNamespace="{space}">'
        f'<types><xs:schema targetNamespace="{space}" elementFormDefault="qualified">{types}</xs:schema>'
        f'</types>{messages}<portType name="AmazonEC2PortType">{operations}</portType>{bindings}'
        f'<service name="AmazonEC2">{ports}</service></definitions>'
    ).encode()


def _types(version: str, action: str) -> str:
    told = [Element("requestId", "v")] if version >= ec2_shapes.FIRST_WITH_REQUEST_ID else []
    answered = (*told, *ec2_shapes.response(version, action).elements)
    return (
        f'<xs:element name="{action}">{_complex(ec2_shapes.request(version, action).elements)}</xs:element>'
        f'<xs:element name="{action}Response">{_complex(answered, needed=False)}</xs:element>'
    )


def _complex(elements: Iterable[Element], *, needed: bool = True) -> str:
    inside = "".join(_element(element, needed=needed) for element in elements)
    return f"<xs:complexType><xs:sequence>{inside}</xs:sequence></xs:complexType>"


def _element(element: Element, *, needed: bool, often: str = "") -> str:
    least = "" if element.required and needed else ' minOccurs="0"'
    start = f'<xs:element name="{element.name}"{least}{often}'
    if element.item is not None:
        items = _element(element.item, needed=needed, often=' maxOccurs="unbounded"')
        return f"{start}><xs:complexType><xs:sequence>{items}</xs:sequence></xs:complexType></xs:element>"
    if element.kind == "s":
        return f"{start}>{_complex(element.members, needed=needed)}</xs:element>"
    return f'{start} type="{ec2_shapes.xsd_type(element.name)}"/>'


def _messages(action: str) -> str:
    return (
        f'<message name="{action}Request"><part name="parameters" element="tns:{action}"/></message>'
        f'<message name="{action}Response"><part name="parameters" element="tns:{action}Response"/></message>'
    )


def _binding(soap: str, name: str, actions: Iterable[str]) -> str:
    body = f'<{soap}:body use="literal"/>'
    operations = "".join(
        f'<operation name="{action}"><{soap}:operation soapAction="{action}"/>'
        f"<input>{body}</input><output>{body}</output></operation>"
        for action in actions
    )
    return (
        f'<binding name="{name}" type="tns:AmazonEC2PortType">'
        f'<{soap}:binding style="document" transport="{_HTTP}"/>{operations}</binding>'
    )
