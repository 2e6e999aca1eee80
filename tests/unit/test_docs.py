"""What the documentation says is there: links, commands with their options, settings."""

import re
import shlex
from pathlib import Path

import click
import pytest

from euca_box.cli import main
from euca_box.settings import is_setting
from scripts.make_docs import broken_links, sources

ROOT = Path(__file__).parent.parent.parent
GUIDES = [path for path in sources() if path.name in ("README.md", "operator-guide.md", "user-guide.md")]


def commands():
    """Every `euca-box ...` of a code block."""
    for path in GUIDES:
        for block in re.findall(r"```sh\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for match in re.finditer(
                    r"(?:^|\s|\()euca-box ((?!\S*[=/]).*?)(?:\s#|\s\||\s&&|;|\)|$)", line
                ):
                    yield f"{path.name}: {match[1].strip()}"


def test_no_link_leads_nowhere():
    assert broken_links() == []


@pytest.mark.parametrize("said", sorted(set(commands())))
def test_every_command_and_option_that_is_shown_exists(said):
    words = shlex.split(said.partition(": ")[2].replace("…", "x"))
    command, context = main, click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, context, words = found, click.Context(found, parent=context), words[1:]
    options = {
        name for p in command.params if isinstance(p, click.Option) for name in (*p.opts, *p.secondary_opts)
    }
    if command.name == "aws":
        return  # what follows is the AWS CLI's
    for word in words:
        if word == "--":
            break
        if word.startswith("--"):
            assert word.partition("=")[0] in options | {"--help"}, said


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path):
    sections = "api|bus|cloud|network|mail|dns|walrus|cc|sc|nc|log"
    named = set(re.findall(rf"`((?:{sections})\.[a-z_]+)`", path.read_text()))
    wrong = {
        n
        for n in named
        if not is_setting(n) and not n.endswith((".db", ".key", ".log", ".pem", ".sock", ".json"))
    }
    assert wrong == set()


def test_the_guides_show_commands_at_all():
    assert len(set(commands())) > 40
