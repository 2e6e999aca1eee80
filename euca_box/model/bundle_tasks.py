"""Bundle tasks: an instance's disk on its way into the parts of a bundle. Pure values."""

import enum
from dataclasses import dataclass, field

from euca_box.model.machine import Machine


class BundleTaskState(enum.StrEnum):
    """EC2 2016-11-15 BundleTaskState; `waiting-for-shutdown` is of Windows guests."""

    PENDING = "pending"
    BUNDLING = "bundling"  # its disk is copied
    STORING = "storing"  # parts are sent
    CANCELLING = "cancelling"
    COMPLETE = "complete"
    FAILED = "failed"


class BundleTaskEvent(enum.StrEnum):
    COPYING = "copy"
    SENDING = "send"
    CANCEL = "cancel"
    DONE = "complete"
    GIVEN_UP = "give up"


S, E = BundleTaskState, BundleTaskEvent
BUNDLE_TASK = Machine(
    noun="bundle task",
    start=S.PENDING,
    moves={
        (S.PENDING, E.COPYING): S.BUNDLING,
        (S.BUNDLING, E.COPYING): S.BUNDLING,
        (S.STORING, E.COPYING): S.BUNDLING,  # its node was started again, and begins anew
        (S.PENDING, E.SENDING): S.STORING,
        (S.BUNDLING, E.SENDING): S.STORING,
        (S.STORING, E.SENDING): S.STORING,
        (S.PENDING, E.CANCEL): S.CANCELLING,
        (S.BUNDLING, E.CANCEL): S.CANCELLING,
        (S.STORING, E.CANCEL): S.CANCELLING,
        (S.PENDING, E.DONE): S.COMPLETE,
        (S.BUNDLING, E.DONE): S.COMPLETE,
        (S.STORING, E.DONE): S.COMPLETE,
        (S.PENDING, E.GIVEN_UP): S.FAILED,
        (S.BUNDLING, E.GIVEN_UP): S.FAILED,
        (S.STORING, E.GIVEN_UP): S.FAILED,
        (S.CANCELLING, E.GIVEN_UP): S.FAILED,
    },
)
ENDED = (S.COMPLETE, S.FAILED)


@dataclass(frozen=True)
class BundleTask:
    """`sealed_signature` is the user's signature of the policy: with both anybody may upload."""

    bundle_id: str
    account: str
    instance_id: str
    bucket: str
    prefix: str
    access_key_id: str
    policy: str  # base64, as it was signed
    started_at: float
    updated_at: float
    deadline: float
    sealed_signature: str = field(default="", repr=False)
    state: BundleTaskState = BundleTaskState.PENDING
    percent: int = 0
    error_code: str = ""
    error_message: str = ""
