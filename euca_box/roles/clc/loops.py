"""What the CLC does by itself: compare what should be with what is, and repeat until they agree."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.walrus import SyncPrincipals
from euca_box.model.errors import EucaError
from euca_box.model.images import Image
from euca_box.model.instances import Instance, InstanceState
from euca_box.roles.clc import auto_recovery, events, iam_access_keys, launches, logins, profiles, stops
from euca_box.roles.clc.address_loop import push_addresses
from euca_box.roles.clc.bundle_loop import bundle_instances
from euca_box.roles.clc.firewall import send_groups
from euca_box.roles.clc.host_loop import push_nodes, watch_hosts
from euca_box.roles.clc.image_loop import flush_images, make_images
from euca_box.roles.clc.known_hosts import zone_names
from euca_box.roles.clc.mail import send_mail
from euca_box.roles.clc.snapshot_loop import work_on_snapshots
from euca_box.roles.clc.volume_loop import settle_exports, work_on_volumes
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0  # how often everything is compared, whether or not a bell rang
RETRY_SECONDS = 1.0
NEWS_SECONDS = 20.0  # how long a poll for news is held open
TOKEN_SECONDS = 24 * 3600.0


async def start_and_end(clc: "Clc") -> None:
    """Every instance that is on its way from one state to another has a task that works on it."""
    async with trio.open_nursery() as tasks:
        while True:
            for record in list(clc.census.underway.values()):
                if record.instance_id in clc.busy:
                    continue
                if record.state is InstanceState.PENDING:
                    step = stops.start_again if record.starts else launches.launch
                    tasks.start_soon(launches.work_on, clc, record.instance_id, step)
                elif record.state is InstanceState.STOPPING:
                    tasks.start_soon(launches.work_on, clc, record.instance_id, stops.halt)
                elif record.state is InstanceState.SHUTTING_DOWN:
                    tasks.start_soon(launches.work_on, clc, record.instance_id, launches.end)
            await clc.launch_bell.wait(LOOK_SECONDS)


async def watch_clusters(clc: "Clc") -> None:
    """A task for each zone: one that does not answer keeps no other from being heard."""
    watched: set[str] = set()
    async with trio.open_nursery() as tasks:
        while True:
            for zone in set(zone_names(clc)) - watched:
                watched.add(zone)
                tasks.start_soon(_watch_cluster, clc, zone, watched)
            await trio.sleep(RETRY_SECONDS)


async def _watch_cluster(clc: "Clc", zone: str, watched: set[str]) -> None:
    """Hold a poll open at the cluster controller and take in what changed; now and then everything, because a
    report may have been refused by a record that was not as far."""
    after, whole_at, problem = -1, clc.now(), f"cluster {zone}"
    while zone in zone_names(clc):
        if clc.now() - whole_at > NEWS_SECONDS:
            after, whole_at = -1, clc.now()
        try:
            after = await launches.take_reports(clc, zone, after, NEWS_SECONDS)
            clc.problems.pop(problem, None)
        except EucaError as error:
            clc.problems[problem] = f"No news from {clc.cc_of(zone)}: {error.message}"
            after = -1
            await trio.sleep(RETRY_SECONDS)
    clc.problems.pop(problem, None)
    watched.discard(zone)


async def push_groups(clc: "Clc") -> None:
    """The rules of every group that has instances, to the cluster: on change, and again now and then."""
    while True:
        try:
            await send_groups(clc)
            clc.problems.pop("groups", None)
        except EucaError as error:
            clc.problems["groups"] = f"Security groups are not up to date: {error.message}"
            await trio.sleep(RETRY_SECONDS)
            continue
        await clc.groups_bell.wait(LOOK_SECONDS * 6)


async def push_principals(clc: "Clc") -> None:
    """All access keys to Walrus: on change, and again now and then (it may have been restored)."""
    while True:
        ring = clc.keyring
        op = SyncPrincipals(
            ring.version, tuple(ring.all_keys()), ring.session_key, tuple(ring.all_roles()), ring.grants
        )
        try:
            await clc.bus.ask("walrus", op, system_call("principals"))
            clc.problems.pop("principals", None)
        except EucaError as error:
            clc.problems["principals"] = f"Walrus does not know the newest users: {error.message}"
            await trio.sleep(RETRY_SECONDS)
            continue
        await clc.principals_bell.wait(LOOK_SECONDS * 12)


async def sweep(clc: "Clc") -> None:
    """Drop terminated instances from the listing after a time, and old client tokens."""
    while True:
        now = clc.now()
        for record in clc.instances.all():
            if record.volumes:
                continue  # they are still to be released
            if record.ended_at is not None and now - record.ended_at > clc.settings.terminated_seconds:
                await _note_launch(clc, record)
                clc.views.forget(record.reservation_id)
                await clc.instances.remove(
                    record.instance_id,
                    Statement("DELETE FROM user_data WHERE instance_id = ?", (record.instance_id,)),
                )
        await iam_access_keys.write_uses(clc)
        await logins.sweep(clc)
        await clc.store.write(
            Statement("DELETE FROM client_token WHERE at < ?", (now - TOKEN_SECONDS,)),
        )
        await trio.sleep(LOOK_SECONDS * 2)


async def _note_launch(clc: "Clc", record: Instance) -> None:
    """The image outlives the instance, and tells when it was last launched."""

    def noted(image: Image) -> Image | None:
        is_newer = record.launch_time > image.last_launched
        return replace(image, last_launched=record.launch_time) if is_newer else None

    await clc.images.change(record.image_id, noted)


LOOPS: dict[str, Callable[["Clc"], Awaitable[None]]] = {
    "start and end": start_and_end,
    "watch hosts": watch_hosts,
    "push nodes": push_nodes,
    "watch clusters": watch_clusters,
    "push groups": push_groups,
    "push addresses": push_addresses,
    "push principals": push_principals,
    "make images": make_images,
    "bundle instances": bundle_instances,
    "flush images": flush_images,
    "work on volumes": work_on_volumes,
    "settle exports": settle_exports,
    "work on snapshots": work_on_snapshots,
    "recover instances": auto_recovery.recover_instances,
    "sweep": sweep,
    "write events": events.write,
    "send mail": send_mail,
    "give credentials": profiles.give_credentials,
}
