"""Certificates of one export of a volume to another host: an authority that signs two keys and is forgotten.

Whoever held the volume before has a certificate of another authority, and is not let in any more. Names do
not matter; the keys do. The node's private key never leaves the node.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from euca_box.auth.certificates import CA_DAYS, _builder, _issued_by, _pem, _usage, write_file

SERVER_NAME = "storage"
AUTHORITY, SERVER, SERVER_KEY = "ca-cert.pem", "server-cert.pem", "server-key.pem"
CLIENT, CLIENT_KEY = "client-cert.pem", "client-key.pem"
# For GnuTLS. The shorter key costs a fifth less, and nobody breaks it.
PRIORITY = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM"
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Admission:
    """What the node is given, in PEM."""

    authority: bytes
    certificate: bytes


def admit(folder: Path, export: str, request: bytes) -> Admission:
    """Certificates of this export for the key in the request (RFC 2986). Raises ValueError for what is none.

    The same key again gets the same ones. `folder` has what the server needs then, private.
    """
    asked = x509.load_pem_x509_csr(request)
    key = asked.public_key()
    if not asked.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("no request for a certificate of an EC key")
    if (known := _known(folder, export, key)) is not None:
        return known
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, export)])
    signer, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        _builder(name, name, signer, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(signer, hashes.SHA256())
        .public_bytes(PEM)
    )
    served = _end(name, SERVER_NAME, signer, server.public_key(), ExtendedKeyUsageOID.SERVER_AUTH)
    client = _end(name, "node", signer, key, ExtendedKeyUsageOID.CLIENT_AUTH)
    write_file(folder / SERVER_KEY, _pem(server), 0o600)
    write_file(folder / SERVER, served, 0o600)
    write_file(folder / AUTHORITY, authority, 0o600)
    write_file(folder / CLIENT, client, 0o600)
    return Admission(authority, client)


def _known(folder: Path, export: str, key: ec.EllipticCurvePublicKey) -> Admission | None:
    try:
        found = Admission((folder / AUTHORITY).read_bytes(), (folder / CLIENT).read_bytes())
        client = x509.load_pem_x509_certificate(found.certificate)
        authority = x509.load_pem_x509_certificate(found.authority)
        client.verify_directly_issued_by(authority)
    except (OSError, ValueError, TypeError):
        return None
    name = authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return found if client.public_key() == key and name == export else None


def _end(
    issuer: x509.Name,
    name: str,
    signer: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    purpose: ObjectIdentifier,
) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        _builder(subject, issuer, key, CA_DAYS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_issued_by(signer), critical=False)
    )
    return built.sign(signer, hashes.SHA256()).public_bytes(PEM)
