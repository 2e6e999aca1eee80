"""The cloud's authority and its own RSA key, in files that are read when they are needed."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from euca_box.auth import bundle_keys, certificates
from euca_box.auth.bundle_keys import BundleKey


@dataclass(frozen=True)
class Notary:
    """Of the data directory with ca.pem, ca.key, cloud.pem and cloud.key."""

    folder: Path

    @cached_property
    def cloud_certificate(self) -> str:
        """PEM; what users encrypt the keys of their bundles to."""
        return (self.folder / "cloud.pem").read_text()

    @cached_property
    def public(self) -> rsa.RSAPublicKey:
        return bundle_keys.public_key(self.cloud_certificate.encode())

    @cached_property
    def _private(self) -> rsa.RSAPrivateKey:
        return bundle_keys.private_key((self.folder / "cloud.key").read_bytes())

    def open_bundle(self, wrapped_key: str, wrapped_iv: str) -> BundleKey:
        """Raises BundleKeyError."""
        return bundle_keys.unwrap(wrapped_key, wrapped_iv, self._private)

    def sign(self, data: bytes) -> str:
        """A signature of a manifest, hex."""
        return bundle_keys.sign(data, self._private)

    def issue(self, account: str, user: str) -> tuple[str, str]:
        """A signing certificate for the user and its key, PEM. The key is kept nowhere."""
        pem, key = certificates.issue_user(self.folder / "ca.pem", self.folder / "ca.key", account, user)
        return pem.decode(), key.decode()

    @property
    def authority(self) -> str:
        """The certificate of the cloud's authority, PEM."""
        return (self.folder / "ca.pem").read_text()

    def certify(self, wish: str, names: tuple[str, ...], common_name: str) -> str:
        """The key in a host's request, for these names, or without any for signing documents.

        Raises ValueError.
        """
        ca, key = self.folder / "ca.pem", self.folder / "ca.key"
        return certificates.answer_request(ca, key, wish.encode(), names, common_name).decode()
