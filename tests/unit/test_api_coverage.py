"""The coverage page is written from the code, is up to date, and says what a request would get."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import get_type_hints

import pytest

from euca_box.api.ec2 import decode, shapes
from euca_box.messages import registry
from euca_box.messages.ec2_common import Filter
from euca_box.model.errors import EucaError, UnknownParameter, UnsupportedOperation

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("writer", ROOT / "scripts" / "write_api_coverage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_coverage_page_is_up_to_date(writer: ModuleType) -> None:
    assert writer.TARGET.read_text() == writer.page(), "run: python scripts/write_api_coverage.py"


def test_every_action_has_its_section(writer: ModuleType) -> None:
    headings = {line[4:] for line in writer.page().splitlines() if line.startswith("### ")}

    assert headings == {*registry.EC2_ACTIONS, "Not there yet"}


def test_a_parameter_that_changes_nothing_is_named(writer: ModuleType) -> None:
    assert writer._idle_fields(registry.EC2_ACTIONS["RunInstances"]) == ["additional_info"]


def test_every_action_with_filters_says_which(writer: ModuleType) -> None:
    filtering = {
        name
        for name, kind in registry.EC2_ACTIONS.items()
        if get_type_hints(kind).get("filters") == tuple[Filter, ...]
    }

    assert set(writer.FILTERS) == filtering


@pytest.mark.parametrize("action", sorted(registry.EC2_ACTIONS))
def test_what_the_page_calls_taken_or_not_is_what_a_request_gets(writer: ModuleType, action: str) -> None:
    kind, members = registry.EC2_ACTIONS[action], shapes.actions()[action].request
    for path, is_taken in writer._paths(kind, members, ""):
        tree = decode.tree_of([(re.sub(r"\.N(?=\.|$)", ".1", path), "1")])
        try:
            decode.decode(kind, members, tree)
            error = None
        except EucaError as refused:
            error = refused
        assert not isinstance(error, UnknownParameter), path
        assert isinstance(error, UnsupportedOperation) == (not is_taken), path


def test_what_is_missing_of_eucalyptus_is_told_and_nothing_that_is_there(writer: ModuleType) -> None:
    told = writer.page().partition("### Not there yet")[2].partition("## S3")[0]

    assert "`CreateVpc`" in told
    assert "`RunInstances`" not in told
