"""Walks an answer of IAM or STS beside botocore's output shape: unknown, mistyped, missing is an error."""

import re
import xml.etree.ElementTree as ET
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def walk(response_dict: dict[str, Any], operation: Any) -> None:
    """Raises AssertionError with the path of what is wrong."""
    root = ET.fromstring(response_dict["body"])
    namespace, _, tag = root.tag.lstrip("{").rpartition("}")
    assert tag == f"{operation.name}Response"
    assert namespace == operation.service_model.metadata["xmlNamespace"]
    children = {_local(child): child for child in root}
    shape = operation.output_shape
    wrapper = set() if shape is None else {f"{operation.name}Result"}
    assert set(children) == {"ResponseMetadata", *wrapper}
    if shape is not None:
        _structure(shape, children[f"{operation.name}Result"], operation.name)


def _structure(shape: Any, element: Any, path: str) -> None:
    tags = [_local(child) for child in element]
    assert len(set(tags)) == len(tags), f"{path}: given twice: {tags}"
    for child in element:
        tag = _local(child)
        assert tag in shape.members, f"{path}/{tag} is not in the model of {shape.name}"
        _value(shape.members[tag], child, f"{path}/{tag}")
    missing = set(shape.required_members) - set(tags)
    assert not missing, f"{path}: {missing} must be there"


def _value(shape: Any, element: Any, path: str) -> None:
    kind = shape.type_name
    if kind == "structure":
        _structure(shape, element, path)
    elif kind == "list":
        for child in element:
            assert _local(child) == "member", f"{path} has {child.tag}"
            _value(shape.member, child, f"{path}/member")
    elif kind == "map":
        for entry in element:
            assert [_local(entry), *map(_local, entry)] == ["entry", "key", "value"]
            _value(shape.key, entry[0], f"{path}/key")
            _value(shape.value, entry[1], f"{path}/value")
    else:
        _scalar(shape, element.text or "", path)


def _scalar(shape: Any, text: str, path: str) -> None:
    kind = shape.type_name
    if kind in ("integer", "long"):
        assert re.fullmatch(r"-?\d+", text), f"{path}: {text!r} is no integer"
    elif kind == "boolean":
        assert text in ("true", "false"), f"{path}: {text!r} is no boolean"
    elif kind == "timestamp":
        assert TIME.fullmatch(text), f"{path}: {text!r} is no time"
    else:
        assert kind == "string", f"{path}: {kind}"
        enum = getattr(shape, "enum", None)
        assert not enum or text in enum, f"{path}: {text!r} is none of {enum}"
        least = shape.metadata.get("min", 0)
        assert len(text) >= least, f"{path}: {text!r} is shorter than {least}"


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]
