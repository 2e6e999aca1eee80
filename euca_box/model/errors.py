"""Every error a client may see, in one tree.

    EucaError
      ClientFault    the request is wrong; sending it again will not help   (4xx, SOAP "Client.")
      ServerFault    we failed; sending it again may help                   (5xx, SOAP "Server.")

Only EucaError leaves the box. A driver's own error (KvmError, NetError, StoreError) is a bug
report to us, and reaches the client as InternalError, unless a role translates it. The S3 front
end keeps its own table of codes in `model/s3_errors.py`, in the same tree.
"""

from typing import ClassVar


class EucaError(Exception):
    """An answer for the client: `code` is the AWS code, the text is the AWS message."""

    code: ClassVar[str] = "InternalError"
    http_status: ClassVar[int] = 500
    side: ClassVar[str] = "Server"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ClientFault(EucaError):
    http_status = 400
    side = "Client"


class ServerFault(EucaError):
    pass


# Requests as such (EC2 API reference, Common client errors)


class AuthFailure(ClientFault):
    code = "AuthFailure"
    http_status = 401

    def __init__(self, message: str = "AWS was not able to validate the provided access credentials") -> None:
        super().__init__(message)


class SignatureDoesNotMatch(ClientFault):
    code = "SignatureDoesNotMatch"
    http_status = 403


class InvalidClientTokenId(ClientFault):
    code = "InvalidClientTokenId"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("The security token included in the request is invalid.")


class ExpiredToken(ClientFault):
    """STS API reference, common errors."""

    code = "ExpiredToken"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("The security token included in the request is expired")


class MissingAuthenticationToken(ClientFault):
    code = "MissingAuthenticationToken"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("Request is missing Authentication Token")


class AccessDeniedByPolicy(ClientFault):
    """IAM and STS; EC2 says UnauthorizedOperation."""

    code = "AccessDenied"
    http_status = 403


class IncompleteSignature(ClientFault):
    code = "IncompleteSignature"


class RequestExpired(ClientFault):
    code = "RequestExpired"

    def __init__(self, message: str = "Request has expired.") -> None:
        super().__init__(message)


class UnauthorizedOperation(ClientFault):
    code = "UnauthorizedOperation"
    http_status = 403

    def __init__(self, message: str = "You are not authorized to perform this operation.") -> None:
        super().__init__(message)


class MalformedRequest(ClientFault):
    code = "MalformedRequest"


class NoSuchVersion(ClientFault):
    code = "NoSuchVersion"


class InvalidAction(ClientFault):
    code = "InvalidAction"

    def __init__(self, action: str) -> None:
        super().__init__(f"The action {action} is not valid for this web service.")


class MissingAction(ClientFault):
    code = "MissingAction"

    def __init__(self) -> None:
        super().__init__("The request must contain the parameter Action")


class MissingParameter(ClientFault):
    code = "MissingParameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"The request must contain the parameter {name}")


class UnknownParameter(ClientFault):
    code = "UnknownParameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"The parameter {name[:128]} is not recognized")


class InvalidParameterValue(ClientFault):
    code = "InvalidParameterValue"


class InvalidParameterCombination(ClientFault):
    code = "InvalidParameterCombination"


class ValidationError(ClientFault):
    """IAM and STS; EC2 says InvalidParameterValue."""

    code = "ValidationError"


class MalformedQueryString(ClientFault):
    code = "MalformedQueryString"


class InvalidNextToken(ClientFault):
    code = "InvalidNextToken"

    def __init__(self) -> None:
        super().__init__("The token is not valid.")


class IdempotentParameterMismatch(ClientFault):
    code = "IdempotentParameterMismatch"

    def __init__(self) -> None:
        super().__init__(
            "The client token was used before with other parameters. Use a new token for a new request."
        )


class DryRunOperation(ClientFault):
    code = "DryRunOperation"
    http_status = 412

    def __init__(self) -> None:
        super().__init__("Request would have succeeded, but DryRun flag is set.")


class UnsupportedOperation(ClientFault):
    code = "UnsupportedOperation"


class IncorrectState(ClientFault):
    code = "IncorrectState"


class OperationNotPermitted(ClientFault):
    code = "OperationNotPermitted"


class InvalidID(ClientFault):
    """An id of no kind that this action knows."""

    code = "InvalidID"

    def __init__(self, resource_id: str) -> None:
        super().__init__(f"The ID '{resource_id}' is not valid")


class TagLimitExceeded(ClientFault):
    code = "TagLimitExceeded"

    def __init__(self, limit: int) -> None:
        super().__init__(f"You have reached the limit of {limit} tags for a resource.")


class RequestLimitExceeded(ServerFault):
    code = "RequestLimitExceeded"
    http_status = 503


class Unavailable(ServerFault):
    """A role that the request needs does not run, or did not answer before its deadline."""

    code = "Unavailable"
    http_status = 503


class StorageFull(ServerFault):
    """Nothing can be written down, so nothing is done; what is there can still be read."""

    code = "Unavailable"
    http_status = 503

    def __init__(self) -> None:
        super().__init__("The disk that holds the cloud's records is full. Nothing was changed; make room.")


class InternalError(ServerFault):
    def __init__(self, message: str = "An internal error has occurred") -> None:
        super().__init__(message)
