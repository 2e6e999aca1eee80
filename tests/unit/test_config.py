"""Settings: what a file may say, and how mistakes in it are told."""

from pathlib import Path

import pytest

from euca_box import settings
from euca_box.config import Config, addresses_of
from euca_box.example import example

EXAMPLE = Path(__file__).parents[2] / "config.toml.example"


def test_the_example_file_is_up_to_date():
    assert EXAMPLE.read_text() == example(), "run: euca-box config example > config.toml.example"


def test_the_example_is_the_defaults():
    assert settings.parse(EXAMPLE.read_text()) == settings.parse("") == Config()


def mistakes_in(text):
    with pytest.raises(settings.ConfigError) as caught:
        settings.parse(text)
    return caught.value.mistakes


def test_all_mistakes_are_told_at_once_with_their_lines():
    told = mistakes_in(
        'roles = ["clk"]\n[network]\nmode = "EDG"\nbrigde = "x"\n[api]\nport = "x"\n[nope]\na = 1\n'
    )
    assert told == [
        "config.toml:1: roles = ['clk'] has 'clk', which is not one of all, clc, walrus, cc, sc, nc. "
        'Did you mean "clc"?',
        'config.toml:3: network.mode = "EDG" is not one of EDGE, MANAGED, MANAGED-NOVLAN, STATIC, SYSTEM. '
        'Did you mean "EDGE"?',
        'config.toml:4: unknown setting network.brigde. Did you mean "bridge"?',
        'config.toml:6: api.port = "x" must be a whole number',
        "config.toml:7: unknown setting nope. Known here: roles, data_dir, api, bus, cloud, network, mail, "
        "dns, walrus, cc, sc, nc, log, vm_types.",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("api.port = 70000", "must be 0 to 65535"),
        ("api.port = true", "must be a whole number"),
        ('network.private_subnet = "172.31.0.1/20"', "must be"),
        ('network.public_addresses = "1.2.3.4-1.2.3.1"', "is no range of addresses"),
        ('cloud.account = "12"', "must be 12 digits"),
        ("api = 3", "must be a table"),
        ("x = \n", "not TOML"),
        ('vm_types."m1.small" = { cpu = "two" }', "must be a whole number"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(text, words):
    [told] = mistakes_in(text)
    assert words in told
    assert told.startswith("config.toml:")


def test_later_layers_win_setting_by_setting(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[api]\nport = 1000\nconsole_port = 1001\n[cloud]\nregion = "eu-1"\n')
    environment = {"EUCA_BOX__API__PORT": "2000", "EUCA_BOX__CLOUD__REGION": "eu-2", "OTHER": "x"}
    config, origins = settings.load(file, environment=environment, flags={"roles": ["cc"]})
    assert (config.api.port, config.api.console_port, config.cloud.region) == (2000, 1001, "eu-2")
    assert config.roles == ["cc"]
    assert origins["api.console_port"] == f"{file}:3"
    assert origins["api.port"] == "environment EUCA_BOX__API__PORT"


def test_a_missing_file_that_was_named_is_an_error(tmp_path):
    with pytest.raises(settings.ConfigError, match="there is no such file"):
        settings.load(tmp_path / "absent.toml", environment={})


def test_all_roles_start_in_a_fixed_order():
    assert settings.roles_of(["nc", "all"]) == ("clc", "walrus", "cc", "sc", "nc")
    assert settings.roles_of(["nc", "clc"]) == ("clc", "nc")


def test_ranges_of_addresses_are_spelled_out():
    assert addresses_of("10.0.0.1-10.0.0.3, 10.0.1.7") == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.7"]
    assert addresses_of("10.0.0.1-2") == ["10.0.0.1", "10.0.0.2"]
