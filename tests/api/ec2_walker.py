"""Walks an EC2 answer beside botocore's output shape: an unknown, repeated or mistyped element is an error.

botocore's own parser takes what it knows and passes over the rest, so that it finds nothing.
"""

import base64
import re
import xml.etree.ElementTree as ET
from typing import Any

# Values that AWS answers and its own model does not list.
BEYOND = ("internetGatewaySet/0/attachmentSet/0/state",)

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")


def walk_response(response_dict: dict[str, Any], operation_model: Any) -> None:
    """Raises AssertionError with the path of what is wrong."""
    root = ET.fromstring(response_dict["body"])
    name = operation_model.name
    namespace, _, tag = root.tag.lstrip("{").rpartition("}")
    version = operation_model.service_model.api_version
    assert (tag, namespace) == (f"{name}Response", f"http://ec2.amazonaws.com/doc/{version}/")
    children = [(_local(child), child) for child in root]
    assert children.pop(0)[0] == "requestId"
    assert "requestId" not in [tag for tag, _ in children]
    shape = operation_model.output_shape
    if shape is None:
        assert [(tag, child.text) for tag, child in children] == [("return", "true")]
        return
    _structure(shape, children, name)


def _structure(shape: Any, children: list[tuple[str, Any]], path: str) -> None:
    known = {
        member.serialization.get("name", member_name): member for member_name, member in shape.members.items()
    }
    tags = [tag for tag, _ in children]
    assert len(set(tags)) == len(tags), f"{path}: given twice: {tags}"
    for tag, child in children:
        assert tag in known, f"{path}/{tag} is not in the model of {shape.name}"
        _value(known[tag], child, f"{path}/{tag}")


def _value(shape: Any, element: Any, path: str) -> None:
    children = [(_local(child), child) for child in element]
    if shape.type_name == "structure":
        assert not (element.text or "").strip(), f"{path} is a structure with text"
        _structure(shape, children, path)
        return
    if shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for number, (tag, child) in enumerate(children):
            assert tag == item, f"{path} has {tag} where {item} belongs"
            _value(shape.member, child, f"{path}/{number}")
        return
    assert not children, f"{path} is a value with elements in it"
    _scalar(shape, element.text or "", path)


def _scalar(shape: Any, text: str, path: str) -> None:
    kind = shape.type_name
    if kind in ("integer", "long"):
        assert re.fullmatch(r"-?\d+", text), f"{path}: {text!r} is no integer"
    elif kind == "boolean":
        assert text in ("true", "false"), f"{path}: {text!r} is no boolean"
    elif kind == "timestamp":
        assert TIME.fullmatch(text), f"{path}: {text!r} is no time"
    elif kind in ("float", "double"):
        float(text)
    elif kind == "blob":
        base64.b64decode(text, validate=True)
    else:
        assert kind == "string", f"{path}: {kind}"
        enum = getattr(shape, "enum", None)
        assert not enum or text in enum or path.endswith(BEYOND), f"{path}: {text!r} is none of {enum}"


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
