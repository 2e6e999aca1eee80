"""Errors of IAM and STS (API references of 2010-05-08 and 2011-06-15) that no other service has."""

from euca_box.model.errors import ClientFault


class InvalidInput(ClientFault):
    code = "InvalidInput"


class DeleteConflict(ClientFault):
    code = "DeleteConflict"
    http_status = 409

    def __init__(self, what: str) -> None:
        super().__init__(f"Cannot delete entity, must {what} first.")


class MalformedPolicyDocument(ClientFault):
    code = "MalformedPolicyDocument"


class PasswordPolicyViolation(ClientFault):
    code = "PasswordPolicyViolation"


class InvalidUserType(ClientFault):
    """ChangePassword by who has no password to change."""

    code = "InvalidUserType"


class AlreadyThere(ClientFault):
    """IAM's EntityAlreadyExists, with the status that IAM gives it."""

    code = "EntityAlreadyExists"
    http_status = 409


class NothingThere(ClientFault):
    """NoSuchEntity of what has no name of its own: an attachment, a password, a version."""

    code = "NoSuchEntity"
    http_status = 404


class UnmodifiableEntity(ClientFault):
    code = "UnmodifiableEntity"


class PackedPolicyTooLarge(ClientFault):
    code = "PackedPolicyTooLarge"
