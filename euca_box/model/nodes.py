"""Nodes of a zone: what an operator wishes of them, and how they are (states of Eucalyptus 1.6.2)."""

from enum import StrEnum


class NodeWish(StrEnum):
    """DISABLED takes nothing new; MAINTENANCE is left by its instances, too."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    MAINTENANCE = "MAINTENANCE"


class NodeCondition(StrEnum):
    """ASLEEP: it was sent to sleep and is not asked; WAKING: it was called and has not answered yet."""

    UP = "UP"
    DOWN = "DOWN"
    ASLEEP = "ASLEEP"
    WAKING = "WAKING"
