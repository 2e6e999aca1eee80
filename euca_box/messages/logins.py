"""What the web console asks the CLC about the person before it: who that is, and whether still.

Asked by the console itself (`system_call`), never by a user: no front end has names for these.
"""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment
from euca_box.model.accounts import Principal


@dataclass(frozen=True)
class Session:
    """A person who is logged in. `must_change`: the password, before anything else."""

    principal: Principal
    account_name: str
    must_change: bool = False
    has_second_factor: bool = False


@dataclass(frozen=True)
class LogInResult:
    """`token` is the secret of the session; None when a code of the second factor is needed as well."""

    token: str | None = field(repr=False)
    session: Session | None = None


@dataclass(frozen=True)
class LogIn(Op[LogInResult], role="clc"):
    """`name` is NAME, or ACCOUNT/NAME where several accounts have it."""

    name: str
    password: str = field(repr=False)
    code: str = field(default="", repr=False)
    source_ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True)
class ResumeSession(Op[Session], role="clc"):
    token: str = field(repr=False)


@dataclass(frozen=True)
class LogOut(Op[Done], role="clc"):
    """Of a session that has ended already it is harmless."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class SessionRow:
    session_id: str
    created_at: Moment
    used_at: Moment
    source_ip: str
    user_agent: str
    is_this: bool


@dataclass(frozen=True)
class Sessions:
    sessions: tuple[SessionRow, ...]


@dataclass(frozen=True)
class ListSessions(Op[Sessions], role="clc"):
    """Those of the person whose token it is."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class EndSessions(Op[Done], role="clc"):
    """One of the person's sessions, or without an id all but this."""

    token: str = field(repr=False)
    session_id: str | None = None


@dataclass(frozen=True)
class ChangeOwnPassword(Op[Done], role="clc"):
    """Ends the person's other sessions."""

    token: str = field(repr=False)
    old_password: str = field(repr=False)
    new_password: str = field(repr=False)


@dataclass(frozen=True)
class NewSecondFactor:
    secret: str = field(repr=False)
    uri: str = field(repr=False)  # otpauth://, as authenticator apps read it


@dataclass(frozen=True)
class SecondFactor(Op[NewSecondFactor], role="clc"):
    """A fresh secret to be shown; it is in use only when a code of it has come."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class UseSecondFactor(Op[Done], role="clc"):
    """From now on (with a `secret` and a code of it), or no more (without)."""

    token: str = field(repr=False)
    password: str = field(repr=False)
    secret: str = field(default="", repr=False)
    code: str = field(default="", repr=False)


@dataclass(frozen=True)
class AskRecovery(Op[Done], role="clc"):
    """A link by mail to choose another password. The answer tells nobody who is here."""

    name: str
    email: str
    source_ip: str = ""


@dataclass(frozen=True)
class UseRecovery(Op[Done], role="clc"):
    token: str = field(repr=False)
    password: str = field(repr=False)


# Sign-up


@dataclass(frozen=True)
class SignUp(Op[Done], role="clc"):
    """A request for an account, which an administrator approves or rejects."""

    account_name: str
    email: str
    password: str = field(repr=False)
    real_name: str = ""
    reason: str = ""
    source_ip: str = ""


@dataclass(frozen=True)
class SignUpRow:
    signup_id: str
    account_name: str
    email: str
    real_name: str
    reason: str
    created_at: Moment


@dataclass(frozen=True)
class SignUps:
    signups: tuple[SignUpRow, ...]


@dataclass(frozen=True)
class Changes:
    """Numbers that grow with every change of what the account has."""

    versions: dict[str, int]


@dataclass(frozen=True)
class GetChanges(Op[Changes], role="clc"):
    account: str
