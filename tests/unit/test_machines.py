"""The table of an instance's states, walked whole."""

import pytest

from euca_box.model.errors import IncorrectState
from euca_box.model.instances import INSTANCE, InstanceEvent, InstanceState


def test_every_state_can_be_reached():
    assert set(INSTANCE.moves.values()) | {INSTANCE.start} == set(InstanceState)


def test_an_end_can_be_reached_from_every_state():
    ends = {InstanceState.TERMINATED}
    for _ in InstanceState:
        ends |= {state for (state, _), after in INSTANCE.moves.items() if after in ends}
    assert ends == set(InstanceState)


def test_terminated_stays_terminated():
    after = {new for (state, _), new in INSTANCE.moves.items() if state is InstanceState.TERMINATED}
    assert after == {InstanceState.TERMINATED}


def test_every_event_moves_something():
    assert {event for _, event in INSTANCE.moves} == set(InstanceEvent)


def test_a_wish_to_end_is_taken_in_every_state():
    assert all(INSTANCE.takes(state, InstanceEvent.TERMINATE) for state in InstanceState)


@pytest.mark.parametrize("state", InstanceState)
@pytest.mark.parametrize("event", InstanceEvent)
def test_a_move_outside_the_table_is_refused(state, event):
    if INSTANCE.takes(state, event):
        assert INSTANCE.after(state, event) is INSTANCE.moves[state, event]
    else:
        with pytest.raises(IncorrectState, match=f"Cannot {event} a instance that is {state}"):
            INSTANCE.after(state, event)


def test_states_have_the_codes_of_the_manual():
    """EC2 2016-11-15 InstanceState."""
    manual = {
        "pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80,
    }  # fmt: skip
    assert {s.value: s.code for s in InstanceState} == {s.value: manual[s.value] for s in InstanceState}
