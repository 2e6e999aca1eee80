"""Two hundred storms: messages lost, late and twice, hosts cut off and killed (tests/sim/storm.py).

EUCA_BOX_SEEDS is how many (`make soak`: 2000), EUCA_BOX_FIRST_SEED where they begin.
"""

import os

import pytest

from tests.sim.storm import run_storm

FIRST = int(os.environ.get("EUCA_BOX_FIRST_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("EUCA_BOX_SEEDS", "200")))


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_storm_everything_is_as_it_should_be(tmp_path, seed):
    assert run_storm(tmp_path, seed) == []
