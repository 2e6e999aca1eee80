"""The signed instance identity document: proof, for whoever trusts this cloud, of which instance asks.

Three forms, as EC2 has them (EC2 user guide, "Instance identity documents"): `signature`, RSA over SHA-256
of the document; `pkcs7` and `rsa2048`, the document inside a signed CMS message (RFC 5652). All are base64
in lines of 76 without a frame. EC2 signs `pkcs7` with DSA and SHA-1; here both messages are RSA.
"""

import base64
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

_KEPT = 1024  # documents whose proofs are remembered: a signature costs about a millisecond
_FOLDER = "dynamic/instance-identity"


@dataclass(frozen=True, slots=True)
class Proofs:
    signature: str
    message: str

    def leaves(self) -> dict[str, str]:
        return {
            f"{_FOLDER}/signature": self.signature,
            f"{_FOLDER}/pkcs7": self.message,
            f"{_FOLDER}/rsa2048": self.message,
        }


class IdentitySigner:
    """Signs with the cloud's identity key; the certificate is what others check by."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OSError, ValueError."""
        self._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError(f"{key} is no RSA key")
        self._key = private
        self._made: OrderedDict[str, Proofs] = OrderedDict()

    def proofs(self, document: str) -> Proofs:
        """The same document has the same proofs while it is remembered."""
        made = self._made.get(document)
        if made is None:
            made = self._made[document] = self._sign(document.encode())
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made

    def _sign(self, document: bytes) -> Proofs:
        signature = self._key.sign(document, padding.PKCS1v15(), hashes.SHA256())
        message = (
            pkcs7.PKCS7SignatureBuilder()
            .set_data(document)
            .add_signer(self._certificate, self._key, hashes.SHA256())
            .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
        )
        return Proofs(_lines(signature), _lines(message))


def _lines(data: bytes) -> str:
    return base64.encodebytes(data).decode().rstrip("\n")
