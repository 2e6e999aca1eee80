"""The settings that a role keeps: changed while it runs, durable in its own rows, valid or refused.

A row stands before its effect. At the start the rows are laid over the configuration files before anything is
made of them; one that is no longer valid, after an upgrade, is left out with a line in the log.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from euca_box import settings
from euca_box.config import Config
from euca_box.messages import service as messages
from euca_box.messages.base import SYSTEM, Call
from euca_box.model.accounts import arn
from euca_box.model.errors import InvalidParameterValue
from euca_box.observe.failpoints import fp
from euca_box.services.live import KEPT
from euca_box.store.store import Row, Statement, insert

if TYPE_CHECKING:
    from euca_box.services.service import Service

log = logging.getLogger(__name__)

SQL = "SELECT name, value, changed_at, changed_by FROM setting"
LONGEST_VALUE = 4000


@dataclass(frozen=True)
class Kept:
    """A changed setting. `waits` until the next start."""

    value: Any
    changed_at: float
    changed_by: str
    waits: bool = False


def kept_in(role: str, config: Config, rows: Iterable[Row]) -> dict[str, Kept]:
    """What a role's rows change of the configuration."""
    found: dict[str, Kept] = {}
    for row in rows:
        name, value = row["name"], json.loads(row["value"])
        try:
            if name not in KEPT[role]:
                raise ValueError(f"{name} is no setting that {role} keeps")
            settings.changed(config, {name: value})
        except (settings.ConfigError, ValueError) as error:
            log.warning("a setting that was changed is left out: %s", error)
            continue
        found[name] = Kept(value, row["changed_at"], row["changed_by"])
    return found


def laid_over(config: Config, kept: Mapping[str, Kept]) -> Config:
    return settings.changed(config, {name: one.value for name, one in kept.items()})


async def get_settings(service: "Service", call: Call, op: messages.GetSettings) -> messages.RoleSettings:
    return _shown(service, op.names or tuple(KEPT[service.role]))


async def change_settings(
    service: "Service", call: Call, op: messages.ChangeSettings
) -> messages.RoleSettings:
    """Raises InvalidParameterValue with every mistake."""
    async with service.changing:
        values = _typed(service, op.values)
        rows = {
            name: insert(
                "setting",
                {
                    "name": name,
                    "value": json.dumps(value),
                    "changed_at": service.now(),
                    "changed_by": _who(call),
                },
                or_replace=True,
            )
            for name, value in values.items()
            if _value(service.config, name) != value
        }
        await service.store.write(*rows.values())
        fp(f"{service.role}.settings.after-commit")
        for name in rows:
            before = service.kept.get(name)
            _take(service, name, values[name])
            waits = not _apply(service, name, before)
            service.kept[name] = Kept(values[name], service.now(), _who(call), waits)
            log.info(
                "%s of %s is %s now, by %s", name, service.role, json.dumps(values[name])[:500], _who(call)
            )
    return _shown(service, tuple(values))


async def reset_settings(service: "Service", call: Call, op: messages.ResetSettings) -> messages.RoleSettings:
    async with service.changing:
        _check_names(service, op.names)
        names = [name for name in dict.fromkeys(op.names) if name in service.kept]
        await service.store.write(
            *(Statement("DELETE FROM setting WHERE name = ?", (name,)) for name in names)
        )
        fp(f"{service.role}.settings.after-commit")
        for name in names:
            before = service.kept.pop(name)
            _take(service, name, _value(service.configured, name))
            if not _apply(service, name, before):
                service.waiting.add(name)
            log.info("%s of %s is as configured again, by %s", name, service.role, _who(call))
    return _shown(service, op.names)


def _take(service: "Service", name: str, value: Any) -> None:
    service.config = settings.changed(service.config, {name: value})


def _apply(service: "Service", name: str, before: Kept | None) -> bool:
    """Whether it is in force. One that goes back to what this process started with is."""
    value = _value(service.config, name)
    in_force = KEPT[service.role][name](service.role_itself, value, service.config)
    service.waiting.discard(name)
    return in_force or value == _value(service.started, name)


def _typed(service: "Service", pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    given = dict(pairs)
    _check_names(service, given)
    try:
        values = {name: settings.typed(name, text[:LONGEST_VALUE]) for name, text in given.items()}
        changed = settings.changed(service.config, values)
    except (settings.ConfigError, ValueError) as error:
        raise InvalidParameterValue(str(error)) from None
    return {name: _value(changed, name) for name in values}


def _check_names(service: "Service", names: Iterable[str]) -> None:
    for name in names:
        if name not in KEPT[service.role]:
            raise InvalidParameterValue(_why_not(service.role, name))


def _why_not(role: str, name: str) -> str:
    if owner := next((other for other, kept in KEPT.items() if name in kept), ""):
        return f"{name} is kept by {owner}, not by {role}."
    if settings.is_setting(name):
        return f"{name} cannot be changed while it runs: set it in the configuration file and start again."
    return f"There is no setting {name[:64]}. {role} keeps {', '.join(KEPT[role])}."


def _shown(service: "Service", names: Iterable[str]) -> messages.RoleSettings:
    _check_names(service, names)
    return messages.RoleSettings(service.role, service.host, tuple(_row(service, name) for name in names))


def _row(service: "Service", name: str) -> messages.SettingRow:
    kept = service.kept.get(name)
    rule = settings.rule_of(name)
    return messages.SettingRow(
        name=name,
        value=json.dumps(_value(service.config, name)),
        configured=json.dumps(_value(service.configured, name)),
        meaning=rule["meaning"],
        choices=tuple(map(str, rule["choices"])),
        waits=name in service.waiting or (kept is not None and kept.waits),
        needs_restart=KEPT[service.role][name].__name__ == "_later",
        changed_at=kept.changed_at if kept else 0.0,
        changed_by=kept.changed_by if kept else "",
    )


def _value(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(config, section), key)


def _who(call: Call) -> str:
    return "the operator" if call.principal == SYSTEM else arn(call.principal)
