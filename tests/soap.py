"""Envelopes as clients sign them: by libxmlsec, which shares no code with what verifies them."""

import base64
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from lxml import etree

from euca_box.auth.wsse import SOAP_11

OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
WSSE, WSU = f"{OASIS}wssecurity-secext-1.0.xsd", f"{OASIS}wssecurity-utility-1.0.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
X509 = f"{OASIS}x509-token-profile-1.0#X509v3"
VECTORS = Path(__file__).parent / "vectors"
KIB = 1 << 10
EC2 = "http://ec2.amazonaws.com/doc/{}/"


def envelope(
    body: str, cert_pem: bytes, *, space: str = SOAP_11, created: datetime | None = None
) -> etree._Element:
    """Unsigned, with its token and Timestamp. `body` is the one element of the Body."""
    created = created or datetime.now(UTC)
    der = der_of(cert_pem)
    names = {name: f"{name}-{uuid.uuid4()}" for name in ("Token", "Time", "Body")}
    return etree.fromstring(
        f'<e:Envelope xmlns:e="{space}" xmlns:wsse="{WSSE}" xmlns:wsu="{WSU}"><e:Header>'
        f'<wsse:Security e:mustUnderstand="1"><wsse:BinarySecurityToken ValueType="{X509}" '
        f'EncodingType="{OASIS}soap-message-security-1.0#Base64Binary" wsu:Id="{names["Token"]}">'
        f"{base64.b64encode(der).decode()}</wsse:BinarySecurityToken>"
        f'<wsu:Timestamp wsu:Id="{names["Time"]}"><wsu:Created>{created:%Y-%m-%dT%H:%M:%SZ}</wsu:Created>'
        f"<wsu:Expires>{created + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}</wsu:Expires></wsu:Timestamp>"
        f'</wsse:Security></e:Header><e:Body wsu:Id="{names["Body"]}">{body}</e:Body></e:Envelope>'
    )


def sign(root: etree._Element, key_pem: bytes, *, sha1: bool = False, prefixes: Sequence[str] = ()) -> bytes:
    """The document of the envelope, its Timestamp and Body signed. `prefixes` as WSS4J lists them."""
    security = root.find(f".//{{{WSSE}}}Security")
    method = xmlsec.Transform.RSA_SHA1 if sha1 else xmlsec.Transform.RSA_SHA256
    digest = xmlsec.Transform.SHA1 if sha1 else xmlsec.Transform.SHA256
    signature = xmlsec.template.create(root, xmlsec.Transform.EXCL_C14N, method, ns="ds")
    space = etree.QName(root).namespace
    for part in (security.find(f"{{{WSU}}}Timestamp"), root.find(f"{{{space}}}Body")):
        reference = xmlsec.template.add_reference(signature, digest, uri=f"#{part.get(f'{{{WSU}}}Id')}")
        transform = xmlsec.template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
        if prefixes:
            xmlsec.template.transform_add_c14n_inclusive_namespaces(transform, list(prefixes))
    info = xmlsec.template.ensure_key_info(signature)
    token = security.find(f"{{{WSSE}}}BinarySecurityToken")
    reference = etree.SubElement(
        etree.SubElement(info, f"{{{WSSE}}}SecurityTokenReference"), f"{{{WSSE}}}Reference"
    )
    reference.set("URI", f"#{token.get(f'{{{WSU}}}Id')}")
    reference.set("ValueType", X509)
    security.append(signature)
    context = xmlsec.SignatureContext()
    for element in root.iter():
        if element.get(f"{{{WSU}}}Id"):
            context.register_id(element, "Id", WSU)
    context.key = xmlsec.Key.from_memory(key_pem, xmlsec.KeyFormat.PEM)
    context.sign(signature)
    return etree.tostring(root)


def signed(body: str, cert_pem: bytes, key_pem: bytes, **how: object) -> bytes:
    return sign(envelope(body, cert_pem, **how), key_pem)  # type: ignore[arg-type]


def ec2_request(action: str, inside: str = "", version: str = "2009-04-04") -> str:
    return f'<{action} xmlns="{EC2.format(version)}">{inside}</{action}>'


def new_certificate() -> tuple[bytes, bytes]:
    """A certificate for a day, signed by itself, and its key; PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), key.private_bytes(*form)


def der_of(cert_pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(cert_pem).public_bytes(Encoding.DER)


def public_key_of(cert_pem: bytes) -> Any:
    return x509.load_pem_x509_certificate(cert_pem).public_key()


def bad_documents(honest: bytes) -> dict[str, bytes]:
    """Bombs, depth, width, ids, namespaces; the largest grow out of `honest`, a signed DescribeInstances."""
    start = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
    recorded = [*sorted((VECTORS / "xml").glob("*.xml")), *sorted((VECTORS / "wsse").glob("xsw*.xml"))]
    spaces = b" ".join(b'xmlns:a%d="urn:a"' % n for n in range(250))
    return {path.name: path.read_bytes()[: 256 * KIB] for path in recorded} | {
        "deep": (b"<a>" * 40_000)[: 256 * KIB],
        "wide": start + b"<a/>" * 39_000 + b"</e:Envelope>",
        "attributes": b"<a " + b" ".join(b'a%d="1"' % n for n in range(20_000)) + b"/>",
        "namespaces": b"<a " + spaces + b">" + b"<b/>" * 9_000 + b"</a>",
        "a body grown": honest.replace(b"<instancesSet/>", b'<a id="x"/>' * 15_000),
    }
