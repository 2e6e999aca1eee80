"""Object lock: until when a version may not be deleted. Pure values and rules.

Source: S3 user guide, "How S3 Object Lock works". Times are milliseconds since 1970.
"""

import json
from dataclasses import asdict, dataclass, replace

GOVERNANCE, COMPLIANCE = "GOVERNANCE", "COMPLIANCE"
MODES = (GOVERNANCE, COMPLIANCE)
DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Lock:
    """What protects one version. `mode` is empty without retention; `legal_hold` is ON, OFF or empty."""

    mode: str = ""
    until_ms: int = 0
    legal_hold: str = ""

    @classmethod
    def parse(cls, text: str) -> "Lock":
        return cls(**json.loads(text)) if text else NO_LOCK

    def as_text(self) -> str:
        return "" if self is NO_LOCK or self == NO_LOCK else json.dumps(asdict(self))

    def forbids_removal(self, now_ms: int, *, bypass: bool) -> bool:
        """May the version not be deleted? `bypass`: the caller may and wants to pass over GOVERNANCE."""
        return self.legal_hold == "ON" or (self.is_retained(now_ms) and not self._gives_way(bypass))

    def forbids_change(self, new: "Lock", now_ms: int, *, bypass: bool) -> bool:
        """May this retention not become the new one? To lengthen it is always allowed."""
        if not self.is_retained(now_ms) or self._gives_way(bypass):
            return False
        return new.mode != self.mode or new.until_ms < self.until_ms

    def is_retained(self, now_ms: int) -> bool:
        return bool(self.mode) and now_ms < self.until_ms

    def _gives_way(self, bypass: bool) -> bool:
        return bypass and self.mode == GOVERNANCE


NO_LOCK = Lock()


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """What a bucket with object lock gives its new objects. Without `mode`: nothing."""

    mode: str = ""
    days: int = 0
    years: int = 0

    @classmethod
    def parse(cls, text: str) -> "DefaultRetention":
        return cls(**json.loads(text))

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    def applied(self, asked: Lock, now_ms: int) -> Lock:
        """The lock of a new object: what was asked for wins."""
        if not self.mode or asked.mode:
            return asked
        return replace(asked, mode=self.mode, until_ms=now_ms + (self.days + 365 * self.years) * DAY_MS)
