"""Who asks: a signature of V4 or of 2006, in the header or in the URL, or nobody."""

from datetime import datetime

from euca_box.api.s3.request import S3Request
from euca_box.auth import s3v2, sigv4
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind
from euca_box.model import s3_errors
from euca_box.model.s3_errors import S3Error

# A signature made for one of these is not one for S3. Others pass: boto 2 signs for a host's first label.
_OTHER_SERVICES = {"ec2", "iam", "sts", "monitoring", "elasticloadbalancing", "autoscaling", "cloudformation"}

_FAULTS: dict[AuthKind, type[S3Error]] = {
    AuthKind.MISSING: s3_errors.AccessDenied,
    AuthKind.MALFORMED_HEADER: s3_errors.AuthorizationHeaderMalformed,
    AuthKind.MALFORMED_QUERY: s3_errors.AuthorizationQueryParametersError,
    AuthKind.MALFORMED_FORM: s3_errors.InvalidArgument,
    AuthKind.AMBIGUOUS: s3_errors.InvalidRequest,
    AuthKind.UNSUPPORTED: s3_errors.InvalidRequest,
    AuthKind.UNKNOWN_KEY: s3_errors.InvalidAccessKeyId,
    AuthKind.BAD_SIGNATURE: s3_errors.S3SignatureDoesNotMatch,
    AuthKind.SKEWED: s3_errors.RequestTimeTooSkewed,
    AuthKind.EXPIRED: s3_errors.AccessDenied,
    AuthKind.BAD_DATE: s3_errors.AccessDenied,
    AuthKind.UNSIGNED_HEADERS: s3_errors.AccessDenied,
    AuthKind.SESSION_TOKEN: s3_errors.InvalidToken,
    AuthKind.EXPIRED_TOKEN: s3_errors.S3ExpiredToken,
    AuthKind.BAD_PAYLOAD: s3_errors.InvalidRequest,
    AuthKind.BODY_MISMATCH: s3_errors.XAmzContentSHA256Mismatch,
    AuthKind.INCOMPLETE_BODY: s3_errors.IncompleteBody,
    AuthKind.MALFORMED_CHUNK: s3_errors.InvalidRequest,
    AuthKind.MALFORMED_TRAILER: s3_errors.MalformedTrailerError,
}


def s3_fault(error: AuthError) -> S3Error:
    """What S3 answers for a refused signature."""
    return _FAULTS[error.kind](error.message, **error.details)


def authenticate(request: S3Request, keyring: Keyring, now: datetime) -> None:
    """Set `principal` and `verified`; a request without a signature stays anonymous. Raises AuthError."""
    signed = request.signed
    if sigv4.is_signed(signed):
        verified = sigv4.verify(signed, keyring, now, s3=True)
        if verified.service in _OTHER_SERVICES:
            text = f"The credential scope names the service {verified.service}, not s3."
            raise AuthError(AuthKind.MALFORMED_HEADER, text)
        request.verified, request.principal = verified, verified.access_key.principal
    elif s3v2.is_signed(signed):
        request.principal = s3v2.verify(signed, request.resources, keyring, now).principal
    elif "authorization" in request.headers:
        raise AuthError(AuthKind.UNSUPPORTED, "Unsupported Authorization Type")
