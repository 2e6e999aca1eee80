"""`euca-box launch`, `ssh` and `console`: an instance, and into it."""

import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import click

from euca_box.cli import common
from euca_box.client import Client, ClientError
from euca_box.datadir import DataDir

KEY_NAME = "euca-box"
GROUP_NAME = "euca-box-ssh"
WAIT_SECONDS = 300.0
LEAVE = b"\x1d"  # Ctrl-]
LAST_OUTPUT_SECONDS = 0.2


@click.command("launch")
@click.argument("name", required=False)
@click.option("--image", help="Image id. Without it: the demo image.")
@click.option("--type", "vm_type", default="m1.small", show_default=True, help="VM type.")
@click.option("--ssh", "then_ssh", is_flag=True, help="Connect when it answers.")
@common.output_option
@common.data_dir_option
def launch_command(
    name: str | None, image: str | None, vm_type: str, then_ssh: bool, output: str, data_dir: Path | None
) -> None:
    """Start an instance that you can reach by SSH: makes a key and a security group when they are missing."""
    data = common.data_dir_of(data_dir)
    client = common.client_of(data)
    try:
        key = _key(client, data.path)
        group_id = _group(client)
        wanted = {
            "ImageId": image or _demo(client),
            "MinCount": "1",
            "MaxCount": "1",
            "InstanceType": vm_type,
        }
        wanted |= {"KeyName": KEY_NAME, "SecurityGroupId.1": group_id}
        if name:
            wanted |= {
                "TagSpecification.1.ResourceType": "instance",
                "TagSpecification.1.Tag.1.Key": "Name",
                "TagSpecification.1.Tag.1.Value": name,
            }
        instance_id = client.ec2("RunInstances", **wanted).findtext("instancesSet/item/instanceId") or ""
        found = _until_running(client, instance_id)
    except ClientError as error:
        common.fail(str(error))
    common.show_one(
        found,
        output,
        lambda r: (
            f"{r['instance_id']} runs at {r['public_ip'] or r['private_ip']}\n"
            f"Next: euca-box ssh {r['instance_id']}{data.flag}   or   "
            f"euca-box console {r['instance_id']}{data.flag}"
        ),
    )
    if then_ssh:
        _ssh(found, key, ())


@click.command("ssh", context_settings={"ignore_unknown_options": True})
@click.argument("instance_id")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@common.data_dir_option
def ssh_command(instance_id: str, command: tuple[str, ...], data_dir: Path | None) -> None:
    """Log in to an instance that was started with `euca-box launch`."""
    data = common.data_dir_of(data_dir)
    try:
        found = _until_running(common.client_of(data), instance_id)
    except ClientError as error:
        common.fail(str(error))
    _ssh(found, data.path / "demo" / f"{KEY_NAME}.pem", command)


@click.command("console")
@click.argument("instance_id")
@click.option("--log", "show_log", is_flag=True, help="Print what was kept of its output, and end.")
@click.option("--vnc", "show_screen", is_flag=True, help="Say how to look at its screen with a VNC viewer.")
@common.data_dir_option
def console_command(instance_id: str, show_log: bool, show_screen: bool, data_dir: Path | None) -> None:
    """Show the serial console of an instance, live, and type into it. Ctrl-] leaves.

    Many may look at once; all see the same. On the cloud controller's host, also of instances elsewhere.
    """
    data = common.data_dir_of(data_dir)
    instance_id = instance_id.lower()
    if show_log:
        _print_log(data.path / "nc" / "instances" / instance_id / "console.log", instance_id)
        return
    folder = data.run_dir / "consoles" / instance_id
    if show_screen:
        _tell_screen(folder / "screen.sock", instance_id)
        return
    path = folder / "serial.sock"
    guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        guest.connect(str(path))
    except FileNotFoundError:
        if not _has_clc(data):
            common.fail(f"no instance {instance_id} runs on this host", common.FAILED)
        from euca_box.cli import remote_console

        guest = remote_console.open_serial(data, instance_id)
    except (ConnectionRefusedError, PermissionError) as error:
        common.fail(f"the console of {instance_id} cannot be opened: {error.strerror}", common.FAILED)
    click.echo(f"Console of {instance_id}. Ctrl-] leaves.", err=True)
    _relay(guest)


def _has_clc(data: DataDir) -> bool:
    return data.admin_socket.exists() and "clc" in common.ask(data, "status")["roles"]


def _print_log(path: Path, instance_id: str) -> None:
    """The first output since the start, and the last; between them may have been more."""
    from euca_box.kvm.console import LIMIT_BYTES, first_path

    try:
        first, last = first_path(path).read_bytes(), path.read_bytes()
    except FileNotFoundError:
        common.fail(f"no instance {instance_id} is on this host")
    except PermissionError:
        common.fail(f"you may not read {path}. Use sudo.")
    out = sys.stdout.buffer
    if len(first) >= LIMIT_BYTES and not last.startswith(first):
        out.write(first + b"\r\n[...]\r\n")
    out.write(last)
    out.flush()


