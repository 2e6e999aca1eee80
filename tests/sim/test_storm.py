"""A few storms between hosts (storm.py); tests/roles/test_storms.py has two hundred."""

import pytest

from tests.sim.storm import run_storm


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_after_a_storm_everything_is_as_it_should_be(tmp_path, seed):
    assert run_storm(tmp_path, seed) == []
