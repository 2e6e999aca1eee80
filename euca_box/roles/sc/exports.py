"""Who may write to a volume: one attachment at a time, by its generation. The row is committed first."""

import logging
from typing import TYPE_CHECKING

from euca_box.blockstore.engine import EngineError, StaleGeneration
from euca_box.messages import sc as messages
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import InvalidVolumeNotFound
from euca_box.model.errors import IncorrectState, Unavailable, UnsupportedOperation
from euca_box.observe.failpoints import fp

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.volumes import Kept

SHORT = "its file is shorter than it was"

log = logging.getLogger(__name__)


async def export_volume(sc: "Sc", call: Call, op: messages.ScExportVolume) -> messages.VolumeConnection:
    is_remote = bool(op.host and sc.settings.host and op.host != sc.settings.host)
    if is_remote and not (sc.settings.address and op.request):
        raise UnsupportedOperation(f"Volumes are attached on {sc.settings.host} only, not on {op.host[:64]}.")
    async with sc.lock(op.volume_id):
        kept = sc.volumes.get(op.volume_id)
        if kept is None or kept.state == "deleting":
            raise InvalidVolumeNotFound(op.volume_id)
        if kept.state != "ready":
            raise IncorrectState(f"{op.volume_id} is not ready: {kept.reason or kept.state}")
        if op.generation < kept.generation:
            raise IncorrectState(f"{op.volume_id} is held by a newer attachment.")
        if await is_short(sc, kept):
            raise IncorrectState(f"{op.volume_id} is damaged: {SHORT}.")
        request = op.request if is_remote else ""
        kept = await sc.mark(
            op.volume_id, exported=True, generation=op.generation, uid=op.uid, remote_request=request
        )
        fp("sc.export.after-commit")
        try:
            await sc.engine.grow(op.volume_id, kept.size_bytes)  # a crash may have left it too short
            found = await bring_up(sc, kept)
        except StaleGeneration as error:
            raise IncorrectState(f"{error}.") from error
        except EngineError as error:
            log.warning("%s is not exported: %s", op.volume_id, error)
            raise Unavailable(f"The storage controller cannot export {op.volume_id} now.") from error
        fp("sc.export.after-engine")
        return found


async def is_short(sc: "Sc", kept: "Kept") -> bool:
    """Something else has cut its file: made longer again it would have zeros where data was."""
    there = (await sc.engine.volumes()).get(kept.volume_id, 0)
    return there < kept.made_gib << 30


async def bring_up(sc: "Sc", kept: "Kept") -> messages.VolumeConnection:
    """The export as the row says. Raises EngineError."""
    if not kept.remote_request:
        found = await sc.engine.export(kept.volume_id, kept.generation, kept.uid)
        return messages.VolumeConnection(str(found.socket), found.export)
    there = await sc.engine.export_remotely(
        kept.volume_id, kept.generation, sc.settings.address, kept.remote_request
    )
    return messages.VolumeConnection(
        "", there.export, there.address, there.port, there.authority, there.certificate
    )


async def unexport_volume(sc: "Sc", call: Call, op: messages.ScUnexportVolume) -> Done:
    async with sc.lock(op.volume_id):
        kept = sc.volumes.get(op.volume_id)
        if kept is None or op.generation < kept.generation:
            return Done()
        await sc.mark(op.volume_id, exported=False, generation=op.generation + int(op.fence))
        fp("sc.unexport.after-commit")
        try:
            await sc.engine.unexport(op.volume_id)
        except EngineError as error:
            log.warning("%s is not cut off: %s", op.volume_id, error)
            raise Unavailable(f"The storage controller cannot cut off {op.volume_id} now.") from error
    return Done()


async def settle(sc: "Sc") -> None:
    """Exports as the rows say: what died comes back for its holder, what nobody holds is cut off."""
    there = await sc.engine.exported()
    for volume_id, kept in list(sc.volumes.items()):
        wanted = kept.generation if kept.exported and kept.state == "ready" else None
        if there.get(volume_id) == wanted:
            continue
        async with sc.lock(volume_id):
            await _settle_one(sc, volume_id)


async def _settle_one(sc: "Sc", volume_id: str) -> None:
    kept = sc.volumes.get(volume_id)
    if kept is None or kept.state != "ready":
        return
    try:
        if kept.exported:
            await bring_up(sc, kept)
            log.warning("%s is exported again to its attachment %d", volume_id, kept.generation)
        else:
            await sc.engine.unexport(volume_id)
    except EngineError as error:
        log.warning("%s: %s", volume_id, error)
