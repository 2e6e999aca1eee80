"""Walrus among the roles: looks at images for the CLC, lends nodes signed URLs, knows the users.

The bytes themselves go through `api/s3` and `objects/`; this role has the messages of other roles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from euca_box.auth.keyring import Keyring
from euca_box.auth.secrets import Sealer
from euca_box.bus.bus import Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import snapshots as snapshot_messages
from euca_box.messages import walrus as messages
from euca_box.model.accounts import AccessKey
from euca_box.roles.walrus import (
    bundles,
    copies,
    hidden,
    holding,
    images,
    loops,
    principals,
    scrubbing,
    snapshots,
)
from euca_box.roles.walrus.bundles import Job
from euca_box.roles.walrus.stored import StoredImages
from euca_box.roles.walrus.vault import Vault
from euca_box.services import events
from euca_box.services.service import Service, operations_of
from euca_box.store.store import Store
from euca_box.tasks import supervise

MIGRATIONS = Path(__file__).parent / "migrations"
UNPACKED_AT_ONCE = 2


@dataclass(frozen=True)
class WalrusSettings:
    endpoint: str  # where nodes reach S3: http://127.0.0.1:8773
    ca_file: str
    max_image_bytes: int
    image_cache_bytes: int = 30 << 30
    lifecycle_day_seconds: float = 86400.0
    scrub_mib_per_second: float = 8.0
    scrub_days: float = 30.0
    shared_endpoint: str = ""  # where other hosts reach S3: https://192.0.2.1:8773
    has_other_hosts: Callable[[], bool] = lambda: False


class Walrus:
    """`lender` is an access key of Walrus itself, known to nobody else: URLs for nodes are signed with it."""

    def __init__(
        self,
        settings: WalrusSettings,
        store: Store,
        vault: Vault,
        keyring: Keyring,
        lender: AccessKey,
        sealer: Sealer,
        now: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.store = store
        self.vault = vault
        self.keyring = keyring
        self.lender = lender
        self.sealer = sealer
        self.now = now
        self.stored = StoredImages(store, vault, now)
        self.jobs: dict[str, Job] = {}
        self.unpacking = trio.CapacityLimiter(UNPACKED_AT_ONCE)
        self.tasks: trio.Nursery | None = None
        self.reserving = trio.Lock()  # what snapshots need changes one after the other
        self.held_until: float | None = None  # removals, for a backup; by trio's clock
        self.seen_manifests: set[str] = set()  # of no snapshot, at the last sweep

    async def load(self) -> None:
        await self.stored.load()
        await principals.load(self)


async def run(
    role: Walrus,
    transport: MemoryTransport,
    service: Service | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer and loop until cancelled."""
    await role.load()
    desk = Desk(role, {**OPERATIONS, **operations_of(service)}, note=events.note)
    async with trio.open_nursery() as nursery:
        role.tasks = nursery
        await nursery.start(transport.serve, "walrus", desk)
        for name, loop in loops.LOOPS.items():
            nursery.start_soon(supervise, f"walrus {name}", partial(loop, role))
        task_status.started()


OPERATIONS: Operations = {
    messages.CheckImage: images.check_image,
    messages.GetImageUrl: images.get_image_url,
    messages.GetManifest: bundles.get_manifest,
    messages.KeepBundle: bundles.keep_bundle,
    messages.CacheImage: bundles.cache_image,
    messages.GetDecryptedImage: bundles.get_decrypted_image,
    messages.FindStoredImage: copies.find_stored_image,
    messages.CopyStoredImage: copies.copy_stored_image,
    messages.BeginImageUpload: copies.begin_image_upload,
    messages.GetBucketUrl: copies.get_bucket_url,
    messages.GetPartUrl: copies.get_part_url,
    messages.EndImageUpload: copies.end_image_upload,
    messages.FlushCachedImage: bundles.flush_cached_image,
    messages.ListStoredImages: bundles.list_stored_images,
    messages.GetHiddenUrls: hidden.get_hidden_urls,
    messages.ListHidden: hidden.list_hidden,
    messages.DeleteHidden: hidden.delete_hidden,
    snapshot_messages.ReserveChunks: snapshots.reserve_chunks,
    snapshot_messages.ForkSnapshot: snapshots.fork_snapshot,
    snapshot_messages.GetManifestUrl: snapshots.get_manifest_url,
    snapshot_messages.StoreSnapshot: snapshots.store_snapshot,
    snapshot_messages.GetSnapshot: snapshots.get_snapshot,
    snapshot_messages.CopyStoredSnapshot: snapshots.copy_stored_snapshot,
    snapshot_messages.DeleteSnapshot: snapshots.delete_snapshot,
    messages.GetScrub: scrubbing.get_scrub,
    messages.BeginScrub: scrubbing.begin_scrub,
    messages.HoldRemovals: holding.hold_removals,
    messages.SyncPrincipals: principals.sync_principals,
}
