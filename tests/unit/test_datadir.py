"""The data directory: who may enter, one process at a time, files whole or not at all."""

import os
import stat
import subprocess
import sys

import pytest

from euca_box.datadir import DataDir, DataDirError


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(DataDir, "run_dir", tmp_path / "run")
    data = DataDir(tmp_path / "data")
    data.make()
    return data


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_nodes_folder_can_be_passed_through(data):
    assert mode(data.path) == mode(data.path / "nc") == 0o711
    for name in ("clc", "walrus", "cc", "logs", "demo"):
        assert mode(data.path / name) == 0o700, name


def test_making_it_again_keeps_what_is_there_and_mends_the_modes(data):
    (data.path / "clc" / "clc.db").write_text("rows")
    (data.path / "clc").chmod(0o755)
    data.make()
    assert (data.path / "clc" / "clc.db").read_text() == "rows"
    assert mode(data.path / "clc") == 0o700


def test_a_folder_that_cannot_be_made_is_told_with_a_way_out(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirError, match=r"cannot make .*Choose another place with --data-dir"):
        DataDir(tmp_path / "file" / "data").make()


def test_a_second_process_is_told_who_holds_it_until_the_first_has_ended(data):
    program = (
        "import sys; from pathlib import Path; from euca_box.datadir import DataDir\n"
        "DataDir(Path(sys.argv[1])).lock(); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, data.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DataDirError, match=f"in use by process {holder.pid}"):
        data.lock()
    holder.kill()
    holder.communicate()
    os.close(data.lock())


def test_json_is_written_whole_and_privately(data):
    assert data.read_json("network.json") == {}
    data.write_json("network.json", {"subnet": "10.0.0.0/24"})
    assert data.read_json("network.json") == {"subnet": "10.0.0.0/24"}
    assert mode(data.path / "network.json") == 0o600
    with pytest.raises(TypeError):
        data.write_json("network.json", {"bad": object()})
    assert data.read_json("network.json") == {"subnet": "10.0.0.0/24"}


def test_sockets_have_a_short_path_of_their_own_for_each_data_directory(tmp_path):
    long = DataDir(tmp_path / ("x" * 120))
    other = DataDir(tmp_path / ("y" * 120))
    assert len(str(long.admin_socket)) < 100
    assert len(str(long.libvirt_root)) < 60
    assert long.run_dir != other.run_dir
    assert long.run_dir == DataDir(tmp_path / ("x" * 120)).run_dir
