"""How the field of a configuration is named in the XML of S3, where the rule does not say.

By rule `expose_header` is the element ExposeHeader; a tuple is that element again and again.
"""

import dataclasses
from typing import Any


def element(name: str, *, inside: str | None = None, default: Any = dataclasses.MISSING) -> Any:
    """A field with the element's own name; `inside` is the name of the items that the element wraps."""
    return dataclasses.field(metadata={"element": name, "inside": inside}, default=default)


def not_there(kind: type[Any]) -> frozenset[str]:
    """Elements of S3's document that this one has no field for: `NOT_THERE` of the class."""
    names: frozenset[str] = getattr(kind, "NOT_THERE", frozenset())
    return names


def wire_name(field: "dataclasses.Field[Any]") -> str:
    given: str | None = field.metadata.get("element")
    return given or "".join(word.capitalize() for word in field.name.split("_"))
