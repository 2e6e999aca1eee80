"""`euca-box up` and `euca-box down`: the cloud as a service of this host.

Where systemd runs it is a unit of it, enabled; elsewhere a process in the background.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.datadir import DataDir, default_data_dir

UNIT = "euca-box.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT
PACKAGED = Path("/usr/lib/systemd/system") / UNIT
START_SECONDS, STOP_SECONDS, LOOK_SECONDS = 300.0, 60.0, 0.2


@click.command("up")
@click.option("--no-demo", is_flag=True, help="Do not build and register the demo image at the first start.")
@common.data_dir_option
def up_command(no_demo: bool, data_dir: Path | None) -> None:
    """Start the cloud as a service, now and with each boot, and wait until it is ready. Twice is harmless."""
    data = common.data_dir_of(data_dir)
    if common.answers(data):
        click.echo(f"It runs on {data.path} already.")
    elif _is_systemd() and data.path == default_data_dir():
        _start_unit()
    else:
        _start_process(data, demo=not no_demo)
    _wait_ready(data)
    status = common.ask(data, "status")
    click.echo(f"Ready. API {status['api']}   logs: euca-box logs -f   status: euca-box status")


@click.command("down")
@click.option("--purge", is_flag=True, help="End all instances, and delete everything that the cloud has.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common.data_dir_option
def down_command(purge: bool, yes: bool, data_dir: Path | None) -> None:
    """Stop the service; guests run on. With --purge nothing of the cloud is left."""
    data = common.data_dir_of(data_dir)
    if purge and not yes:
        click.confirm(f"Delete {data.path} with all instances, volumes, objects and keys?", abort=True)
    if purge:
        _end_instances(data)
    _stop(data)
    if not purge:
        click.echo("Stopped; guests run on. Again: euca-box up")
        return
    _remove_network(data)
    shutil.rmtree(data.path, ignore_errors=True)
    shutil.rmtree(data.run_dir, ignore_errors=True)
    if data.path.exists():
        common.fail(f"{data.path} could not be deleted whole")
    click.echo(f"Nothing of the cloud on {data.path} is left.")


def unit_text(program: str) -> str:
    return files("euca_box.deployment").joinpath(UNIT).read_text().replace("@PROGRAM@", program)


def _is_systemd() -> bool:
    return os.geteuid() == 0 and Path("/run/systemd/system").is_dir()


def _start_unit() -> None:
    if not PACKAGED.exists():
        UNIT_FILE.write_text(unit_text(_program()))
        _systemctl("daemon-reload")
    _systemctl("enable", "--now", "--no-block", UNIT)


def _start_process(data: DataDir, *, demo: bool) -> None:
    """With its output in a file of the data directory, which has the password of the first start."""
    data.make()
    output = data.path / "logs" / "start.log"
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    command = [sys.executable, "-m", "euca_box"] if not getattr(sys, "frozen", False) else [sys.executable]
    command += ["run", "--data-dir", str(data.path), *([] if demo else ["--no-demo"])]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, start_new_session=True
    )
    os.close(descriptor)
    deadline = time.monotonic() + START_SECONDS
    while not common.answers(data):
        if process.poll() is not None:
            common.fail(f"it did not start: {_last_words(output)}")
        if time.monotonic() > deadline:
            common.fail(f"it does not answer yet; see {output}")
        time.sleep(LOOK_SECONDS)
    for line in output.read_text(errors="replace").splitlines():
        if "shown once" in line:
            click.echo(line)


def _last_words(output: Path) -> str:
    lines = output.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _wait_ready(data: DataDir) -> None:
    """Until all roles run; says what it waits for."""
    deadline = time.monotonic() + START_SECONDS
    waiting: dict[str, Any] = {"everything": "starts"}
    while time.monotonic() < deadline:
        if common.answers(data):
            waiting = common.ask(data, "status")["waiting"]
            if not waiting:
                return
        time.sleep(LOOK_SECONDS)
    reasons = "; ".join(f"{role} {why}" for role, why in waiting.items())
    common.fail(f"not ready after {START_SECONDS:g} s: {reasons}. See euca-box logs, systemctl status {UNIT}")


def _stop(data: DataDir) -> None:
    """By systemd where it is its unit, else by a signal to the one that holds the lock. Waits for its end."""
    if _is_systemd() and data.path == default_data_dir() and (PACKAGED.exists() or UNIT_FILE.exists()):
        _systemctl("disable", "--now", UNIT)
        UNIT_FILE.unlink(missing_ok=True)
        _systemctl("daemon-reload")
        return
    holder = _holder(data)
    if holder is None:
        click.echo(f"No euca-box runs on {data.path}.")
        return
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _holder(data) is not None:
        if time.monotonic() > deadline:
            common.fail(f"process {holder} has not ended after {STOP_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def _holder(data: DataDir) -> int | None:
    """The process that has the data directory's lock."""
    import fcntl

    try:
        descriptor = os.open(data.path / ".lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def _end_instances(data: DataDir) -> None:
    """Those of every account; they would run on, and nobody would know them."""
    if not common.answers(data):
        if any((data.path / "nc" / "instances").glob("i-*")):
            common.fail("there are instances: start the cloud first (euca-box up), so that they can be ended")
        return
    client = common.client_of(data)

    def alive() -> list[str]:
        reply = client.ec2("DescribeInstances", InstanceId__1="verbose")
        found = [item for item in reply.iter("item") if item.findtext("instanceId")]
        gone = ("terminated",)
        return [str(i.findtext("instanceId")) for i in found if i.findtext("instanceState/name") not in gone]

    if not (ids := alive()):
        return
    click.echo(f"Ending {len(ids)} instances ...", err=True)
    for instance_id in ids:
        client.ec2("TerminateInstances", InstanceId__1=instance_id)
    deadline = time.monotonic() + START_SECONDS
    while rest := alive():
        if time.monotonic() > deadline:
            common.fail(f"{', '.join(rest[:5])} did not end. Look: euca-box why {rest[0]}")
        time.sleep(1.0)


def _remove_network(data: DataDir) -> None:
    """Bridge, rules and DHCP, where there are any. What cannot be removed is said and left."""
    if os.geteuid() != 0 or not (data.path / "nc" / "net").exists():
        return
    import trio

    from euca_box.drivers import network_of
    from euca_box.net.network import NetError
    from euca_box.network_plan import plan_network

    config = common.load_config(None)

    async def remove() -> None:
        network = network_of(config, data, plan_network(config, data), config.api.port)
        await network.prepare()
        await network.remove()

    try:
        trio.run(remove)
    except (NetError, OSError) as error:
        click.echo(f"the network could not be removed: {error}", err=True)


def _systemctl(*words: str) -> None:
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        common.fail(f"systemctl {' '.join(words)}: {done.stderr.strip() or done.returncode}")


def _program() -> str:
    """As the unit starts it."""
    if getattr(sys, "frozen", False):
        return sys.executable
    beside = Path(sys.executable).with_name("euca-box")
    with contextlib.suppress(OSError):
        if beside.exists():
            return str(beside)
    return f"{sys.executable} -m euca_box"
