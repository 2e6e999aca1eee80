"""The commands as a user types them: exit codes, words, and what programs read from `-o json`."""

import configparser
import json
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import euca_box.cli
from euca_box import __version__
from euca_box.cli import main
from euca_box.cli.summaries import SUMMARIES
from tests.api.cloud_box import FILE_SYSTEM, KERNEL, RAMDISK, running_cloud


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a command in this process; its result has exit_code, stdout and stderr."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def command(*args):
        return CliRunner().invoke(main, [str(a) for a in args], catch_exceptions=False)

    return command


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), users=()) as box:
        yield box


@pytest.fixture
def here(run, box):
    """Run a command of the cloud that runs."""
    return lambda *args: run(*args, "--data-dir", box.data_dir)


# Usage


@pytest.mark.parametrize("command", ["", *euca_box.cli.COMMANDS])
def test_every_command_explains_itself(run, command):
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["stauts"], "Did you mean 'status'?"),
        (["lanch"], "Did you mean 'launch'?"),
        (["xyzzy"], "No such command"),
        (["user", "add"], "Missing argument"),
        (["user", "list", "-o", "yaml"], "'yaml' is not one of"),
        (["credentials", "--format", "xml"], "'xml' is not one of"),
        (["status", "--wait", "long"], "not a valid float"),
        (["image", "import", "/absent"], "does not exist"),
        (["--nope"], "No such option"),
    ],
)
def test_a_mistake_in_usage_is_exit_code_2_with_a_hint(run, args, words):
    result = run(*args)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_image_import_takes_a_name_for_one_file_only(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(FILE_SYSTEM)
    assert run("image", "import", tmp_path / "a", tmp_path / "b", "--name", "x").exit_code == 2


@pytest.mark.parametrize(
    "args",
    [
        ["status"],
        ["user", "add", "x"],
        ["user", "list"],
        ["credentials"],
        ["launch"],
        ["ssh", "i-12345678"],
        ["image", "build", "demo"],
    ],
)
def test_a_command_without_a_running_cloud_is_exit_code_3_and_says_how_to_start_one(run, tmp_path, args):
    result = run(*args, "--data-dir", tmp_path / "none")
    assert result.exit_code == 3
    assert result.stderr.startswith("euca-box: no euca-box runs on ")
    assert f"euca-box run --data-dir {tmp_path / 'none'}" in result.stderr
    assert result.stdout == ""


def test_the_list_of_commands_says_what_each_says_itself():
    context = click.Context(main)
    said = {
        name: main.get_command(context, name).get_short_help_str(limit=60) for name in euca_box.cli.COMMANDS
    }
    assert said == SUMMARIES


def test_status_of_nothing_imports_nothing_heavy(tmp_path):
    program = (
        f"import sys; sys.argv = ['euca-box', 'status', '--data-dir', '{tmp_path}']\n"
        "from euca_box.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'trio', 'attrs', 'cattrs', 'cryptography', 'rich'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


def test_help_and_version_import_nothing_heavy():
    program = (
        "import sys; from euca_box.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'trio', 'quart', 'lxml', 'libvirt', 'cryptography', 'rich'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


# Configuration


def test_config_check_tells_every_mistake_with_its_line(run, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[network]\nmode = "EGDE"\n[api]\nprot = 1\n')
    result = run("config", "check", "--config", file)
    assert result.exit_code == 2
    modes = "EDGE, MANAGED, MANAGED-NOVLAN, STATIC, SYSTEM"
    assert f'{file}:2: network.mode = "EGDE" is not one of {modes}. Did you mean "EDGE"?' in result.stderr
    assert f'{file}:4: unknown setting api.prot. Did you mean "port"?' in result.stderr
    assert run("config", "show", "--config", file).exit_code == 2
    assert run("run", "--config", file, "--data-dir", tmp_path / "d").exit_code == 2
    assert not (tmp_path / "d").exists()


def test_config_check_is_content_with_the_example(run, tmp_path):
    example = run("config", "example").stdout
    file = tmp_path / "c.toml"
    file.write_text(example)
    result = run("config", "check", "--config", file)
    assert (result.exit_code, result.stdout) == (0, "The configuration is fine.\n")


def test_config_show_says_where_each_setting_comes_from(run, tmp_path, monkeypatch):
    file = tmp_path / "c.toml"
    file.write_text('[cloud]\nregion = "lab"\n')
    monkeypatch.setenv("EUCA_BOX__API__PORT", "9999")
    shown = json.loads(run("config", "show", "--config", file, "-o", "json").stdout)
    rows = {row["setting"]: (row["value"], row["origin"]) for row in shown}
    assert rows["cloud.region"] == ("lab", f"{file}:2")
    assert rows["api.port"] == (9999, "environment EUCA_BOX__API__PORT")
    assert rows["network.bridge"] == ("ebr0", "default")
    assert "environment EUCA_BOX__API__PORT" in run("config", "show", "--config", file).stdout


def test_version(run):
    assert json.loads(run("version", "-o", "json").stdout)["version"] == __version__
    assert __version__ in run("--version").stdout


def test_init_makes_the_data_directory_once(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EUCA_BOX__ROLES", '["clc", "walrus"]')
    data = tmp_path / "d"
    first = run("init", "--data-dir", data)
    assert (first.exit_code, "(shown once)" in first.stdout) == (0, True)
    authority = (data / "ca.pem").read_bytes()
    second = run("init", "--data-dir", data)
    assert (second.exit_code, "password" in second.stdout) == (0, False)
    assert (data / "ca.pem").read_bytes() == authority
    (data / "clc" / "clc.db").unlink()
    lost = run("init", "--data-dir", data)
    assert lost.exit_code == 1
    assert "Restore it from a backup" in lost.stderr


# Against a cloud that runs


def test_status_is_exit_code_0_when_all_runs(here, box):
    result = here("status")
    assert result.exit_code == 0
    for word in ("clc", "walrus", "cc", "nc@", "UP", f"API {box.url}"):
        assert word in result.stdout
    found = json.loads(here("status", "-o", "json").stdout)
    assert (found["problems"], found["waiting"], found["api"]) == ([], {}, box.url)
    assert found["cloud"]["nodes"][0]["state"] == "UP"
    assert here("status", "--wait", "5").exit_code == 0


def test_status_is_exit_code_4_when_something_is_missing(here, box):
    box.app.waiting["nc"] = "starts"
    try:
        result = here("status")
        assert result.exit_code == 4
        assert "! nc starts" in result.stdout
    finally:
        del box.app.waiting["nc"]


def test_user_add_answers_what_programs_need(here, box):
    result = here("user", "add", "carol", "--email", "carol@example.com", "-o", "json")
    made = json.loads(result.stdout)
    assert set(made) == {"account_id", "canonical_id", "display_name", "access_key_id", "secret_access_key"}
    assert (len(made["account_id"]), len(made["canonical_id"]), made["display_name"]) == (12, 64, "carol")
    box.keys["carol"] = made
    assert box.client("sts", "carol").get_caller_identity()["Account"] == made["account_id"]
    again = here("user", "add", "carol")
    assert (again.exit_code, again.stdout) == (1, "")
    assert again.stderr == "euca-box: EntityAlreadyExists: User with name carol already exists.\n"


def test_user_add_shows_a_person_no_secret(here):
    result = here("user", "add", "dave")
    assert "Next: euca-box credentials dave" in result.stdout
    assert (
        json.loads(here("credentials", "dave", "--format", "json").stdout)["secret_access_key"]
        not in result.stdout
    )


def test_user_list_disable_and_enable(here, box):
    made = box.keys["erin"] = json.loads(here("user", "add", "erin", "-o", "json").stdout)
    assert "erin" in here("user", "list").stdout
    assert here("user", "disable", "erin").exit_code == 0
    states = {u["user_name"]: u["state"] for u in json.loads(here("user", "list", "-o", "json").stdout)}
    assert (states["erin"], states["admin"]) == ("disabled", "active")
    assert box.app.keyring.find(made["access_key_id"]) is None
    assert here("user", "enable", "erin").exit_code == 0
    assert box.ec2("erin").describe_regions()["Regions"]
    refused = here("user", "disable", "admin")
    assert refused.exit_code == 1
    assert "nobody could enable him again" in refused.stderr


def test_credentials_for_a_shell_are_those_that_clients_use(here, box):
    out = here("credentials").stdout
    script = out + 'printf "%s|%s|%s" "$AWS_ENDPOINT_URL" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"'
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.split("|") == [box.url, *box.credentials("admin")]
    assert "export AWS_DEFAULT_REGION=us-east-1" in out


def test_credentials_for_the_aws_files_and_as_json(here, box):
    text = here("credentials", "admin", "--format", "aws").stdout
    parser = configparser.ConfigParser()
    parser.read_string(text.partition("# ~/.aws/credentials")[2])
    found = dict(parser["euca-box"])
    assert (found["aws_access_key_id"], found["aws_secret_access_key"]) == box.credentials("admin")
    assert f"endpoint_url = {box.url}" in text
    row = json.loads(here("credentials", "--format", "json").stdout)
    assert (row["access_key_id"], row["endpoint_url"]) == (box.credentials("admin")[0], box.url)
    assert here("credentials", "nobody").exit_code == 1


def test_image_import_uploads_and_registers(here, box, tmp_path):
    for name, data in (("k", KERNEL), ("r", RAMDISK), ("disk.img", FILE_SYSTEM)):
        (tmp_path / name).write_bytes(data)
    result = here(
        "image", "import", tmp_path / "disk.img", "--kernel", tmp_path / "k", "--ramdisk", tmp_path / "r",
        "--name", "tiny", "-o", "json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    made = json.loads(result.stdout)
    assert made == {"image_id": made["image_id"], "name": "tiny"}
    [found] = box.ec2("admin").describe_images(ImageIds=[made["image_id"]])["Images"]
    assert found["KernelId"].startswith("eki-")
    assert found["RamdiskId"].startswith("eri-")


def test_image_import_of_what_is_no_image_fails_with_the_reason(here, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    result = here("image", "import", tmp_path / "notes.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "this is a text file, not an image" in result.stderr


def test_launch_makes_key_and_group_and_waits_until_it_runs(here, box, tmp_path):
    missing = here("launch")
    assert missing.exit_code == 1
    assert "euca-box image build demo" in missing.stderr
    for name, data in (("k", KERNEL), ("demo", FILE_SYSTEM)):
        (tmp_path / name).write_bytes(data)
    here("image", "import", tmp_path / "demo", "--kernel", tmp_path / "k", "--name", "demo")
    for name in ("one", "two"):
        result = here("launch", name, "-o", "json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["state"] == "running"
        instance = box.instance(found["instance_id"], "admin")
        assert instance["Tags"] == [{"Key": "Name", "Value": name}]
        assert (instance["KeyName"], instance["PublicIpAddress"]) == ("euca-box", found["public_ip"])
        assert [g["GroupName"] for g in instance["SecurityGroups"]] == ["euca-box-ssh"]
    key = box.data_dir / "demo" / "euca-box.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    bad = here("launch", "--type", "m9.huge")
    assert (bad.exit_code, "InvalidParameterValue" in bad.stderr) == (1, True)
    box.terminate_all("admin")


@pytest.mark.parametrize("command", ["ssh", "console"])
def test_an_instance_that_is_not_there_is_exit_code_1(here, command):
    result = here(command, "i-00000000")
    assert result.exit_code == 1
    assert "i-00000000" in result.stderr
