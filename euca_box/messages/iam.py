"""IAM 2010-05-08: signing certificates of users."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op


@dataclass(frozen=True)
class SigningCertificate:
    """`status` is Active or Inactive, `upload_date` in seconds since 1970."""

    user_name: str
    certificate_id: str
    certificate_body: str
    status: str
    upload_date: float


@dataclass(frozen=True)
class UploadSigningCertificate(Op[SigningCertificate], role="clc", mutates=True):
    """`user_name` None: the caller's own."""

    certificate_body: str
    user_name: str | None = None


@dataclass(frozen=True)
class SigningCertificates:
    certificates: tuple[SigningCertificate, ...]


@dataclass(frozen=True)
class ListSigningCertificates(Op[SigningCertificates], role="clc"):
    user_name: str | None = None


@dataclass(frozen=True)
class UpdateSigningCertificate(Op[Done], role="clc", mutates=True):
    certificate_id: str
    status: str
    user_name: str | None = None


@dataclass(frozen=True)
class DeleteSigningCertificate(Op[Done], role="clc", mutates=True):
    certificate_id: str
    user_name: str | None = None
