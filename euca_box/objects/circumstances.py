"""Under which circumstances a request is decided: what policies may ask besides who, what and which.

A variable of the context of the request that is being answered, and of no other: the front end sets
it before anything is decided. It is a function, since few buckets have a policy that would look.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from euca_box.model.policy_text import Context
from euca_box.model.rights import Grants


def _none() -> Context:
    return {}


# What the policies of users and roles say. Where nobody set them, nobody has any.
GRANTS: ContextVar[Callable[[], Grants]] = ContextVar("grants", default=Grants)
CIRCUMSTANCES: ContextVar[Callable[[], Context]] = ContextVar("circumstances", default=_none)


@contextmanager
def circumstances(context: Context) -> Iterator[None]:
    """What is decided in the block is decided under these."""
    token = CIRCUMSTANCES.set(lambda: context)
    try:
        yield
    finally:
        CIRCUMSTANCES.reset(token)
