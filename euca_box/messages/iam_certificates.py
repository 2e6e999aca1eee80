"""IAM 2010-05-08: signing certificates of users."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.moments import Moment


@dataclass(frozen=True)
class SigningCertificate:
    """`status` is Active or Inactive."""

    user_name: str
    certificate_id: str
    certificate_body: str
    status: str
    upload_date: Moment


@dataclass(frozen=True)
class UploadSigningCertificateResult:
    certificate: SigningCertificate


@dataclass(frozen=True)
class UploadSigningCertificate(Op[UploadSigningCertificateResult], role="clc", mutates=True):
    """`user_name` None: the caller's own."""

    certificate_body: str
    user_name: str | None = None


@dataclass(frozen=True)
class ListSigningCertificatesResult:
    certificates: tuple[SigningCertificate, ...]
    is_truncated: bool = False
    marker: str | None = None


@dataclass(frozen=True)
class ListSigningCertificates(Op[ListSigningCertificatesResult], role="clc"):
    user_name: str | None = None
    marker: str | None = None
    max_items: int | None = None


@dataclass(frozen=True)
class UpdateSigningCertificate(Op[Done], role="clc", mutates=True):
    certificate_id: str
    status: str
    user_name: str | None = None


@dataclass(frozen=True)
class DeleteSigningCertificate(Op[Done], role="clc", mutates=True):
    certificate_id: str
    user_name: str | None = None
