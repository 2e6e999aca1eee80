"""What each key may hold: what was acknowledged, and perhaps what was under way."""

from dataclasses import dataclass, field
from typing import Any

from euca_box.model.notifications import Event
from tests.durability.workload import SOURCE_SIZES, content

# The versions of a key, oldest first: id, and bytes or None for a delete marker.
Versions = tuple[tuple[str, bytes | None], ...]
Told = tuple[str, ...]  # the events of a key that somebody is to be told of

_EVENTS = {
    "put": Event.PUT,
    "multipart": Event.COMPLETED,
    "copy": Event.COPY,
    "delete": Event.DELETED,
    "delete version": Event.DELETED,
}


@dataclass
class Acknowledged:
    """Fed with the notes of a workload, in their order. `ids`: what each step's version came to be called."""

    ids: dict[tuple[str, int], str]
    is_ready: bool = False
    held: dict[str, Versions] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    under_way: dict[str, dict[str, Any]] = field(default_factory=dict)

    def feed(self, note: dict[str, Any]) -> None:
        if note["event"] == "ready":
            self.is_ready = True
        elif note["event"] == "begin":
            self.under_way[note["key"]] = note
        else:
            self.held[note["key"]], self.told[note["key"]] = self._after(note), self._told_after(note)
            del self.under_way[note["key"]]

    def may_hold(self, key: str) -> list[tuple[Versions, Told]]:
        """A change and its event are there both, or neither of them."""
        found = [(self.held.get(key, ()), self.told.get(key, ()))]
        if (note := self.under_way.get(key)) is not None:
            found.append((self._after(note), self._told_after(note)))
        return found

    def keys(self) -> set[str]:
        return {*self.held, *self.under_way}

    def _told_after(self, note: dict[str, Any]) -> Told:
        event = _EVENTS[note["kind"]]
        if note["kind"] == "delete" and note["key"].startswith("versioned/"):
            event = Event.MARKED
        return (*self.told.get(note["key"], ()), event)

    def _after(self, note: dict[str, Any]) -> Versions:
        key, step, kind = note["key"], note["step"], note["kind"]
        held = self.held.get(key, ())
        if kind == "delete version":
            return tuple(version for version in held if version[0] != note["victim"])
        version_id = self.ids.get((key, step), "")
        if kind == "delete":
            return (*held, (version_id, None)) if key.startswith("versioned/") else ()
        data = content(key, step, note["size"])
        if kind == "copy":
            data = content("source", step % 2, SOURCE_SIZES[step % 2])
        new = (version_id, data)
        return (*held, new) if key.startswith("versioned/") else (new,)
