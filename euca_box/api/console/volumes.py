"""Volumes and snapshots: list, make, attach, detach, delete."""

from typing import Any

from quart import Quart, Response, request

from euca_box.api.console.web import Web, back, chosen, done, form, page
from euca_box.messages import ec2_places, ec2_snapshots
from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import Op

WHERE = "/volumes"
PAGE_SIZE = 100
# What is done to each of the rows that are ticked.
_OF_EACH: dict[str, Any] = {
    "detach": ec2.DetachVolume,
    "delete": ec2.DeleteVolume,
    "snapshot": ec2_snapshots.CreateSnapshot,
    "delete-snapshot": ec2_snapshots.DeleteSnapshot,
}


def routes(app: Quart, web: Web) -> None:
    @app.get(WHERE, endpoint="volumes")
    async def volumes() -> str:
        found = await web.look(
            ec2.DescribeVolumes(max_results=PAGE_SIZE, next_token=request.args.get("next") or None)
        )
        zones = await web.look(ec2_places.DescribeAvailabilityZones())
        snapshots = await web.look(ec2_snapshots.DescribeSnapshots(owner_ids=("self",)))
        return await page(
            "volumes.html",
            rows=found.volumes,
            zones=zones.availability_zones,
            snapshots=snapshots.snapshots,
            next_token=found.next_token,
        )

    @app.post(WHERE, endpoint="volumes_act")
    async def act() -> Response:
        given, ids = await form(), await chosen()
        wanted = given.get("do", "")
        if wanted == "create":
            op = _made(given)
            if op is None:
                return back(WHERE, error="The size must be a number of GiB.")
            return await done(web, op, WHERE, "The volume is being made.")
        if wanted == "attach":
            attach = ec2.AttachVolume(
                given.get("volume", ""), given.get("instance", ""), given.get("device", "")
            )
            return await done(web, attach, WHERE, "The volume is being attached.")
        if not ids or wanted not in _OF_EACH:
            return back(WHERE, error="Choose an action, and tick the volumes it is for.")
        answer = back(WHERE)
        for row_id in ids:
            answer = await done(web, _OF_EACH[wanted](row_id), WHERE, f"{wanted}: {', '.join(ids)}")
            if "error=" in answer.headers["location"]:
                break
        return answer


def _made(given: dict[str, str]) -> Op[Any] | None:
    """Of a snapshot it has the snapshot's size, or a larger one. None for a size that is none."""
    size, snapshot = given.get("size", ""), given.get("snapshot") or None
    if size and not (size.isascii() and size.isdigit() and len(size) < 7):
        return None
    if not size and snapshot is None:
        return None
    return ec2.CreateVolume(
        availability_zone=given.get("zone", ""), size=int(size) if size else None, snapshot_id=snapshot
    )
