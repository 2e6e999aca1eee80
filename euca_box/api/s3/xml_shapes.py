"""XML of a configuration into its dataclass and back, by the names and types of its fields.

What the type does not know, what is missing and what is there twice is MalformedXML, and what it names
as not there is NotImplemented: a setting that was not understood must not be answered as set.
"""

import dataclasses
import enum
import re
import types
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lxml import etree

from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.xml_in import children, local_name, parse_xml
from euca_box.model.documents import not_there, wire_name
from euca_box.model.s3_errors import MalformedXML, S3NotImplemented

T = TypeVar("T")
MOST_ITEMS = 1000


def read_document_as(document: bytes, root: str, kind: type[T]) -> T:
    """Raises MalformedXML, and what the type says of its values."""
    value: T = _structured(parse_xml(document, root), kind)
    return value


def document_response(root: str, value: Any) -> Response:
    inner = _written_fields(value)
    return xml_response(f'<{root} xmlns="{NAMESPACE}">{inner}</{root}>')


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    wire: str
    inside: str | None
    kind: Any  # of one item
    is_many: bool
    is_required: bool


@cache
def _fields(kind: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    return tuple(_field(field, hints[field.name]) for field in dataclasses.fields(kind))


def _field(field: "dataclasses.Field[Any]", hint: Any) -> _Field:
    is_many = get_origin(hint) is tuple
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    item = get_args(hint)[0] if is_many else next(o for o in options if o is not type(None))
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return _Field(field.name, wire_name(field), field.metadata.get("inside"), item, is_many, required)


def _structured(node: etree._Element, kind: Any) -> Any:
    fields = _fields(kind)
    known = {field.wire for field in fields}
    if missing := {local_name(child) for child in node} & not_there(kind):
        raise S3NotImplemented(Element=min(missing))
    if (node.text or "").strip() or any(local_name(child) not in known for child in node):
        raise MalformedXML()
    values: dict[str, Any] = {}
    for field in fields:
        found = children(node, field.wire)
        if field.is_many:
            values[field.name] = _items(found, field)
        elif len(found) > 1 or (field.is_required and not found):
            raise MalformedXML()
        elif found:
            values[field.name] = _value(found[0], field.kind)
    return kind(**values)


def _items(found: Sequence[etree._Element], field: _Field) -> tuple[Any, ...]:
    if field.inside is not None:
        if len(found) > 1 or (field.is_required and not found):
            raise MalformedXML()
        found = list(found[0]) if found else []
        if any(local_name(item) != field.inside for item in found):
            raise MalformedXML()
    if len(found) > MOST_ITEMS or (field.is_required and field.inside is None and not found):
        raise MalformedXML()
    return tuple(_value(item, field.kind) for item in found)


def _value(node: etree._Element, kind: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return _structured(node, kind)
    if len(node):
        raise MalformedXML()
    text = node.text or ""
    if kind is str:
        return text
    if kind is bool:
        return _flag(text.strip())
    if kind is int:
        if not re.fullmatch("-?[0-9]{1,18}", text.strip(), re.ASCII):
            raise MalformedXML()
        return int(text)
    return _choice(text.strip(), kind)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise MalformedXML()
    return text.lower() == "true"


def _choice(text: str, kind: type[enum.StrEnum]) -> enum.StrEnum:
    try:
        return kind(text)
    except ValueError:
        raise MalformedXML() from None


def _written_fields(value: Any) -> str:
    kind: Any = type(value)
    return "".join(_written(getattr(value, field.name), field) for field in _fields(kind))


def _written(value: Any, field: _Field) -> str:
    if value is None or (value == () and not field.is_required):
        return ""
    if not field.is_many:
        return _one(field.wire, value)
    inner = "".join(_one(field.inside or field.wire, item) for item in value)
    return f"<{field.wire}>{inner}</{field.wire}>" if field.inside is not None else inner


def _one(name: str, value: Any) -> str:
    if dataclasses.is_dataclass(value):
        return f"<{name}>{_written_fields(value)}</{name}>"
    if isinstance(value, bool):
        return element(name, "true" if value else "false")
    return element(name, value)
