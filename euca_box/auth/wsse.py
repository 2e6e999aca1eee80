"""WS-Security signatures of SOAP messages: who signed this Body.

Source: OASIS Web Services Security, SOAP Message Security 1.0 and X.509 Token Profile 1.0 (2004); W3C
XML-Signature (2002), Exclusive XML Canonicalization 1.0. Of what they allow one form is taken, the one
clients send: one X.509 token that is registered with us, one Timestamp, one signature over exactly these two,
the Timestamp and the Body. The elements whose digests were compared are the very ones that are used, so that
nothing can be wrapped around them (Somorovsky et al. 2011, CVE-2011-0730); transforms, other keys and
references elsewhere are refused before anything is computed (CVE-2012-4063).
"""

import hmac
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1, sha256
from typing import Any, Generic, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

T = TypeVar("T")

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_WSSE, _WSU = f"{{{_OASIS}wssecurity-secext-1.0.xsd}}", f"{{{_OASIS}wssecurity-utility-1.0.xsd}}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_BASE64, _X509 = f"{_OASIS}soap-message-security-1.0#Base64Binary", f"{_OASIS}x509-token-profile-1.0#X509v3"
_SIGNATURES: dict[str | None, hashes.HashAlgorithm] = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256()
}
_DIGESTS: dict[str, Callable[[bytes], Any]] = {"http://www.w3.org/2001/04/xmlenc#sha256": sha256}
_OLD_SIGNATURES: dict[str | None, hashes.HashAlgorithm] = {
    "http://www.w3.org/2000/09/xmldsig#rsa-sha1": hashes.SHA1()  # noqa: S303
}
_OLD_DIGESTS: dict[str, Callable[[bytes], Any]] = {"http://www.w3.org/2000/09/xmldsig#sha1": sha1}
# Headers of WS-Addressing say where a message goes, which the connection says already: not read.
_ADDRESSING = ("{http://www.w3.org/2005/08/addressing}", "{http://schemas.xmlsoap.org/ws/2004/08/addressing}")
_IDS = re.compile(r"(?:\{.*\})?id", re.IGNORECASE)
_PREFIX = re.compile(r"#default|[A-Za-z_][\w.-]{0,63}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?")

LONGEST_LIFE = timedelta(minutes=15)
SKEW = timedelta(minutes=5)


