"""Key pairs: the private half is shown once and kept nowhere (EC2 2016-11-15)."""

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from trio import to_thread

from euca_box.messages import ec2_keypairs as ec2
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import (
    InvalidKeyFormat,
    InvalidKeyPairDuplicate,
    InvalidKeyPairNotFound,
    KeyPairLimitExceeded,
)
from euca_box.model.errors import InvalidParameterValue, MissingParameter, UnsupportedOperation
from euca_box.model.filters import filtered
from euca_box.model.keypairs import KeyPair
from euca_box.roles.clc.rules import Tags, stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.views import tags_view, time_view
from euca_box.store.store import Conflict, Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

NAME_LENGTH = 255
RSA_BITS = range(1024, 16385)

FILTERS = {
    "key-name": lambda r: r.name,
    "key-pair-id": lambda r: r.key_pair_id,
    "fingerprint": lambda r: r.fingerprint,
}


async def create_key_pair(clc: "Clc", call: Call, op: ec2.CreateKeyPair) -> ec2.CreateKeyPairResult:
    """RSA 2048 by default, ed25519 on request; the private key as PEM (PKCS#1, or OpenSSH for ed25519)."""
    tags = tags_for("key-pair", op.tag_specifications)
    kind = op.key_type or "rsa"
    if kind not in ("rsa", "ed25519"):
        raise InvalidParameterValue(f"The key type '{kind[:32]}' is not one of rsa, ed25519.")
    if (op.key_format or "pem") != "pem":
        raise UnsupportedOperation("Keys are given in the format pem; ppk is not supported.")
    _check_new(clc, call, op.key_name)
    stop_if_dry_run(op.dry_run)
    private = await to_thread.run_sync(_new_private_key, kind)
    fingerprint = _fingerprint_of_private(private)
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    record = await _keep(clc, call, op.key_name, kind, public.decode(), fingerprint, tags)
    return ec2.CreateKeyPairResult(
        record.key_pair_id, record.name, fingerprint, _pem(private), tags_view(tags)
    )


async def import_key_pair(clc: "Clc", call: Call, op: ec2.ImportKeyPair) -> ec2.ImportKeyPairResult:
    """Raises InvalidKey.Format for anything but an RSA or ed25519 public key in OpenSSH form."""
    tags = tags_for("key-pair", op.tag_specifications)
    kind, public, fingerprint = _public_key(op.public_key_material)
    _check_new(clc, call, op.key_name)
    stop_if_dry_run(op.dry_run)
    record = await _keep(clc, call, op.key_name, kind, public, fingerprint, tags)
    return ec2.ImportKeyPairResult(record.key_pair_id, record.name, fingerprint, tags_view(tags))


async def describe_key_pairs(clc: "Clc", call: Call, op: ec2.DescribeKeyPairs) -> ec2.DescribeKeyPairsResult:
    stop_if_dry_run(op.dry_run)
    names, verbose = without_verbose(call, op.key_names)
    records = list(clc.key_pairs.reachable_by(call) if verbose else clc.key_pairs.of(call.account))
    by_id = {i: clc.key_pairs.reachable(call, i.lower()) for i in op.key_pair_ids}
    missing = [n for n in names if not any(r.name == n for r in records)]
    missing += [i for i, record in by_id.items() if record is None]
    if missing:
        raise InvalidKeyPairNotFound(*missing)
    if names or op.key_pair_ids:
        chosen = [r for r in records if r.name in names]
        records = list(dict.fromkeys([*chosen, *filter(None, by_id.values())]))
    return ec2.DescribeKeyPairsResult(
        tuple(
            ec2.KeyPairInfo(
                key_pair_id=r.key_pair_id,
                key_name=r.name,
                key_fingerprint=r.fingerprint,
                key_type=r.key_type,
                create_time=time_view(r.created_at),
                public_key=r.public_key if op.include_public_key else None,
                tags=tags_view(r.tags),
            )
            for r in filtered(records, op.filters, FILTERS)
        )
    )


async def delete_key_pair(clc: "Clc", call: Call, op: ec2.DeleteKeyPair) -> ec2.DeleteKeyPairResult:
    if op.key_name is None and op.key_pair_id is None:
        raise MissingParameter("KeyName")
    stop_if_dry_run(op.dry_run)
    record = find_by_name(clc, call.account, op.key_name) if op.key_name is not None else None
    if op.key_pair_id is not None:
        record = clc.key_pairs.reachable(call, op.key_pair_id.lower())
    if record is None:
        return ec2.DeleteKeyPairResult()
    await clc.key_pairs.remove(
        record.key_pair_id,
        Statement("DELETE FROM key_pair_name WHERE account = ? AND name = ?", (record.account, record.name)),
    )
    return ec2.DeleteKeyPairResult(key_pair_id=record.key_pair_id)


def find_by_name(clc: "Clc", account: str, name: str) -> KeyPair | None:
    return next((r for r in clc.key_pairs.of(account) if r.name == name), None)


def _check_new(clc: "Clc", call: Call, name: str) -> None:
    if not 0 < len(name) <= NAME_LENGTH or not re.fullmatch(r"[\x20-\x7e]+", name):
        raise InvalidParameterValue(
            f"Value for parameter KeyName is invalid: 1 to {NAME_LENGTH} printable ASCII characters."
        )
    if find_by_name(clc, call.account, name) is not None:
        raise InvalidKeyPairDuplicate(name)
    if sum(1 for _ in clc.key_pairs.of(call.account)) >= clc.settings.max_key_pairs:
        raise KeyPairLimitExceeded(clc.settings.max_key_pairs)


async def _keep(
    clc: "Clc", call: Call, name: str, kind: str, public: str, fingerprint: str, tags: Tags
) -> KeyPair:
    record = KeyPair(
        key_pair_id=clc.new_id("key"),
        account=call.account,
        name=name,
        fingerprint=fingerprint,
        key_type=kind,
        public_key=public,
        created_at=clc.now(),
        tags=tags,
    )
    try:
        await clc.key_pairs.add([record], insert("key_pair_name", {"account": call.account, "name": name}))
    except Conflict:
        raise InvalidKeyPairDuplicate(name) from None
    return record


def _new_private_key(kind: str) -> PrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _pem(private: PrivateKey) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    if isinstance(private, ed25519.Ed25519PrivateKey):
        form = serialization.PrivateFormat.OpenSSH
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _fingerprint_of_private(private: PrivateKey) -> str:
    """SHA-1 of the PKCS#8 private key for RSA, SHA-256 in base64 for ed25519 (EC2, Verify your key pair)."""
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return _sha256_base64(private.public_key())
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _colons(hashlib.sha1(der).hexdigest())  # noqa: S324 - the form that EC2 shows


def _public_key(material: bytes) -> tuple[str, str, str]:
    """Type, one line in OpenSSH form, fingerprint (MD5 of the DER public key for RSA, as EC2 shows it)."""
    text = material.strip()
    if len(text) > 16 * 1024:
        raise InvalidKeyFormat
    try:
        key = serialization.load_ssh_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidKeyFormat from None
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    comment = text.split(None, 2)[2:]
    if comment and re.fullmatch(rb"[\x20-\x7e]{1,128}", comment[0]):
        line += " " + comment[0].decode()
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", line, _sha256_base64(key)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return "rsa", line, _colons(hashlib.md5(der).hexdigest())  # noqa: S324 - as above
    raise InvalidKeyFormat


def _sha256_base64(key: ed25519.Ed25519PublicKey) -> str:
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64encode(hashlib.sha256(base64.b64decode(line.split()[1])).digest()).decode()


def _colons(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
