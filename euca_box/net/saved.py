"""What the network must still know after kill -9.

One file for each port and each group, one for public addresses, one for other hosts.

A port's file is written before its tap is made and goes after it, so that no tap of ours is ever unknown.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from euca_box.net.network import NetError, Port, RemotePort, Rule, SecurityGroup
from euca_box.net.ruleset import NetworkState

_RULE_FIELDS = tuple(field.name for field in fields(Rule))


class SavedState:
    """Files below `state_dir`. Raises NetError when they cannot be read or written."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir
        self._ports = state_dir / "ports"
        self._groups = state_dir / "groups"

    def load(self) -> NetworkState:
        try:
            self._ports.mkdir(parents=True, exist_ok=True, mode=0o700)
            ports = [_port(read_json(path)) for path in sorted(self._ports.glob("i-*.json"))]
            groups = self._load_groups()
            others = read_json(self._directory / "remotes.json") or {}
            remotes = [_remote(item) for item in others.get("remotes", ())]
            public = dict(read_json(self._directory / "public.json") or {})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise NetError(f"the saved network in {self._directory} cannot be read: {error}") from error
        return NetworkState(
            {p.instance_id: p for p in ports},
            {g.group_id: g for g in groups},
            public,
            hosts=frozenset(others.get("hosts", ())),
            remotes={r.instance_id: r for r in remotes},
        )

    def save_port(self, port: Port) -> None:
        write_json(self._ports / f"{port.instance_id}.json", asdict(port))

    def forget_port(self, instance_id: str) -> None:
        try:
            (self._ports / f"{instance_id}.json").unlink(missing_ok=True)
        except OSError as error:
            raise NetError(f"the port of {instance_id} cannot be forgotten: {error}") from error

    def save_groups(self, groups: Iterable[SecurityGroup]) -> None:
        """A file for each: a change of one rule writes no other group."""
        for group in groups:
            self._groups.mkdir(exist_ok=True, mode=0o700)
            write_json(self._groups / f"{group.group_id}.json", _group_values(group))

    def forget_groups(self, group_ids: Iterable[str]) -> None:
        try:
            for group_id in group_ids:
                (self._groups / f"{group_id}.json").unlink(missing_ok=True)
        except OSError as error:
            raise NetError(f"a security group cannot be forgotten: {error}") from error

    def _load_groups(self) -> list[SecurityGroup]:
        """Versions before 1.0 had all groups in one file."""
        old = self._directory / "groups.json"
        if old.exists():
            self.save_groups(_group(item) for item in read_json(old))
            old.unlink()
        return [_group(read_json(path)) for path in sorted(self._groups.glob("sg-*.json"))]

    def save_public(self, public: Mapping[str, str]) -> None:
        write_json(self._directory / "public.json", dict(public))

    def save_remotes(self, hosts: Iterable[str], remotes: Iterable[RemotePort]) -> None:
        value = {"hosts": sorted(hosts), "remotes": [asdict(remote) for remote in remotes]}
        write_json(self._directory / "remotes.json", value)

    def forget_all(self) -> None:
        ports, groups = self._ports.glob("i-*.json"), self._groups.glob("sg-*.json")
        for path in (*ports, *groups, *self._directory.glob("*.json")):
            path.unlink(missing_ok=True)


def _port(values: Any) -> Port:
    return Port(**{**values, "group_ids": tuple(values["group_ids"])})


def _group_values(group: SecurityGroup) -> dict[str, Any]:
    """As asdict, which takes ten times as long."""

    def rules(given: tuple[Rule, ...]) -> list[dict[str, Any]]:
        return [{name: getattr(rule, name) for name in _RULE_FIELDS} for rule in given]

    return {"group_id": group.group_id, "ingress": rules(group.ingress), "egress": rules(group.egress)}


def _remote(values: Any) -> RemotePort:
    return RemotePort(**{**values, "group_ids": tuple(values["group_ids"])})


def _group(values: Any) -> SecurityGroup:
    ingress, egress = (tuple(Rule(**rule) for rule in values[way]) for way in ("ingress", "egress"))
    return SecurityGroup(values["group_id"], ingress, egress)


def read_json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


def write_json(path: Path, value: object) -> None:
    """Whole or not at all: a crash leaves the old file or the new one."""
    fresh = path.with_suffix(".new")
    try:
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(json.dumps(value))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise NetError(f"{path} cannot be written: {error}") from error
