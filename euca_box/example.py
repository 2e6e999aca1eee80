"""config.toml.example, written from the settings: each with its meaning, commented by nobody else."""

import textwrap
from typing import Any

import attrs

from euca_box.config import VM_TYPES, Config

HEAD = """\
# euca-box. Every setting with its default; copy what you change to /etc/euca-box/config.toml.
# Written by: euca-box config example > config.toml.example
"""


def example() -> str:
    """The text of the example file. Parsing it gives the defaults."""
    lines = [HEAD]
    for field in attrs.fields(Config):
        if "choices" in field.metadata:
            lines += _setting(field)
    for field in attrs.fields(Config):
        if field.type is not None and attrs.has(field.type):
            lines += ["", f"# {field.type.__doc__}", f"[{field.name}]"]
            for inner in attrs.fields(field.type):
                lines += _setting(inner)
    lines += ["", "# VM types. Naming one here replaces the whole list.", "[vm_types]"]
    for name, vm in VM_TYPES.items():
        lines.append(
            f'"{name}" = {{ cpu = {vm.cpu}, memory_mib = {vm.memory_mib}, disk_gib = {vm.disk_gib} }}'
        )
    return "\n".join(lines) + "\n"


def _setting(field: Any) -> list[str]:
    meaning = field.metadata["meaning"]
    if field.metadata["choices"]:
        meaning += f" One of: {', '.join(map(str, field.metadata['choices']))}."
    default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
    comment = textwrap.wrap(meaning, 98, initial_indent="# ", subsequent_indent="# ")
    return [*comment, f"{field.name} = {_toml(default)}"]


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
