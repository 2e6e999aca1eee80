"""What the node controller knows of an instance, or of a volume in one."""

from typing import TYPE_CHECKING

from euca_box.model.stories import Standing, Story

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident


async def tell(nc: "Nc", thing: str) -> Story:
    found = [
        _instance(nc, resident) for resident in nc.residents.values() if resident.spec.instance_id == thing
    ]
    found += [
        _volume(nc, instance_id, thing)
        for instance_id, reports in nc.volume_reports.items()
        if thing in reports
    ]
    return Story(standings=tuple(found))


def _instance(nc: "Nc", resident: "Resident") -> Standing:
    instance_id = resident.spec.instance_id
    runs = instance_id in nc.running
    text = f"{instance_id}: its virtual machine {'runs' if runs else 'does not run'}"
    if health := nc.health.get(instance_id, ""):
        text += f", {health}"
    if resident.reason is not None:
        text += f"; {resident.reason.message}"
    if resident.gone_at is not None:
        return Standing(nc.address, f"{text}; nothing of it is left")
    wish = _wish(resident)
    waits = "" if resident.started and not wish else nc.steps.get(instance_id, "")
    advice = f"Its console: euca-box console {instance_id}" if runs else ""
    return Standing(nc.address, text + wish, waits, advice=advice)


def _wish(resident: "Resident") -> str:
    if resident.ending:
        return "; it is taken away"
    if resident.stopped:
        return "; it is stopped, its disk is kept"
    return "; it is being stopped" if resident.stopping else ""


def _volume(nc: "Nc", instance_id: str, volume_id: str) -> Standing:
    report = nc.volume_reports[instance_id][volume_id]
    text = f"{volume_id} of {instance_id} is {report.state}"
    return Standing(nc.address, text, report.reason, see=(instance_id,))
