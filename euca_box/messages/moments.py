"""A point in time in messages: seconds since 1970. Front ends write it as their protocol does."""

from typing import NewType

Moment = NewType("Moment", float)
