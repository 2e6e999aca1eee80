"""From files, environment and flags to one Config; and every mistake in them as a line to read.

/etc/euca-box/config.toml:6: network.mode = "EGDE" is not one of EDGE. Did you mean "EDGE"?
"""

import contextlib
import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from euca_box.config import ROLES, Config
from euca_box.model.config_files import PREFIX, SYSTEM_FILE, SYSTEM_FOLDER


class ConfigError(Exception):
    """One or more mistakes; the text has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


@attrs.frozen
class Origin:
    """Where a setting came from: a file and its line, a variable, a flag."""

    source: str
    text: str = ""

    def at(self, path: str) -> str:
        line = _line_of(self.text, path)
        return f"{self.source}:{line}" if line else self.source


def load(
    file: Path | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Any] | None = None,
) -> tuple[Config, dict[str, str]]:
    """The Config, and for each setting that is not a default where it came from. Raises ConfigError."""
    layers = [*_files(file), *_from_environment(environment)]
    layers += [
        ({key: value}, Origin("flag --" + key.replace("_", "-"))) for key, value in (flags or {}).items()
    ]
    return merge(layers)


def merge(layers: Iterable[tuple[dict[str, Any], Origin]]) -> tuple[Config, dict[str, str]]:
    """Later layers win, setting by setting."""
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for layer, origin in layers:
        _lay_over(values, layer, origin, origins, "")
    try:
        config: Config = _converter().structure(values, Config)
    except cattrs.BaseValidationError as error:
        raise ConfigError(sorted(_mistakes(error, values, origins))) from None
    return config, {path: origin.at(path) for path, origin in origins.items()}


def parse(text: str, source: str = "config.toml") -> Config:
    """One file's text. Raises ConfigError."""
    return merge([(_toml(text, source), Origin(source, text))])[0]


def changed(config: Config, values: Mapping[str, Any]) -> Config:
    """The configuration with other values of these settings, as `cloud.max_images`. Raises ConfigError."""
    if not values:
        return config
    layer: dict[str, Any] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        layer.setdefault(section, {})[key] = value
    checked = merge([(layer, Origin("change"))])[0]
    for section, keys in layer.items():
        fresh = {key: getattr(getattr(checked, section), key) for key in keys}
        config = attrs.evolve(config, **{section: attrs.evolve(getattr(config, section), **fresh)})
    return config


def is_setting(name: str) -> bool:
    section, _, key = name.partition(".")
    kind = getattr(attrs.fields_dict(Config).get(section), "type", None)
    return kind is not None and attrs.has(kind) and key in attrs.fields_dict(kind)


def rule_of(name: str) -> Mapping[str, Any]:
    """Meaning, choices and check of a setting that there is."""
    found: Mapping[str, Any] = _field_of(name)[0].metadata
    return found


def typed(name: str, text: str) -> Any:
    """What somebody typed for a setting that there is: 5, true, a word; lists with commas or as JSON.

    Raises ValueError.
    """
    _, hint = _field_of(name)
    if hint is str:
        return text
    if hint is bool and text.lower() in ("yes", "no", "on", "off", "true", "false"):
        return text.lower() in ("yes", "on", "true")
    if get_origin(hint) is list and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        words = {int: "a whole number", float: "a number", bool: "true or false"}
        raise ValueError(f"{name} = {text[:80]!r} must be {words.get(hint, 'a list')}.") from None


def as_typed(value: str) -> str:
    """The reverse, of JSON."""
    found = json.loads(value)
    if isinstance(found, list):
        return ",".join(map(str, found))
    return value if isinstance(found, bool) else str(found)


def _field_of(name: str) -> tuple[Any, Any]:
    section, _, key = name.partition(".")
    kind = attrs.fields_dict(Config)[section].type
    assert kind is not None
    return attrs.fields_dict(kind)[key], get_type_hints(kind)[key]


def roles_of(names: list[str]) -> tuple[str, ...]:
    """["all"] -> every role, in the order in which they start."""
    return ROLES if "all" in names else tuple(role for role in ROLES if role in names)


def _files(file: Path | None) -> list[tuple[dict[str, Any], Origin]]:
    paths = [file] if file else [SYSTEM_FILE, *sorted(SYSTEM_FOLDER.glob("*.toml"))]
    layers = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if file:
                raise ConfigError([f"{path}: there is no such file"]) from None
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: cannot be read: {error}"]) from None
        layers.append((_toml(text, str(path)), Origin(str(path), text)))
    return layers


def _toml(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r" \(at line (\d+), column \d+\)", str(error))
        where = f"{source}:{match[1]}" if match else source
        raise ConfigError([f"{where}: not TOML: {re.sub(r' [(]at .*', '', str(error))}"]) from None


