"""`euca-box init` and `euca-box run`: from nothing to a cloud that answers."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import click

from euca_box.cli import common
from euca_box.config import ROLES, Config
from euca_box.datadir import DataDir, DataDirError, host_name

config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path, dir_okay=False), help="The configuration file."
)


@click.command("init")
@config_option
@common.data_dir_option
def init_command(config_file: Path | None, data_dir: Path | None) -> None:
    """Make the data directory, a CA, a certificate and the administrator. Harmless when they are there."""
    config = common.load_config(config_file)
    data = common.data_dir_of(data_dir, config)
    descriptor = _prepared(config, data)
    made = _initialised(config, data)
    os.close(descriptor)
    click.echo(f"Data directory   {data.path}")
    click.echo(f"CA certificate   {data.path / 'ca.pem'}")
    if made:
        click.echo(f"Administrator    admin   password  {made}   (shown once)")
    click.echo(f"Next             euca-box run --data-dir {data.path}")


@click.command("run")
@click.option("--roles", help="all, or some of clc,walrus,cc,sc,nc with commas.")
@config_option
@common.data_dir_option
@click.option("--no-demo", is_flag=True, help="Do not build and register the demo image at the first start.")
def run_command(roles: str | None, config_file: Path | None, data_dir: Path | None, no_demo: bool) -> None:
    """Run the cloud in the foreground. Ctrl-C stops the roles; guests run on."""
    flags = {"roles": [r.strip() for r in roles.split(",")]} if roles else {}
    config = common.load_config(config_file, flags)
    data = common.data_dir_of(data_dir, config)
    descriptor = _prepared(config, data)
    config = _as_joined(config, data, asked=roles)
    try:
        _run(config, data, demo=not no_demo)
    finally:
        os.close(descriptor)


def _as_joined(config: Config, data: DataDir, *, asked: str | None) -> Config:
    """On a host of a cloud elsewhere: the roles with which it joined, and that cloud's settings."""
    from euca_box import membership

    joined = membership.find(data)
    if joined is None:
        return config
    if asked:
        common.fail(
            f"this host has joined a cloud with the roles {', '.join(joined.roles)}: leave out --roles"
        )
    return joined.applied(config)


def _prepared(config: Config, data: DataDir) -> int:
    """Folders and the lock; answers the descriptor that holds it."""
    from euca_box.backup.point import BackupError
    from euca_box.backup.restoring import check_not_begun

    try:
        data.make()
        check_not_begun(data)
        return data.lock()
    except (DataDirError, BackupError) as error:
        common.fail(str(error))


def _initialised(config: Config, data: DataDir) -> str | None:
    """The password of the administrator, if he was made just now."""
    from euca_box.app import roles_that_can_run
    from euca_box.initialise import initialise
    from euca_box.store.store import StoreError

    roles, _ = roles_that_can_run(config, root=os.geteuid() == 0)
    try:
        return asyncio.run(initialise(config, data, roles)).password
    except StoreError as error:
        if len(roles) == 1:
            common.fail(str(error))
        return None  # the others run; this role says why it does not
    except DataDirError as error:
        common.fail(str(error))


def _run(config: Config, data: DataDir, *, demo: bool) -> None:
    from euca_box import drivers, welcome
    from euca_box.api.server import PortTaken
    from euca_box.app import App, roles_that_can_run
    from euca_box.kvm.hypervisor import KvmError
    from euca_box.net.network import NetError
    from euca_box.network_plan import plan_network
    from euca_box.observe import failpoints, logs, service_manager
    from euca_box.store.store import StoreError

    log = config.log
    logs.set_up(
        data.path / "logs" if log.file_mib else None,
        log.level,
        host=host_name(),
        levels={role: getattr(log, role) for role in ROLES},
        terminal=log.terminal,
        file_bytes=log.file_mib << 20,
        files=log.files,
    )
    failpoints.arm_from_environment()
    service_manager.end_with_parent()
    roles, left_out = roles_that_can_run(config, root=os.geteuid() == 0)
    if not roles:
        common.fail("; ".join(f"{role} does not run: {why}" for role, why in left_out.items()))
    # Hiding /dev/kvm makes a mount namespace, which must come before the first thread.
    accelerator = drivers.choose_accelerator(config) if "nc" in roles else None
    try:
        plan = plan_network(config, data) if {"cc", "nc"} & set(roles) else None
        app = App(config, data, roles, plan, accelerator, left_out)
        app.bind()
    except (PortTaken, NetError) as error:
        common.fail(str(error))
    password = _initialised(config, data)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_until_stopped(app, password, demo=demo))
    except* (KvmError, NetError, StoreError) as errors:
        common.fail("; ".join(str(e) for e in _leaves(errors)))
    welcome.goodbye(app)


async def _until_stopped(app, password: str | None, *, demo: bool) -> None:  # type: ignore[no-untyped-def]
    from euca_box import welcome

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop.set)
    tasks: set[asyncio.Task[None]] = set()

    def ready() -> None:
        tasks.add(asyncio.create_task(welcome.greet(app, password, demo=demo)))

    await app.run(ready)
    for task in tasks:
        task.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed; asyncio's own loop otherwise."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _leaves(group: BaseExceptionGroup) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
