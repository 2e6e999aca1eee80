"""Bundle tasks on their way: each has a task here until it is complete, or failed with a reason."""

import json
import logging
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from euca_box.messages.base import Call, system_call
from euca_box.messages.bundling import BundleOrder, Bundling
from euca_box.messages.cc import CcBundleInstance, CcCancelBundleTask, CcSendManifest
from euca_box.messages.walrus import GetBucketUrl
from euca_box.model.bundle_tasks import BUNDLE_TASK, ENDED, BundleTask, BundleTaskEvent, BundleTaskState
from euca_box.model.ec2_errors import BundleRefused
from euca_box.model.errors import ClientFault, EucaError, InternalError
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 2.0
WAIT_SECONDS = 5.0  # how long a question for progress is held open, and a cancellation waits
CANCELLED = "Client.Cancelled"


async def bundle_instances(clc: "Clc") -> None:
    """Every task that has not ended is worked on; ended ones are forgotten after a time."""
    async with trio.open_nursery() as tasks:
        while True:
            for task in clc.bundle_tasks.all():
                if task.state in ENDED:
                    if clc.now() - task.updated_at > clc.settings.terminated_seconds:
                        await clc.bundle_tasks.remove(task.bundle_id)
                elif task.bundle_id not in clc.busy:
                    clc.busy.add(task.bundle_id)
                    tasks.start_soon(_work_on, clc, task.bundle_id)
            await clc.bundle_bell.wait(LOOK_SECONDS)


async def _work_on(clc: "Clc", bundle_id: str) -> None:
    try:
        while (task := clc.bundle_tasks.find(bundle_id)) is not None and task.state not in ENDED:
            await _step(clc, task)
    finally:
        clc.busy.discard(bundle_id)


async def _step(clc: "Clc", task: BundleTask) -> None:
    call = system_call(f"bundle-{task.bundle_id}")
    try:
        if task.state is BundleTaskState.CANCELLING:
            await clc.bus.ask(_cc(clc, task), CcCancelBundleTask(task.instance_id, task.bundle_id), call)
            await _fail(clc, task, CANCELLED, "The task was cancelled.")
            return
        await _advance(clc, task, call)
    except BundleRefused as error:
        await _fail(clc, task, BundleRefused.code, error.message)
    except ClientFault as error:
        await _fail(clc, task, f"Client.{error.code}", error.message)
    except EucaError as error:
        await _try_again(clc, task, error.message)
    except Exception:
        log.exception("%s: a step failed", task.bundle_id)
        await _try_again(clc, task, InternalError().message)


async def _advance(clc: "Clc", task: BundleTask, call: Call) -> None:
    order = await _order(clc, task, call)
    found: Bundling = await clc.bus.ask(_cc(clc, task), CcBundleInstance(order, WAIT_SECONDS), call)
    event = BundleTaskEvent.SENDING if found.storing else BundleTaskEvent.COPYING
    await _move(clc, task.bundle_id, event, percent=found.percent)
    if found.text:
        signature = await trio.to_thread.run_sync(clc.notary.sign, found.text)
        await clc.bus.ask(_cc(clc, task), CcSendManifest(order, found.text, signature), call)
        await _move(clc, task.bundle_id, BundleTaskEvent.DONE, percent=100)
    elif clc.now() > task.deadline:
        await clc.bus.ask(_cc(clc, task), CcCancelBundleTask(task.instance_id, task.bundle_id), call)
        await _fail(clc, task, "Server.Timeout", f"It was not done in time: {found.percent} % were.")


def _cc(clc: "Clc", task: BundleTask) -> str:
    record = clc.instances.find(task.instance_id)
    return clc.cc_of(record.zone if record is not None else "")


async def _order(clc: "Clc", task: BundleTask, call: Call) -> BundleOrder:
    record = clc.instances.find(task.instance_id)
    where = await clc.bus.ask("walrus", GetBucketUrl(task.bucket), call)
    policy_fields = {"AWSAccessKeyId": task.access_key_id, "policy": task.policy}
    policy_fields["signature"] = clc.sealer.open(task.sealed_signature, task.bundle_id)
    return BundleOrder(
        bundle_id=task.bundle_id,
        instance_id=task.instance_id,
        url=where.url,
        ca_file=where.ca_file,
        fields=tuple((_fixed_fields(task.policy) | policy_fields).items()),
        prefix=task.prefix,
        user=task.account,
        cloud_certificate=clc.notary.cloud_certificate,
        user_certificate=await _user_certificate(clc, task.account),
        architecture="x86_64",
        kernel_id=record.kernel_id if record else None,
        ramdisk_id=record.ramdisk_id if record else None,
    )


def _fixed_fields(policy: str) -> dict[str, str]:
    """What the policy wants to be exactly so: the form must say it, as `acl` of "ec2-bundle-read"."""
    fields: dict[str, str] = {}
    conditions = json.loads(b64decode(policy)).get("conditions", [])
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict):
            fields |= {str(name): str(value) for name, value in condition.items()}
        elif isinstance(condition, list) and len(condition) == 3 and condition[0] == "eq":
            fields[str(condition[1]).removeprefix("$")] = str(condition[2])
    plain = {name: value for name, value in fields.items() if _is_plain(name) and _is_plain(value)}
    return {name: value for name, value in plain.items() if name.lower() not in ("bucket", "key")}


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and '"' not in text and len(text) < 1000


async def _user_certificate(clc: "Clc", account: str) -> str:
    """The newest one of the account; without one only the cloud can open the bundle."""
    row = one(
        await clc.store.read(
            "SELECT pem FROM signing_certificate WHERE account = ? AND state = 'active' "
            "ORDER BY created_at DESC LIMIT 1",
            account,
        )
    )
    return str(row["pem"]) if row is not None else clc.notary.cloud_certificate


async def _try_again(clc: "Clc", task: BundleTask, why: str) -> None:
    if clc.now() > task.deadline:
        await _fail(clc, task, "Server.Timeout", f"It was not done in time: {why}")
        return
    log.warning("%s: %s; tried again in %g s", task.bundle_id, why, RETRY_SECONDS)
    await trio.sleep(RETRY_SECONDS)


async def _fail(clc: "Clc", task: BundleTask, code: str, message: str) -> None:
    event = BundleTaskEvent.GIVEN_UP
    await _move(clc, task.bundle_id, event, error_code=code, error_message=message[:500])
    log.warning("%s failed: %s", task.bundle_id, message)


async def _move(clc: "Clc", bundle_id: str, event: BundleTaskEvent, **changes: Any) -> None:
    def move(current: BundleTask) -> BundleTask | None:
        if not BUNDLE_TASK.takes(current.state, event):
            return None
        state = BUNDLE_TASK.after(current.state, event)
        return replace(current, state=state, updated_at=clc.now(), **changes)

    await clc.bundle_tasks.change(bundle_id, move)