def _from_environment(environment: Mapping[str, str]) -> list[tuple[dict[str, Any], Origin]]:
    layers = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        value: Any = text
        with contextlib.suppress(tomllib.TOMLDecodeError):
            value = tomllib.loads(f"x = {text}")["x"]  # where it is one: 8773, true, ["cc", "nc"]
        layer: dict[str, Any] = {}
        node = layer
        *sections, last = name.removeprefix(PREFIX).lower().split("__")
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
        layers.append((layer, Origin(f"environment {name}")))
    return layers


def _lay_over(
    values: dict[str, Any], layer: dict[str, Any], origin: Origin, origins: dict[str, Origin], prefix: str
) -> None:
    for key, value in layer.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and isinstance(values.get(key, {}), dict):
            _lay_over(values.setdefault(key, {}), value, origin, origins, path + ".")
        else:
            values[key] = value
            origins[path] = origin


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)

    def structure(kind: type) -> Any:
        hooks: dict[str, Any] = {
            field.name: override(struct_hook=_checked(field, get_type_hints(kind)[field.name]))
            for field in attrs.fields(kind)
            if "choices" in field.metadata
        }
        return make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks)

    converter.register_structure_hook_factory(attrs.has, structure)
    return converter


def _checked(field: Any, hint: Any) -> Any:
    """A hook that takes the value only if it has the type, is a choice, and passes the check."""

    def check(value: Any, _: Any) -> Any:
        value = _of_type(value, hint)
        choices = field.metadata["choices"]
        if choices and value not in choices:
            near = difflib.get_close_matches(str(value), [str(c) for c in choices], 1, 0.5)
            hint_text = f' Did you mean "{near[0]}"?' if near else ""
            raise ValueError(f"is not one of {', '.join(map(str, choices))}.{hint_text}")
        if field.name == "roles":
            _check_roles(value)
        if field.metadata["check"] is not None:
            field.metadata["check"](value)
        return value

    return check


def _check_roles(names: list[str]) -> None:
    for name in names:
        if name not in (*ROLES, "all"):
            near = difflib.get_close_matches(name, [*ROLES, "all"], 1, 0.3)
            hint_text = f' Did you mean "{near[0]}"?' if near else ""
            raise ValueError(f"has {name!r}, which is not one of all, {', '.join(ROLES)}.{hint_text}")


def _of_type(value: Any, hint: Any) -> Any:
    if get_origin(hint) is list:
        [item] = get_args(hint)
        if not isinstance(value, list):
            raise ValueError("must be a list")
        return [_of_type(v, item) for v in value]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        words = {int: "a whole number", float: "a number", str: "text in quotes", bool: "true or false"}
        raise ValueError(f"must be {words[hint]}")
    return value


def _mistakes(
    error: BaseException, values: Any, origins: dict[str, Origin], path: str = "", kind: type = Config
) -> Iterable[str]:
    """Walk cattrs' tree of errors; each leaf is a line with the place, the setting and the reason."""
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        for name in sorted(error.extra_fields):
            near = difflib.get_close_matches(name, known, 1, 0.5)
            tail = f'Did you mean "{near[0]}"?' if near else f"Known here: {', '.join(known)}."
            yield f"{_place(origins, path + name)}: unknown setting {path}{name}. {tail}"
        return
    if isinstance(error, cattrs.BaseValidationError):
        for inner in error.exceptions:
            name = next((str(getattr(n, "name", "")) for n in getattr(inner, "__notes__", ())), "")
            name = name or next((str(n) for n in getattr(inner, "__notes__", ())), "")
            match = re.search(r"key '([^']+)'", name)  # IterableValidationNote of a mapping
            step = match[1] if match else name
            yield from _mistakes(inner, values, origins, f"{path}{step}." if step else path, kind)
        return
    setting = path.rstrip(".")
    reason = str(error) if isinstance(error, ValueError) else "must be a table"
    yield f"{_place(origins, setting)}: {setting} = {_shown(values, setting)} {reason}"


def _shown(values: Any, path: str) -> str:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return f'"{values}"' if isinstance(values, str) else str(values)


def _place(origins: dict[str, Origin], path: str) -> str:
    for known, origin in origins.items():
        if known == path or known.startswith(path + "."):
            return origin.at(path)
    return "config"


def _line_of(text: str, path: str) -> int | None:
    """The line that sets `section.key`: tomllib gives no positions, so look for it."""
    section, _, key = path.rpartition(".")
    here, table_line = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[([^\]]+)\]", line):
            here = match[1].strip().replace('"', "")
            if here == path:
                table_line = number
        elif match := re.match(r'\s*([A-Za-z0-9_."-]+?)\s*=', line):
            name = match[1].replace('"', "")
            if (f"{here}.{name}" if here else name) == path or (here == section and name == key):
                return number
    return table_line
