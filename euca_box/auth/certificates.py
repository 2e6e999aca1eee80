"""A certificate authority of the cloud's own, and the server's certificate under it (RFC 5280)."""

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

CA_DAYS = 3650
USER_DAYS = 3650
SERVER_DAYS = 825  # the longest that Apple's clients accept


def make_ca(certificate: Path, key: Path) -> None:
    """A new P-256 authority; the key file is 0600."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box CA")])
    built = (
        _builder(name, name, private, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_issued_by(private), critical=False)
        .sign(private, hashes.SHA256())
    )
    write_file(key, _pem(private), 0o600)
    write_file(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def issue(ca: Path, ca_key: Path, certificate: Path, key: Path, names: Iterable[str]) -> None:
    """A server certificate for host names and addresses; the file holds the chain."""
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = _authority_key(ca_key)
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box")])
    built = (
        _builder(subject, authority.subject, private, SERVER_DAYS)
        .add_extension(
            x509.SubjectAlternativeName([_alternative(n) for n in dict.fromkeys(names)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_issued_by(signer), critical=False)
        .sign(signer, hashes.SHA256())
    )
    chain = built.public_bytes(serialization.Encoding.PEM) + ca.read_bytes()
    write_file(key, _pem(private), 0o600)
    write_file(certificate, chain, 0o644)


def certify_host(key: ed25519.Ed25519PrivateKey, certificate: Path, key_file: Path) -> None:
    """A certificate of a host's own key, by itself: TLS needs one; other hosts compare the key in it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box host")])
    built = _builder(name, name, key, CA_DAYS).sign(key, None)
    write_file(key_file, _pem(key), 0o600)
    write_file(certificate, built.public_bytes(serialization.Encoding.PEM), 0o644)


def request(key: PrivateKey) -> bytes:
    """A wish to have the key certified (RFC 2986), PEM; whoever signs it decides over the names."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box")])
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


def answer_request(ca: Path, ca_key: Path, wish: bytes, names: Iterable[str], common_name: str) -> bytes:
    """A certificate for the key in the request, PEM with the chain; nothing else of the request counts.
    Without names it is for signing documents. Raises ValueError for what is no request."""
    asked = x509.load_pem_x509_csr(wish)
    public = asked.public_key()
    if not asked.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise ValueError("no request for a certificate of an EC or RSA key")
    authority, signer = x509.load_pem_x509_certificate(ca.read_bytes()), _authority_key(ca_key)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.EMAIL_PROTECTION
    builder = (
        _builder(subject, authority.subject, public, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(_issued_by(signer), critical=False)
    )
    if names:
        builder = builder.add_extension(_alternatives(names), critical=False)
    built = builder.sign(signer, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM) + (ca.read_bytes() if names else b"")


def private_key(path: Path, *, is_rsa: bool = False) -> PrivateKey:
    """Of the file, which is made 0600 when it is missing: P-256, or RSA-2048."""
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        made: PrivateKey = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )
        write_file(path, _pem(made), 0o600)
        return made
    assert isinstance(found, PrivateKey)
    return found


def issue_identity(ca: Path, ca_key: Path, certificate: Path, key: Path) -> None:
    """The RSA-2048 key that signs instance identity documents, and its certificate under the authority."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box instance identity")])
    pem, key_pem = _issue_rsa(ca, ca_key, name, CA_DAYS, _usage(signs_certificates=False), for_mail=True)
    write_file(key, key_pem, 0o600)
    write_file(certificate, pem, 0o644)


def issue_cloud(ca: Path, ca_key: Path, certificate: Path, key: Path) -> None:
    """The RSA-2048 key to which the keys of bundled images are encrypted, and its certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "euca-box cloud")])
    usage = _usage(signs_certificates=False, encrypts=True)
    pem, key_pem = _issue_rsa(ca, ca_key, name, CA_DAYS, usage)
    write_file(key, key_pem, 0o600)
    write_file(certificate, pem, 0o644)


def issue_user(ca: Path, ca_key: Path, account: str, user: str) -> tuple[bytes, bytes]:
    """A user's signing certificate and its RSA-2048 key, both PEM; nothing is kept."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, account),
            x509.NameAttribute(NameOID.COMMON_NAME, user),
        ]
    )
    return _issue_rsa(ca, ca_key, name, USER_DAYS, _usage(signs_certificates=False, encrypts=True))


def _issue_rsa(
    ca: Path, ca_key: Path, subject: x509.Name, days: int, usage: x509.KeyUsage, *, for_mail: bool = False
) -> tuple[bytes, bytes]:
    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    signer = _authority_key(ca_key)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    builder = (
        _builder(subject, authority.subject, private, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_issued_by(signer), critical=False)
    )
    if for_mail:
        mail = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(mail, critical=False)
    built = builder.sign(signer, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM), _pem(private)


def _authority_key(path: Path) -> ec.EllipticCurvePrivateKey:
    signer = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return signer


def covers(certificate: Path, names: Iterable[str]) -> bool:
    """Whether the certificate names all of them and is good for another month."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return False
    alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(n.value) for n in alternatives}
    soon = datetime.now(UTC) + timedelta(days=30)
    return set(names) <= known and found.not_valid_after_utc > soon


def end_of(certificate: Path) -> datetime:
    """When it is good no longer. Raises ValueError."""
    return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey | PublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    public = key.public_key() if isinstance(key, PrivateKey) else key
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _issued_by(signer: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    """RFC 5280, 4.2.1.1: without it Python 3.13 and OpenSSL's strict mode refuse the chain."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())


def _alternatives(names: Iterable[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in dict.fromkeys(names)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool, encrypts: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=encrypts,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(private: PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, never readable for a moment by those who must not."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
