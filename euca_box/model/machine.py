"""A state machine is a table: (state, event) -> state. No other line assigns a state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from euca_box.model.errors import IncorrectState

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Machine(Generic[S, E]):
    noun: str
    start: S
    moves: Mapping[tuple[S, E], S]

    def after(self, state: S, event: E) -> S:
        """The state that follows, or IncorrectState: the table is the whole law."""
        try:
            return self.moves[state, event]
        except KeyError:
            raise IncorrectState(f"Cannot {event} a {self.noun} that is {state}.") from None

    def takes(self, state: S, event: E) -> bool:
        return (state, event) in self.moves

    def terminal(self) -> frozenset[S]:
        return frozenset(self.moves.values()) - {state for state, _ in self.moves}
