"""kill -9 of a node controller at every step of a launch, a stop, a start and an end, and in the recovery.

Never two guests, never a leak. A step is a failpoint (observe/failpoints.py).
"""

import json
import os
import signal
import subprocess
import sys
from itertools import zip_longest

import pytest

from tests.roles.node_process import ID

LAUNCH = [
    "nc.run.after-commit",
    "nc.start.after-fetch",
    "nc.disk.after-folder",
    "nc.start.after-disk",
    "nc.plug.before-address",
    "nc.start.after-plug",
    "nc.start.before-resume",
    "nc.start.after-create",
    "nc.start.after-commit",
]
END = [
    "nc.terminate.after-commit",
    "nc.finish.before-destroy",
    "nc.finish.after-destroy",
    "nc.finish.after-address",
    "nc.finish.after-unplug",
    "nc.finish.after-disk",
    "nc.finish.before-commit",
    "nc.finish.after-commit",
]
STOP = ["nc.halt.after-destroy", "nc.halt.before-commit"]
START = ["nc.start.after-disk", "nc.plug.before-address", "nc.start.before-resume", "nc.start.after-create"]


def pairs(steps):
    """Each step, and the next one for the kill in the recovery."""
    return list(zip_longest(steps, steps[1:]))


RUNNING = {
    "domains": {ID: "running"},
    "ports": [ID],
    "public": {"172.30.0.10": "172.31.0.4"},
    "folders": [ID],
    "sockets": [ID],
    "consoles": [ID],
    "files": ["disk.qcow2", "instance-checkpoint", "swap.raw"],
    "cache": [".raw"],
}
NOTHING = {
    "domains": {},
    "ports": [],
    "public": {},
    "folders": [],
    "sockets": [],
    "consoles": [],
    "files": [],
    "cache": [".raw"],
}
STOPPED = RUNNING | {"domains": {}, "ports": [], "public": {}, "sockets": [], "consoles": []}


def node(folder, *words, kill=None):
    """Run a node until it did all this, or died; answers its exit code and what was there after each word."""
    environment = os.environ | ({"EUCA_BOX_FAILPOINTS": f"{kill}=kill"} if kill else {})
    argv = [sys.executable, "-m", "tests.roles.node_process", str(folder), *words]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-3000:]
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def killed_twice(folder, word, first, second):
    """The second kill may find its step already done."""
    assert node(folder, word, kill=first)[0] == -signal.SIGKILL
    if second is not None:
        node(folder, word, kill=second)


def starts(folder) -> int:
    return len((folder / "domains.starts").read_text().splitlines())


@pytest.mark.parametrize(("first", "second"), pairs(LAUNCH))
def test_a_launch_that_is_killed_ends_with_one_guest(tmp_path, first, second):
    killed_twice(tmp_path, "run", first, second)
    code, [after] = node(tmp_path, "run")
    assert (code, after) == (0, RUNNING)
    assert starts(tmp_path) == 1
    assert node(tmp_path, "end") == (0, [NOTHING])


@pytest.mark.parametrize(("first", "second"), pairs(END))
def test_an_end_that_is_killed_leaves_nothing(tmp_path, first, second):
    node(tmp_path, "run")
    killed_twice(tmp_path, "end", first, second)
    assert node(tmp_path, "end") == (0, [NOTHING])


@pytest.mark.parametrize("at", LAUNCH)
def test_an_instance_that_is_ended_while_its_killed_launch_recovers_leaves_nothing(tmp_path, at):
    killed_twice(tmp_path, "run", at, None)
    code, found = node(tmp_path, "end")
    assert (code, found[-1] | {"cache": [".raw"]}) == (0, NOTHING)


@pytest.mark.parametrize(("first", "second"), pairs(STOP))
def test_a_stop_that_is_killed_stops_and_keeps_the_disk(tmp_path, first, second):
    node(tmp_path, "run")
    killed_twice(tmp_path, "stop", first, second)
    assert node(tmp_path, "stop") == (0, [STOPPED])


@pytest.mark.parametrize(("first", "second"), pairs(START))
def test_a_start_that_is_killed_ends_with_one_guest_on_the_same_disk(tmp_path, first, second):
    node(tmp_path, "run", "stop")
    disk = tmp_path / "nc" / "instances" / ID / "disk.qcow2"
    before = disk.stat().st_ino
    killed_twice(tmp_path, "start", first, second)
    assert node(tmp_path, "start") == (0, [RUNNING])
    assert (starts(tmp_path), disk.stat().st_ino) == (2, before)


def test_the_copy_of_a_disk_that_a_killed_node_left_is_removed(tmp_path):
    left = tmp_path / "nc" / "imaging" / "emi-12345678"
    left.mkdir(parents=True)
    (left / "copy.qcow2").write_bytes(b"half")
    node(tmp_path, "run")
    assert not left.exists()
