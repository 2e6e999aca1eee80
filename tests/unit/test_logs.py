"""Lines: whose they are, that hostile text forges none and secrets stand in none, and how they are found."""

import json
import logging
import time

import pytest

from euca_box.observe import log_file, logs
from euca_box.observe.log_reading import Wanted, newest

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOSTILE = 'x\n{"level":"ERROR","message":"forged"}\r\x1b[31m\u2028\x00<3>forged'


@pytest.fixture
def folder(tmp_path):
    """Logs go there while the test runs; the handlers and levels of before come back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    logging.Logger.manager.loggerDict.copy()
    yield tmp_path
    logs.set_up(None, "WARNING", terminal="off")
    for name in logs._LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.handlers[:], _ = before
    root.setLevel(before[1])


def lines_in(folder):
    return [json.loads(line) for line in (folder / "euca-box.log").read_text().splitlines()]


@pytest.mark.parametrize(
    ("logger", "role"),
    [
        ("euca_box.roles.clc.launches", "clc"),
        ("euca_box.roles.cc", "cc"),
        ("euca_box.roles.ccx", "box"),
        ("euca_box.objects.sqlite.index", "walrus"),
        ("euca_box.api.soap.s3", "walrus"),
        ("euca_box.api.soap.ec2", "clc"),
        ("euca_box.net.network", "nc"),
        ("euca_box.blockstore.files", "sc"),
        ("euca_box.app", "box"),
        ("hypercorn.error", "box"),
    ],
)
def test_a_line_belongs_to_the_role_whose_module_wrote_it(logger, role):
    assert logs.role_of(logger) == role


@pytest.mark.parametrize("terminal", ["text", "json", "journal"])
def test_text_from_outside_makes_no_line_of_its_own(folder, capsys, terminal):
    logs.set_up(folder, "INFO", terminal=terminal)
    token = logs.request_id.set(HOSTILE)
    logging.getLogger("euca_box.roles.cc").info("name is %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logging.getLogger("euca_box.roles.cc").exception("it failed")
    logs.request_id.reset(token)
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and len(err.splitlines()) == 2
    assert "\x1b" not in err and "\u2028" not in err
    found = lines_in(folder)
    assert [line["level"] for line in found] == ["INFO", "ERROR"]
    assert found[0]["message"] == f"name is {HOSTILE}" and found[0]["request"] == HOSTILE


@pytest.mark.parametrize(
    "text",
    [
        f"GET /?X-Amz-Signature={SECRET}&a=b",
        f"Signature={SECRET}",
        f"secret_access_key: {SECRET}",
        f'{{"password": "{SECRET}"}}',
        f"smtp://user:{SECRET.replace('/', '_')}@mail.example.com/",
        f"Authorization: AWS AKIA123:{SECRET}",
        f"X-Amz-Security-Token={SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"AWSSecretKey='{SECRET}'",
    ],
)
def test_what_looks_like_a_secret_is_left_out_everywhere(folder, capsys, text):
    logs.set_up(folder, "INFO", terminal="text")
    logging.getLogger("euca_box.x").warning("%s", text)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("euca_box.x").exception("failed")
    written = (folder / "euca-box.log").read_text() + capsys.readouterr().err
    assert "FEMI" not in written
    assert written.count("\\u2026") == 2 and written.count("…") == 2


@pytest.mark.parametrize(
    "piece", ["y", "secret-", "://a:", "=", "-----BEGIN PRIVATE KEY-----", "password = '"]
)
def test_no_text_takes_long_to_be_written(folder, piece):
    logs.set_up(folder, "INFO", terminal="off")
    started = time.process_time()
    logging.getLogger("euca_box.x").info("%s", piece * 200_000)
    assert time.process_time() - started < 1.0
    assert (folder / "euca-box.log").stat().st_size < 3 * logs.LONGEST_TEXT


def test_ordinary_words_stay():
    for text in ("the signature does not match", "i-12345678 is running", "http://127.0.0.1:8773/a@b"):
        assert logs.without_secrets(text) == text


def test_how_much_a_role_says_changes_while_it_runs(folder):
    logs.set_up(folder, "INFO", levels={"walrus": "ERROR"}, terminal="off")
    cc, walrus = logging.getLogger("euca_box.roles.cc.loops"), logging.getLogger("euca_box.objects.x")
    cc.debug("1"), walrus.warning("2"), cc.info("3")
    logs.set_level("cc", "DEBUG")
    logs.set_level("walrus", "")
    cc.debug("4"), walrus.info("5"), logging.getLogger("euca_box.roles.nc").debug("6")
    assert [line["message"] for line in lines_in(folder)] == ["3", "4", "5"]


def test_the_file_is_cut_and_so_many_old_ones_are_kept_and_only_its_owner_reads_it(folder):
    logs.set_up(folder, "INFO", terminal="off", file_bytes=2000, files=2)
    for n in range(60):
        logging.getLogger("euca_box.x").info("line %d", n)
    files = sorted(p.name for p in folder.iterdir())
    assert files == ["euca-box.log", "euca-box.log.1", "euca-box.log.2"]
    assert all(p.stat().st_mode & 0o777 == 0o600 and p.stat().st_size <= 2000 for p in folder.iterdir())
    found = newest(logs.log_file().paths(), Wanted(), 1000)
    numbers = [int(json.loads(line)["message"].split()[1]) for line in found]
    assert numbers == list(range(numbers[0], 60)) and len(numbers) > 12


def test_a_full_disk_loses_lines_and_nothing_else(folder, monkeypatch):
    logs.set_up(folder, "INFO", terminal="off", file_bytes=500)
    monkeypatch.setattr(log_file.os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    logging.getLogger("euca_box.x").info("lost")
    monkeypatch.undo()
    logging.getLogger("euca_box.x").info("kept")
    assert [line["message"] for line in lines_in(folder)] == ["kept"]


def test_a_link_in_the_place_of_the_file_is_not_followed(folder, tmp_path):
    (tmp_path / "victim").write_text("")
    (folder / "euca-box.log").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        logs.set_up(folder, "INFO", terminal="off")


def test_lines_are_found_by_role_request_level_time_and_text(folder):
    logs.set_up(folder, "DEBUG", terminal="off")
    for number, (name, level) in enumerate([("roles.cc", 20), ("roles.nc", 40), ("app", 10)] * 3):
        token = logs.request_id.set(f"r-{number % 2}")
        logging.getLogger(f"euca_box.{name}").log(level, "about i-%d", number)
        logs.request_id.reset(token)
    paths = logs.log_file().paths()

    def found(**wanted):
        return [int(json.loads(line)["message"][-1]) for line in newest(paths, Wanted(**wanted), 100)]

    assert found() == list(range(9))
    assert found(roles=("cc",)) == [0, 3, 6]
    assert found(roles=("cc", "box")) == [0, 2, 3, 5, 6, 8]
    assert found(request="r-1", roles=("nc",)) == [1, 7]
    assert found(request="r") == []
    assert found(about="i-4") == [4] and found(about="r-0", level="ERROR") == [4]
    assert found(level="INFO") == [0, 1, 3, 4, 6, 7]
    assert found(since=time.time() + 10) == [] and len(found(since=time.time() - 10)) == 9
    assert [json.loads(line)["message"] for line in newest(paths, Wanted(), 2)] == ["about i-7", "about i-8"]


def test_lines_longer_than_a_block_and_torn_ones_do_not_hide_others(folder):
    logs.set_up(folder, "INFO", terminal="off")
    logging.getLogger("euca_box.x").info("first")
    with (folder / "euca-box.log").open("ab") as file:
        file.write(b'{"time": "torn\n\xff\xfe\n[1]\n')
    with (folder / "euca-box.log").open("ab") as file:
        file.write(b'{"message": "' + b"y" * 700_000 + b'"}\n')
    logging.getLogger("euca_box.x").info("last")
    found = newest(logs.log_file().paths(), Wanted(), 10)
    assert [json.loads(line)["message"][:5] for line in found] == ["first", "yyyyy", "last"]


def test_what_came_behind_a_place_is_told_also_to_who_saw_an_earlier_process(folder):
    logs.set_up(folder, "INFO", terminal="off")
    file = logs.log_file()
    logging.getLogger("euca_box.x").info("a")
    place = file.cursor
    assert file.after(place) == []
    logging.getLogger("euca_box.x").info("b")
    assert [json.loads(line)["message"] for line in file.after(place)] == ["b"]
    assert len(file.after("ffffffff-9")) == 2 and len(file.after("junk")) == 2
