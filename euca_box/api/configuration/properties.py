"""Settings of the components, as the tools of Eucalyptus ask for them.

1.6.2: GetWalrusConfiguration, UpdateWalrusConfiguration, GetStorageConfiguration, UpdateStorageConfiguration,
with the fields of its configuration pages. Later: DescribeProperties, ModifyPropertyValue; a property of a
zone or node has its name in front, as `us-east-1a.sc.max_volume_gib`.
"""

import json
from collections.abc import Callable, Iterable

from euca_box.api import audit
from euca_box.api.ec2.encode import escaped
from euca_box.api.query import Query
from euca_box.messages.base import Call
from euca_box.messages.service import ChangeSettings, GetSettings, ResetSettings, RoleSettings, SettingRow
from euca_box.model.errors import EucaError, InvalidParameterValue, MissingParameter, UnsupportedOperation
from euca_box.settings import as_typed

_WALRUS = {
    "MaxBucketsPerUser": ("walrus.max_buckets", 1),
    "MaxCacheSizeInMB": ("walrus.image_cache_gib", 1024),
}
_STORAGE = {"MaxVolumeSizeInGB": ("sc.max_volume_gib", 1), "MaxTotalVolumeSizeInGb": ("sc.max_total_gib", 1)}
_PAGES = {"Walrus": ("walrus", _WALRUS), "Storage": ("sc", _STORAGE)}
ACTIONS = (
    *(f"{verb}{page}Configuration" for verb in ("Get", "Update") for page in _PAGES),
    "DescribeProperties",
    "ModifyPropertyValue",
)


class Properties:
    """`addresses()`: of all roles that can be asked."""

    def __init__(self, ask: audit.Ask, addresses: Callable[[], list[str]]) -> None:
        self._ask, self._addresses = ask, addresses

    async def answer(self, action: str, query: Query, call: Call) -> str:
        """The inside of the reply. Raises EucaError."""
        given = {name: value for name, value in query.parameters() if name not in ("Action", "Version")}
        if action == "DescribeProperties":
            return await self._describe(given, call)
        if action == "ModifyPropertyValue":
            return await self._modify(given, call)
        verb, page = (
            action[:3],
            action.removeprefix("Get").removeprefix("Update").removesuffix("Configuration"),
        )
        role, fields = _PAGES[page]
        at = self._at(role, given.pop("Name", ""))
        if verb == "Upd":
            found = await audit.asked(self._ask, at, ChangeSettings(_changes(fields, given)), call)
        else:
            _refuse(given)
        found = await self._ask(at, GetSettings(), call)
        return _page(at, found, fields)

    async def _describe(self, given: dict[str, str], call: Call) -> str:
        """All, or those whose names begin with one of the parameters Properties.N (or Name)."""
        wanted = tuple(given.pop(name) for name in sorted(given) if name.startswith(("Properties.", "Name")))
        _refuse(given)
        items = []
        for at in self._addresses():
            try:
                found = await self._ask(at, GetSettings(), call)
            except EucaError:
                continue  # a host that does not answer has none to show
            rows = {_full_name(at, row): row for row in found.settings}
            items += [
                _tags("item", {"name": name, "value": as_typed(row.value), "description": row.meaning})
                for name, row in rows.items()
                if not wanted or name.startswith(wanted)
            ]
        return f"<euca:properties>{''.join(items)}</euca:properties>"

    async def _modify(self, given: dict[str, str], call: Call) -> str:
        name, value = given.pop("Name", ""), given.pop("Value", None)
        reset = given.pop("Reset", "false").lower() == "true"
        _refuse(given)
        if not name:
            raise MissingParameter("Name")
        if value is None and not reset:
            raise MissingParameter("Value")
        at, short = self._place(name)
        [before] = (await self._ask(at, GetSettings((short,)), call)).settings
        op = ResetSettings((short,)) if reset else ChangeSettings(((short, str(value)),))
        [after] = (await audit.asked(self._ask, at, op, call)).settings
        told = {"name": name, "value": as_typed(after.value), "oldValue": as_typed(before.value)}
        return "".join(_tag(key, text) for key, text in told.items())

    def _place(self, name: str) -> tuple[str, str]:
        """`us-east-1a.sc.max_volume_gib` -> the address and the setting's own name."""
        prefix, short = "", name
        if name.count(".") > 1:
            prefix, section, key = name.rsplit(".", 2)
            short = f"{section}.{key}"
        for at in self._addresses():
            role, _, place = at.partition("@")
            section, _, key = short.partition(".")
            if place == prefix and role in (section, key if section == "log" else "", _OWNERS.get(section)):
                return at, short
        raise InvalidParameterValue(f"There is no property {name[:100]}.")

    def _at(self, role: str, name: str) -> str:
        found = [at for at in self._addresses() if at.partition("@")[0] == role]
        named = [at for at in found if at in (name, f"{role}@{name}")] if name else found
        if not named:
            raise InvalidParameterValue(f"There is no {role} {name[:64]}".rstrip() + ".")
        return named[0]


_OWNERS = {"cloud": "clc", "mail": "clc", "network": "clc"}


def _full_name(at: str, row: SettingRow) -> str:
    place = at.partition("@")[2]
    return f"{place}.{row.name}" if place else row.name


def _changes(fields: dict[str, tuple[str, int]], given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    changes = []
    for name in list(given):
        if name not in fields:
            continue
        setting, unit = fields[name]
        text = given.pop(name)
        if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) % unit:
            raise InvalidParameterValue(
                f"{name} must be a whole number" + (f", a multiple of {unit}." if unit > 1 else ".")
            )
        changes.append((setting, str(int(text) // unit)))
    _refuse(given)
    if not changes:
        raise MissingParameter(next(iter(fields)))
    return tuple(changes)


def _refuse(given: dict[str, str]) -> None:
    """What this version has no setting for is not passed over."""
    if given:
        raise UnsupportedOperation(f"The parameter {next(iter(given))[:64]} is not supported here.")


def _page(at: str, found: RoleSettings, fields: dict[str, tuple[str, int]]) -> str:
    rows = {row.name: row for row in found.settings}
    named = {"name": at.partition("@")[2] or at}
    for name, (setting, unit) in fields.items():
        named[name[0].lower() + name[1:]] = str(json.loads(rows[setting].value) * unit)
    items = "".join(_tags("item", {"name": row.name, "value": as_typed(row.value)}) for row in found.settings)
    inside = "".join(_tag(key, text) for key, text in named.items())
    return f"{inside}<euca:properties>{items}</euca:properties>"


def _tags(name: str, fields: dict[str, str]) -> str:
    return f"<euca:{name}>{''.join(_tag(key, text) for key, text in fields.items())}</euca:{name}>"


def _tag(name: str, text: str) -> str:
    return f"<euca:{name}>{escaped(text)}</euca:{name}>"


def document(action: str, inside: str, namespace: str) -> Iterable[str]:
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<euca:{action}ResponseType xmlns:euca="{namespace}">'
    yield f"<euca:_return>true</euca:_return>{inside}</euca:{action}ResponseType>"