def _tell_screen(path: Path, instance_id: str) -> None:
    if not path.exists():
        common.fail(f"no instance {instance_id} runs on this host")
    click.echo(
        f"The screen of {instance_id} is behind {path}\n"
        f"Here:       vncviewer {path}     (TigerVNC 1.12 or later)\n"
        f"Elsewhere:  ssh -L 5901:{path} root@HOST    then    vncviewer localhost:5901"
    )


def _demo(client: Client) -> str:
    found = client.ec2("DescribeImages", Filter__1__Name="name", Filter__1__Value__1="demo")
    image_id = found.findtext("imagesSet/item/imageId")
    if image_id is None:
        common.fail("there is no demo image yet. Build it: euca-box image build demo")
    return image_id


def _key(client: Client, folder: Path) -> Path:
    """The private key of `launch`, made once; the key pair is imported again when the cloud lost it."""
    path = folder / "demo" / f"{KEY_NAME}.pem"
    if path.exists():
        try:
            client.ec2("DescribeKeyPairs", KeyName__1=KEY_NAME)
        except ClientError:
            path.unlink()
        else:
            return path
    try:
        client.ec2("DeleteKeyPair", KeyName=KEY_NAME)
        made = client.ec2("CreateKeyPair", KeyName=KEY_NAME, KeyType="ed25519")
    except ClientError as error:
        common.fail(f"no key pair could be made: {error}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made.findtext("keyMaterial") or "")
    return path


def _group(client: Client) -> str:
    found = client.ec2("DescribeSecurityGroups", Filter__1__Name="group-name", Filter__1__Value__1=GROUP_NAME)
    group_id = found.findtext("securityGroupInfo/item/groupId")
    if group_id is not None:
        return group_id
    made = client.ec2(
        "CreateSecurityGroup", GroupName=GROUP_NAME, GroupDescription="SSH and ping from anywhere"
    )
    group_id = made.findtext("groupId") or ""
    for protocol, low, high in (("tcp", "22", "22"), ("icmp", "-1", "-1")):
        rule = {"IpProtocol": protocol, "FromPort": low, "ToPort": high, "CidrIp": "0.0.0.0/0"}
        client.ec2("AuthorizeSecurityGroupIngress", GroupId=group_id, **rule)
    return group_id


def _until_running(client: Client, instance_id: str) -> dict[str, Any]:
    """Wait, saying what for. Exits with the reason when the instance ends instead."""
    deadline, said = time.monotonic() + WAIT_SECONDS, ""
    while time.monotonic() < deadline:
        item = client.ec2("DescribeInstances", InstanceId__1=instance_id).find(
            "reservationSet/item/instancesSet/item"
        )
        if item is None:
            common.fail(f"there is no instance {instance_id}")
        state = item.findtext("instanceState/name") or ""
        if state == "running":
            return {
                "instance_id": instance_id,
                "state": state,
                "public_ip": item.findtext("ipAddress"),
                "private_ip": item.findtext("privateIpAddress"),
            }
        if state != "pending":
            common.fail(
                f"{instance_id} is {state}: {item.findtext('stateReason/message') or 'no reason given'}"
            )
        if said != state:
            said = state
            click.echo(f"{instance_id} is {state} ...", err=True)
        time.sleep(0.3)
    return common.fail(
        f"{instance_id} did not run within {WAIT_SECONDS:g} s. See: euca-box console {instance_id}"
    )


def _ssh(found: dict[str, Any], key: Path, command: tuple[str, ...]) -> None:
    address = found["public_ip"] or found["private_ip"]
    _until_open(address, found["instance_id"])
    # The host key is new with each instance, and addresses are used again: no known_hosts.
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    argv = ["ssh", "-i", str(key), *(f"-o{o}" for o in options), f"root@{address}", *command]
    os.execvp("ssh", argv)  # noqa: S606 - an argv list, no shell


def _until_open(address: str, instance_id: str) -> None:
    deadline, said = time.monotonic() + WAIT_SECONDS, False
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((address, 22), timeout=2) as connection:
                connection.settimeout(5)
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        if not said:
            said = True
            click.echo(f"waiting for SSH at {address} ...", err=True)
        time.sleep(0.5)
    common.fail(f"SSH at {address} does not answer. See: euca-box console {instance_id}")


def _relay(guest: socket.socket) -> None:
    """Keys to the guest, output to the terminal, until Ctrl-] or the end of either."""
    import termios
    import tty

    keys = sys.stdin.fileno()
    raw = os.isatty(keys)
    before = termios.tcgetattr(keys) if raw else None
    try:
        if raw:
            tty.setraw(keys)
        _copy(guest, keys)
    finally:
        if before is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, before)


def _copy(guest: socket.socket, keys: int) -> None:
    watched: list[Any] = [guest, keys]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if guest in ready:
            output = guest.recv(65536)
            if not output:
                return
            sys.stdout.buffer.write(output)
            sys.stdout.buffer.flush()
        if keys in ready:
            typed = os.read(keys, 4096)
            if LEAVE in typed:
                guest.sendall(typed.partition(LEAVE)[0])
                _show_rest(guest)
                return
            if not typed:
                watched.remove(keys)  # the end of a pipe: go on showing
            guest.sendall(typed)


def _show_rest(guest: socket.socket) -> None:
    """What is on its way already."""
    while select.select([guest], [], [], LAST_OUTPUT_SECONDS)[0] and (output := guest.recv(65536)):
        sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
