"""What the scrub found, for the operator."""

from typing import TYPE_CHECKING

from euca_box.messages import walrus as messages
from euca_box.messages.base import Call, Done

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus


async def get_scrub(walrus: "Walrus", call: Call, op: messages.GetScrub) -> messages.ScrubReport:
    at, damages, stored_bytes = await walrus.vault.scrub_report()
    quarantine = (
        messages.DamagedVersion(d.bucket, d.key, d.version_id, d.file, d.offset_bytes, d.found_ms / 1000)
        for d in damages
    )
    return messages.ScrubReport(
        at.started_ms / 1000, at.is_done, at.checked_bytes, at.damaged, stored_bytes, tuple(quarantine)
    )


async def begin_scrub(walrus: "Walrus", call: Call, op: messages.BeginScrub) -> Done:
    await walrus.vault.begin_scrub()
    return Done()
