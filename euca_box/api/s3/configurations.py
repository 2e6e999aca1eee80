"""The documents of a bucket that are only set, shown and taken away; what they do is elsewhere.

One line in `CONFIGURATIONS` is three operations. A document is checked whole before it is stored, and
what is shown is what was understood.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from euca_box.api.s3.access_log import check_logging
from euca_box.api.s3.operations import Front, Operation
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.xml_shapes import document_response, read_document_as
from euca_box.model import s3_errors
from euca_box.model.bucket_logging import BucketLogging, check_logging_format
from euca_box.model.bucket_settings import (
    BucketEncryption,
    PublicAccessBlock,
    RequestPayment,
    check_encryption,
)
from euca_box.model.cors import CorsConfiguration, check_cors
from euca_box.model.lifecycle import LifecycleConfiguration, check_lifecycle
from euca_box.model.notifications import NotificationConfiguration, check_notifications
from euca_box.model.s3_errors import S3Error
from euca_box.model.tagging import MOST_BUCKET_TAGS, Tagging, check_tags
from euca_box.model.website import WebsiteConfiguration, check_website
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import MIB, Bucket


def _no_check(_: Any) -> None:
    """Every document of the type is a setting."""


def _no_check_there(front: Front, bucket: Bucket, value: Any) -> None:
    """Every document is one for every bucket."""


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Configuration:
    """`missing` is answered where nothing is set: an error, or the value that holds then."""

    subresource: str
    noun: str  # of the operations' names: get_bucket_cors
    root: str
    kind: type[Any]
    get: Action
    put: Action
    missing: type[S3Error] | Any
    check: Callable[[Any], None] = _no_check
    check_there: Callable[[Front, Bucket, Any], None] = _no_check_there
    complete: Callable[[Any], Any] = _as_it_is
    delete: Action | None = None  # where it is not that of the PUT
    can_delete: bool = True
    put_status: int = 200


def _with_ids(lifecycle: LifecycleConfiguration) -> LifecycleConfiguration:
    """A rule without an ID gets one, as on S3."""
    rules = (rule if rule.id else replace(rule, id=secrets.token_hex(24)) for rule in lifecycle.rule)
    return LifecycleConfiguration(tuple(rules))


CONFIGURATIONS = (
    Configuration(
        "publicAccessBlock",
        "public_access_block",
        "PublicAccessBlockConfiguration",
        PublicAccessBlock,
        Action.GET_BUCKET_PUBLIC_ACCESS_BLOCK,
        Action.PUT_BUCKET_PUBLIC_ACCESS_BLOCK,
        s3_errors.NoSuchPublicAccessBlockConfiguration,
    ),
    Configuration(
        "tagging",
        "bucket_tagging",
        "Tagging",
        Tagging,
        Action.GET_BUCKET_TAGGING,
        Action.PUT_BUCKET_TAGGING,
        s3_errors.NoSuchTagSet,
        lambda tagging: check_tags(tagging, MOST_BUCKET_TAGS),
        put_status=204,
    ),
    Configuration(
        "cors",
        "bucket_cors",
        "CORSConfiguration",
        CorsConfiguration,
        Action.GET_BUCKET_CORS,
        Action.PUT_BUCKET_CORS,
        s3_errors.NoSuchCorsConfiguration,
        check_cors,
    ),
    Configuration(
        "lifecycle",
        "bucket_lifecycle_configuration",
        "LifecycleConfiguration",
        LifecycleConfiguration,
        Action.GET_LIFECYCLE,
        Action.PUT_LIFECYCLE,
        s3_errors.NoSuchLifecycleConfiguration,
        check_lifecycle,
        complete=_with_ids,
    ),
    Configuration(
        "encryption",
        "bucket_encryption",
        "ServerSideEncryptionConfiguration",
        BucketEncryption,
        Action.GET_ENCRYPTION,
        Action.PUT_ENCRYPTION,
        s3_errors.ServerSideEncryptionConfigurationNotFoundError,
        check_encryption,
    ),
    Configuration(
        "website",
        "bucket_website",
        "WebsiteConfiguration",
        WebsiteConfiguration,
        Action.GET_BUCKET_WEBSITE,
        Action.PUT_BUCKET_WEBSITE,
        s3_errors.NoSuchWebsiteConfiguration,
        check_website,
        delete=Action.DELETE_BUCKET_WEBSITE,
    ),
    Configuration(
        "logging",
        "bucket_logging",
        "BucketLoggingStatus",
        BucketLogging,
        Action.GET_BUCKET_LOGGING,
        Action.PUT_BUCKET_LOGGING,
        BucketLogging(),
        check_logging_format,
        check_there=check_logging,
        can_delete=False,
    ),
    Configuration(
        "notification",
        "bucket_notification_configuration",
        "NotificationConfiguration",
        NotificationConfiguration,
        Action.GET_BUCKET_NOTIFICATION,
        Action.PUT_BUCKET_NOTIFICATION,
        NotificationConfiguration(),
        check_notifications,
        lambda front, bucket, wanted: front.notifier.check_targets(wanted),
        can_delete=False,
    ),
    Configuration(
        "requestPayment",
        "bucket_request_payment",
        "RequestPaymentConfiguration",
        RequestPayment,
        Action.GET_BUCKET_REQUEST_PAYMENT,
        Action.PUT_BUCKET_REQUEST_PAYMENT,
        RequestPayment(),
        can_delete=False,
    ),
)


def operations() -> dict[tuple[str, frozenset[str]], Operation]:
    """The operations of all of them, by method and subresource."""
    table: dict[tuple[str, frozenset[str]], Operation] = {}
    for configuration in CONFIGURATIONS:
        subresource = frozenset({configuration.subresource})
        table["GET", subresource] = _getter(configuration)
        table["PUT", subresource] = _setter(configuration)
        if configuration.can_delete:
            table["DELETE", subresource] = _deleter(configuration)
    return table


def _getter(configuration: Configuration) -> Operation:
    async def get(front: Front, request: S3Request) -> Response:
        bucket = front.objects.buckets.find(request.bucket)
        authorize(request.principal, configuration.get, bucket)
        value: Any = bucket.setting(configuration.kind)
        if value is None:
            if isinstance(configuration.missing, type):
                raise configuration.missing(BucketName=request.bucket)
            value = configuration.missing
        return document_response(configuration.root, value)

    get.__name__ = f"get_{configuration.noun}"
    return get


def _setter(configuration: Configuration) -> Operation:
    async def put(front: Front, request: S3Request) -> Response:
        bucket = front.objects.buckets.find(request.bucket)
        authorize(request.principal, configuration.put, bucket)
        document = await read_document(request, MIB)
        value = read_document_as(document, configuration.root, configuration.kind)
        configuration.check(value)
        configuration.check_there(front, bucket, value)
        await front.objects.buckets.put_setting(request.bucket, configuration.complete(value))
        return Response(configuration.put_status)

    put.__name__ = f"put_{configuration.noun}"
    return put


def _deleter(configuration: Configuration) -> Operation:
    async def delete(front: Front, request: S3Request) -> Response:
        action = configuration.delete or configuration.put
        authorize(request.principal, action, front.objects.buckets.find(request.bucket))
        await front.objects.buckets.delete_setting(request.bucket, configuration.kind)
        return Response(204)

    delete.__name__ = f"delete_{configuration.noun}"
    return delete