class NotBelieved(Exception):
    """Why the message is not believed. `is_expired`: it may have been right once."""

    def __init__(self, message: str, *, is_expired: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.is_expired = is_expired


@dataclass(frozen=True, slots=True)
class Signer(Generic[T]):
    key: rsa.RSAPublicKey
    who: T


@dataclass(frozen=True, slots=True)
class Believed(Generic[T]):
    """`body` is the element that was signed: read it, do not look for it again. Moments in UTC."""

    who: T
    body: etree._Element
    signature: bytes
    created: datetime
    expires: datetime


def verify(
    envelope: etree._Element,
    signer_of: Callable[[bytes], Signer[T] | None],
    now: datetime,
    *,
    legacy: bool = False,
) -> Believed[T]:
    """The Body and its signer; `signer_of` knows registered certificates by their DER bytes.

    `envelope` comes from a parser that refuses DTDs, comments and processing instructions. `legacy` also
    takes RSA-SHA1, as clients of 2009 sign. Raises NotBelieved.
    """
    header, body = _only_two(envelope, "Header", "Body")
    security = _security_of(header)
    token = _one(security, f"{_WSSE}BinarySecurityToken")
    timestamp = _one(security, f"{_WSU}Timestamp")
    signature = _one(security, f"{_DS}Signature")
    if len(security) != 3:
        raise NotBelieved("Security holds a token, a Timestamp and a Signature, and nothing else.")
    signer = _signer(token, signer_of)
    signed_info = _one(signature, f"{_DS}SignedInfo")
    value = _bytes(_one(signature, f"{_DS}SignatureValue"))
    if _names_of(signature) != [f"{_DS}SignedInfo", f"{_DS}SignatureValue", f"{_DS}KeyInfo"]:
        raise NotBelieved("The Signature has other parts than SignedInfo, SignatureValue and KeyInfo.")
    token_id = _token_id(_one(signature, f"{_DS}KeyInfo"))
    read = _read(signed_info, legacy=legacy)
    try:
        signer.key.verify(value, _canonical(signed_info, read.prefixes), padding.PKCS1v15(), read.method)
    except InvalidSignature:
        raise NotBelieved("The signature is not that of the certificate.") from None
    ids = _ids(envelope)  # from here on the work grows with the document, so the signature comes first
    if ids.get(token_id) is not token:
        raise NotBelieved("KeyInfo does not refer to the security token.")
    for element in (body, timestamp):
        if not any(ids.get(name) is element for name in read.references):
            raise NotBelieved("The Body and the Timestamp must be signed, and nothing else.")
    for name, reference in read.references.items():
        found = reference.digest(_canonical(ids[name], reference.prefixes)).digest()
        if not hmac.compare_digest(found, reference.expected):
            raise NotBelieved("A signed part was changed.")
    created, expires = _life(timestamp, now)
    return Believed(signer.who, body, value, created, expires)


def _only_two(envelope: etree._Element, *names: str) -> list[etree._Element]:
    space = etree.QName(envelope).namespace
    if space not in (SOAP_11, SOAP_12) or etree.QName(envelope).localname != "Envelope":
        raise NotBelieved("The document is no SOAP envelope.")
    if _names_of(envelope) != [f"{{{space}}}{name}" for name in names]:
        raise NotBelieved(f"An envelope holds {' and '.join(names)}, and nothing else.")
    return list(envelope)


def _security_of(header: etree._Element) -> etree._Element:
    security = _one(header, f"{_WSSE}Security")
    if any(child is not security and not child.tag.startswith(_ADDRESSING) for child in header):
        raise NotBelieved("The Header holds Security, and nothing else.")
    return security


def _one(parent: etree._Element, name: str) -> etree._Element:
    found = parent.findall(name)
    if len(found) != 1:
        raise NotBelieved(f"There must be one {etree.QName(name).localname}, and one only.")
    return found[0]


def _names_of(parent: etree._Element) -> list[str]:
    return [child.tag for child in parent]


def _ids(envelope: etree._Element) -> dict[str, etree._Element]:
    """Whatever could be taken for an id, each unique."""
    found: dict[str, etree._Element] = {}
    for element in envelope.iter():
        for name, value in element.attrib.items():
            if _IDS.fullmatch(str(name)) and found.setdefault(str(value), element) is not element:
                raise NotBelieved("An id is given twice.")
    return found


def _signer(token: etree._Element, signer_of: Callable[[bytes], Signer[T] | None]) -> Signer[T]:
    if token.get("ValueType") != _X509 or token.get("EncodingType", _BASE64) != _BASE64:
        raise NotBelieved("The token must be an X.509 certificate in base64.")
    if (signer := signer_of(_bytes(token))) is None:
        raise NotBelieved("The certificate is not registered.")
    return signer


def _token_id(key_info: etree._Element) -> str:
    reference = _one(_one(key_info, f"{_WSSE}SecurityTokenReference"), f"{_WSSE}Reference")
    return reference.get("URI", "").removeprefix("#")


@dataclass(frozen=True, slots=True)
class _Reference:
    digest: Callable[[bytes], Any]
    expected: bytes
    prefixes: list[str]


@dataclass(frozen=True, slots=True)
class _SignedInfo:
    """`references` by the id they name."""

    method: hashes.HashAlgorithm
    prefixes: list[str]
    references: dict[str, _Reference]


def _read(signed_info: etree._Element, *, legacy: bool) -> _SignedInfo:
    form = [f"{_DS}CanonicalizationMethod", f"{_DS}SignatureMethod", f"{_DS}Reference", f"{_DS}Reference"]
    if _names_of(signed_info) != form:
        raise NotBelieved("SignedInfo names a canonicalization, a method and two references.")
    canonicalization, method, *references = signed_info
    if canonicalization.get("Algorithm") != _EXC_C14N:
        raise NotBelieved("The canonicalization must be the exclusive one, without comments.")
    methods = _SIGNATURES | _OLD_SIGNATURES if legacy else _SIGNATURES
    if method.get("Algorithm") not in methods or len(method):
        raise NotBelieved("The signature method must be rsa-sha256.")
    found = dict(_reference(reference, legacy=legacy) for reference in references)
    if len(found) != 2:
        raise NotBelieved("The two references name one element.")
    return _SignedInfo(methods[method.get("Algorithm")], _prefixes(canonicalization), found)


def _reference(reference: etree._Element, *, legacy: bool) -> tuple[str, _Reference]:
    uri = reference.get("URI", "")
    if (
        _names_of(reference) != [f"{_DS}Transforms", f"{_DS}DigestMethod", f"{_DS}DigestValue"]
        or uri[:1] != "#"
    ):
        raise NotBelieved("A reference has an id, one transform, a digest method and a digest.")
    transforms, method, value = reference
    if _names_of(transforms) != [f"{_DS}Transform"]:
        raise NotBelieved("A reference has one transform.")
    if transforms[0].get("Algorithm") != _EXC_C14N:
        raise NotBelieved("The only transform is exclusive canonicalization.")
    digests = _DIGESTS | _OLD_DIGESTS if legacy else _DIGESTS
    digest = digests.get(method.get("Algorithm", ""))
    if digest is None or len(method):
        raise NotBelieved("The digest method must be sha256.")
    return uri[1:], _Reference(digest, _bytes(value), _prefixes(transforms[0]))


def _prefixes(algorithm: etree._Element) -> list[str]:
    """Namespaces that are rendered whether used or not; Java's clients name some."""
    if not len(algorithm):
        return []
    prefixes = algorithm[0].get("PrefixList", "").split()
    named_well = all(_PREFIX.fullmatch(prefix) for prefix in prefixes)
    if (
        _names_of(algorithm) != [f"{{{_EXC_C14N}}}InclusiveNamespaces"]
        or len(prefixes) > 16
        or not named_well
    ):
        raise NotBelieved("A canonicalization takes a short PrefixList, and nothing else.")
    return prefixes


def _canonical(element: etree._Element, prefixes: list[str]) -> bytes:
    return etree.tostring(
        element, method="c14n", exclusive=True, with_comments=False, inclusive_ns_prefixes=prefixes or None
    )


def _bytes(element: etree._Element) -> bytes:
    try:
        return b64decode("".join((element.text or "").split()), validate=True)
    except (Base64Error, ValueError):
        raise NotBelieved(f"{etree.QName(element).localname} is not base64.") from None


def _life(timestamp: etree._Element, now: datetime) -> tuple[datetime, datetime]:
    created, expires = (_moment(_one(timestamp, f"{_WSU}{name}")) for name in ("Created", "Expires"))
    if len(timestamp) != 2 or expires - created > LONGEST_LIFE:
        raise NotBelieved("A Timestamp has Created and Expires, 15 minutes apart at most.")
    if created > now + SKEW:
        raise NotBelieved("The message was created in the future: look at the clock.", is_expired=True)
    if expires <= now:
        raise NotBelieved("The message has expired.", is_expired=True)
    return created, expires


def _moment(element: etree._Element) -> datetime:
    text = (element.text or "").strip()
    if not _MOMENT.fullmatch(text):
        raise NotBelieved("A moment is written as 2026-01-31T23:59:59Z.")
    text = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        return datetime.fromisoformat(text if text[-1] == "Z" or text[-6] in "+-" else text + "Z")
    except ValueError:
        raise NotBelieved("A moment is written as 2026-01-31T23:59:59Z.") from None
