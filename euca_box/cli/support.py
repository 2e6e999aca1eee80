"""`euca-box support bundle`: what somebody needs who shall help, in one file, without secrets."""

import io
import json
import os
import platform
import tarfile
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from euca_box import __version__
from euca_box.cli import common
from euca_box.datadir import DataDir

LINES = 5000


@click.group("support")
def support_command() -> None:
    """Help from others."""


@support_command.command("bundle")
@click.option("--to", "target", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@common.data_dir_option
def bundle_command(target: Path | None, data_dir: Path | None) -> None:
    """Pack versions, settings, state, findings and logs of all hosts that answer.

    Keys, passwords, tokens, users' data and bytes of objects are left out; names, ids and addresses are in.
    """
    data = common.data_dir_of(data_dir)
    name = f"euca-box-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    target = target or Path(f"{name}.tar.gz")
    parts = _parts(data)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for path, text in parts.items():
            _add(tar, f"{name}/{path}", text)
    click.echo(f"{target}: {', '.join(parts)}. Read it before you send it.")


def _parts(data: DataDir) -> dict[str, str]:
    from euca_box.cli.doctor import of_the_cloud, of_this_host

    config = common.load_config(None)
    parts = {
        "versions.json": _json(_versions()),
        "settings.json": _json(_settings()),
        "files.txt": _files(data),
    }
    if not common.answers(data):
        return parts | {
            "doctor.json": _json(of_this_host(config, data, fix=False)),
            "box.log": _own_log(data),
        }
    parts["status.json"] = _json(_asked(data, "status"))
    parts["cloud.json"] = _json(_asked(data, "DescribeCloud"))
    parts["components.json"] = _json(_asked(data, "DescribeComponents"))
    parts["doctor.json"] = _json(of_the_cloud(data, fix=False))
    for place in common.addresses(data):
        found = _asked(data, "GetLogs", at=place, most=LINES)
        parts[f"logs/{place}.jsonl"] = "\n".join(found.get("lines", [json.dumps(found)])) + "\n"
        parts[f"settings/{place}.json"] = _json(_asked(data, "GetSettings", at=place))
    return parts


def _asked(data: DataDir, operation: str, **fields: Any) -> dict[str, Any]:
    """The reply, or why there is none."""
    try:
        return common.ask_or_raise(data, operation, **fields)
    except common.Refused as refused:
        return {"error": str(refused)}


def _versions() -> dict[str, Any]:
    return {
        "euca-box": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {d.name: d.version for d in metadata.distributions() if d.name},
    }


def _settings() -> list[dict[str, str]]:
    """Of the files, environment and flags; passwords in URLs left out."""
    import attrs

    from euca_box import settings
    from euca_box.observe.logs import without_secrets

    config, origins = settings.load()
    return [
        {"setting": name, "value": without_secrets(str(value)), "origin": origins.get(name, "default")}
        for section in attrs.fields(type(config))
        if attrs.has(type(getattr(config, section.name)))
        for key, value in attrs.asdict(getattr(config, section.name), recurse=False).items()
        for name in [f"{section.name}.{key}"]
    ]


def _files(data: DataDir) -> str:
    """Names, sizes and modes, not below the objects of users."""
    rows = []
    for folder, folders, files in os.walk(data.path):
        folders[:] = sorted(f for f in folders if f not in ("objects", "backups"))
        for file in sorted(files):
            path = Path(folder) / file
            try:
                facts = path.lstat()
            except OSError:
                continue
            rows.append(f"{facts.st_mode & 0o7777:04o} {facts.st_uid:>10} {facts.st_size:>14} {path}")
    return "\n".join(rows) + "\n"


def _own_log(data: DataDir) -> str:
    from euca_box.observe.log_reading import Wanted, newest

    return "\n".join(newest([data.path / "logs" / "euca-box.log"], Wanted(), LINES)) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=1) + "\n"


def _add(tar: tarfile.TarFile, path: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(path)
    member.size, member.mode, member.mtime = len(data), 0o600, int(time.time())
    tar.addfile(member, io.BytesIO(data))
