"""Bundle tasks: asked for, looked at, cancelled. What they do is in `bundle_loop.py`."""

import binascii
import json
import re
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.auth import post_forms
from euca_box.auth.requests import AuthError
from euca_box.messages import ec2_bundle_tasks as ec2
from euca_box.messages.base import Call
from euca_box.model import ids
from euca_box.model.bundle_tasks import BUNDLE_TASK, ENDED, BundleTask, BundleTaskEvent
from euca_box.model.ec2_errors import (
    BundlingInProgress,
    IncorrectInstanceState,
    InvalidBundleIDNotFound,
    InvalidBundleState,
)
from euca_box.model.errors import AuthFailure, InvalidParameterValue, MissingParameter, UnsupportedOperation
from euca_box.model.filters import filtered
from euca_box.roles.clc import image_copies, instances
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

LONGEST_POLICY = 20_000
PREFIX = re.compile(r"[A-Za-z0-9._@()+=, /-]{1,200}")

FILTERS = {
    "bundle-id": lambda r: r.bundle_id,
    "error-code": lambda r: r.error_code or None,
    "error-message": lambda r: r.error_message or None,
    "instance-id": lambda r: r.instance_id,
    "progress": lambda r: f"{r.percent}%",
    "s3-bucket": lambda r: r.bucket,
    "s3-prefix": lambda r: r.prefix,
    "start-time": lambda r: _iso(r.started_at),
    "state": lambda r: r.state.value,
    "update-time": lambda r: _iso(r.updated_at),
}


async def bundle_instance(clc: "Clc", call: Call, op: ec2.BundleInstance) -> ec2.BundleInstanceResult:
    """Raises InvalidInstanceID.NotFound, IncorrectInstanceState, BundlingInProgress, AuthFailure."""
    [record] = instances.reachable(clc, call, (op.instance_id,))
    if record.state not in image_copies.IMAGED:
        raise IncorrectInstanceState(
            f"The instance '{record.instance_id}' is not in a state from which it can be bundled."
        )
    if record.boots_from_volume:
        raise UnsupportedOperation("An instance that boots from a volume is not bundled; see CreateImage.")
    task = _wanted(clc, record.account, record.instance_id, op.storage.s3 or ec2.S3Storage())
    for other in clc.bundle_tasks.of(record.account):
        if other.instance_id == record.instance_id and other.state not in ENDED:
            raise BundlingInProgress(record.instance_id)
    stop_if_dry_run(op.dry_run)
    await clc.bundle_tasks.add([task])
    clc.bundle_bell.ring()
    return ec2.BundleInstanceResult(view(task))


async def cancel_bundle_task(clc: "Clc", call: Call, op: ec2.CancelBundleTask) -> ec2.CancelBundleTaskResult:
    """Raises InvalidBundleID.NotFound, InvalidState."""
    task = _reachable(clc, call, op.bundle_id)
    stop_if_dry_run(op.dry_run)

    def cancel(current: BundleTask) -> BundleTask:
        if not BUNDLE_TASK.takes(current.state, BundleTaskEvent.CANCEL):
            raise InvalidBundleState(current.bundle_id, current.state.value)
        state = BUNDLE_TASK.after(current.state, BundleTaskEvent.CANCEL)
        return replace(current, state=state, updated_at=clc.now())

    changed = await clc.bundle_tasks.change(task.bundle_id, cancel)
    if changed is None:
        raise InvalidBundleIDNotFound(op.bundle_id)
    clc.bundle_bell.ring()
    return ec2.CancelBundleTaskResult(view(changed))


async def describe_bundle_tasks(
    clc: "Clc", call: Call, op: ec2.DescribeBundleTasks
) -> ec2.DescribeBundleTasksResult:
    named = [_reachable(clc, call, bundle_id) for bundle_id in op.bundle_ids]
    records = list(dict.fromkeys(named)) if op.bundle_ids else list(clc.bundle_tasks.of(call.account))
    found = filtered(records, op.filters, FILTERS)
    stop_if_dry_run(op.dry_run)
    return ec2.DescribeBundleTasksResult(tuple(view(task) for task in found))


def view(task: BundleTask) -> ec2.BundleTask:
    """Without the signature: who may list tasks need not be who may upload."""
    error = ec2.BundleTaskError(task.error_code, task.error_message) if task.error_code else None
    storage = ec2.S3Storage(task.bucket, task.prefix, task.access_key_id)
    return ec2.BundleTask(
        instance_id=task.instance_id,
        bundle_id=task.bundle_id,
        state=task.state.value,
        start_time=datetime.fromtimestamp(task.started_at, UTC),
        update_time=datetime.fromtimestamp(task.updated_at, UTC),
        storage=ec2.Storage(storage),
        progress=f"{task.percent}%",
        bundle_task_error=error,
    )


def _wanted(clc: "Clc", account: str, instance_id: str, storage: ec2.S3Storage) -> BundleTask:
    """Raises MissingParameter, InvalidParameterValue, AuthFailure."""
    given = {
        "Bucket": storage.bucket,
        "Prefix": storage.prefix,
        "AWSAccessKeyId": storage.aws_access_key_id,
        "UploadPolicy": storage.upload_policy,
        "UploadPolicySignature": storage.upload_policy_signature,
    }
    for name, value in given.items():
        if not value:
            raise MissingParameter(f"Storage.S3.{name}")
    bucket, prefix = str(storage.bucket), str(storage.prefix)
    if not PREFIX.fullmatch(prefix) or not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", bucket):
        raise InvalidParameterValue(
            "The bucket or the prefix of the bundle has characters that it cannot have."
        )
    policy, signature = _policy(storage.upload_policy or b""), str(storage.upload_policy_signature)
    fields = {"policy": policy, "awsaccesskeyid": str(storage.aws_access_key_id), "signature": signature}
    try:
        post_forms.verify(fields, clc.keyring, datetime.fromtimestamp(clc.now(), UTC))
    except AuthError:
        raise AuthFailure("The signature of the upload policy is not that of the access key.") from None
    bundle_id = clc.new_id("bun")
    return BundleTask(
        bundle_id=bundle_id,
        account=account,
        instance_id=instance_id,
        bucket=bucket,
        prefix=prefix,
        access_key_id=str(storage.aws_access_key_id),
        policy=policy,
        sealed_signature=clc.sealer.seal(signature, bundle_id),
        started_at=clc.now(),
        updated_at=clc.now(),
        deadline=clc.now() + clc.settings.image_seconds,
    )


def _policy(data: bytes) -> str:
    """The base64 text that was signed. SDKs encode what they are given: some people give the text already."""
    if len(data) > LONGEST_POLICY:
        raise InvalidParameterValue(f"An upload policy has at most {LONGEST_POLICY} bytes.")
    try:
        inner = b64decode(data, validate=True)
    except binascii.Error:
        inner = b""
    text = data.decode(errors="replace") if inner.lstrip().startswith(b"{") else b64encode(data).decode()
    try:
        json.loads(b64decode(text))
    except (ValueError, binascii.Error):
        raise InvalidParameterValue("The upload policy is no JSON document.") from None
    return text


def _reachable(clc: "Clc", call: Call, bundle_id: str) -> BundleTask:
    task = clc.bundle_tasks.reachable(call, ids.checked(bundle_id, "bun"))
    if task is None:
        raise InvalidBundleIDNotFound(bundle_id)
    return task


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
