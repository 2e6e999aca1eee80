"""The documents that may be set on a bucket: how each is stored and read back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from euca_box.messages.base import decode, encode
from euca_box.model.bucket_logging import BucketLogging
from euca_box.model.bucket_settings import (
    BucketEncryption,
    ObjectOwnership,
    PublicAccessBlock,
    RequestPayment,
)
from euca_box.model.cors import CorsConfiguration
from euca_box.model.lifecycle import LifecycleConfiguration
from euca_box.model.notifications import NotificationConfiguration
from euca_box.model.policies import Policy, parse_policy
from euca_box.model.tagging import Tagging
from euca_box.model.website import WebsiteConfiguration

Settings = Mapping[type, Any]  # a value by its type


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str  # in the table; never changed once released
    write: Callable[[Any], str] = encode
    read: Callable[[str, Any], Any] = decode


_KINDS: dict[type, _Kind] = {
    Policy: _Kind("policy", lambda policy: policy.text, lambda text, _: parse_policy(text, of_resource=True)),
    PublicAccessBlock: _Kind("public-access-block"),
    ObjectOwnership: _Kind("ownership"),
    Tagging: _Kind("tagging"),
    CorsConfiguration: _Kind("cors"),
    LifecycleConfiguration: _Kind("lifecycle"),
    BucketEncryption: _Kind("encryption"),
    RequestPayment: _Kind("request-payment"),
    WebsiteConfiguration: _Kind("website"),
    BucketLogging: _Kind("logging"),
    NotificationConfiguration: _Kind("notification"),
}
_TYPES = {kind.name: of for of, kind in _KINDS.items()}


def setting_name(kind: type) -> str:
    return _KINDS[kind].name


def write_setting(value: Any) -> str:
    return _KINDS[type(value)].write(value)


def read_setting(name: str, document: str) -> tuple[type, Any]:
    kind = _TYPES[name]
    return kind, _KINDS[kind].read(document, kind)
