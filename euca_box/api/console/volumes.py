"""Volumes: list, make, attach, detach, delete."""

from quart import Quart, Response

from euca_box.api.console.web import Web, back, chosen, done, form, page
from euca_box.messages import ec2_places
from euca_box.messages import ec2_volumes as ec2


def routes(app: Quart, web: Web) -> None:
    @app.get("/volumes", endpoint="volumes")
    async def volumes() -> str:
        found = await web.look(ec2.DescribeVolumes())
        zones = await web.look(ec2_places.DescribeAvailabilityZones())
        return await page("volumes.html", rows=found.volumes, zones=zones.availability_zones)

    @app.post("/volumes", endpoint="volumes_act")
    async def act() -> Response:
        given, ids = await form(), await chosen()
        wanted, size = given.get("do", ""), given.get("size", "")
        if wanted == "create":
            if not (size.isascii() and size.isdigit() and len(size) < 7):
                return back("/volumes", error="The size must be a number of GiB.")
            op = ec2.CreateVolume(availability_zone=given.get("zone", ""), size=int(size))
            return await done(web, op, "/volumes", "The volume is being made.")
        if wanted == "attach":
            attach = ec2.AttachVolume(
                given.get("volume", ""), given.get("instance", ""), given.get("device", "")
            )
            return await done(web, attach, "/volumes", "The volume is being attached.")
        if not ids or wanted not in ("detach", "delete"):
            return back("/volumes", error="Choose an action, and tick the volumes it is for.")
        answer = back("/volumes")
        for volume_id in ids:
            delete = wanted == "delete"
            doing = ec2.DeleteVolume(volume_id) if delete else ec2.DetachVolume(volume_id)
            answer = await done(web, doing, "/volumes", f"{wanted}: {', '.join(ids)}")
            if "error=" in answer.headers["location"]:
                break
        return answer
