"""What the Query services (EC2, IAM, STS) answer for each refused signature.

Source: EC2 API reference, "Common client errors"; EC2 says 401 AuthFailure where IAM and STS say 403.
"""

from euca_box.auth.requests import AuthError, AuthKind
from euca_box.model.errors import (
    AuthFailure,
    EucaError,
    ExpiredToken,
    IncompleteSignature,
    InvalidClientTokenId,
    MalformedQueryString,
    MissingAuthenticationToken,
    RequestExpired,
    SignatureDoesNotMatch,
)

_BELIEF = {AuthKind.UNKNOWN_KEY, AuthKind.BAD_SIGNATURE, AuthKind.SESSION_TOKEN, AuthKind.UNSIGNED_HEADERS}


def ec2_fault(error: AuthError) -> EucaError:
    """The EC2 error; it does not tell an unknown key from a wrong signature."""
    return AuthFailure() if error.kind in _BELIEF else _common(error)


def iam_fault(error: AuthError) -> EucaError:
    """The IAM and STS error."""
    if error.kind in (AuthKind.UNKNOWN_KEY, AuthKind.SESSION_TOKEN):
        return InvalidClientTokenId()
    if error.kind is AuthKind.EXPIRED_TOKEN:
        return ExpiredToken()
    return SignatureDoesNotMatch(error.message) if error.kind in _BELIEF else _common(error)


def _common(error: AuthError) -> EucaError:
    match error.kind:
        case AuthKind.MISSING:
            return MissingAuthenticationToken()
        case AuthKind.SKEWED | AuthKind.EXPIRED | AuthKind.EXPIRED_TOKEN:
            return RequestExpired(error.message)
        case AuthKind.AMBIGUOUS | AuthKind.MALFORMED_QUERY:
            return MalformedQueryString(error.message)
        case AuthKind.UNSUPPORTED:
            return AuthFailure(error.message)
        case _:
            return IncompleteSignature(error.message)
