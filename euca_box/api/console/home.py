"""The first page: what there is, what needs attention, what happened last, and what one could do next."""

from typing import Any

from quart import Quart

from euca_box.api.console.web import Web, page, session
from euca_box.messages import (
    admin,
    ec2_account,
    ec2_addresses,
    ec2_images,
    ec2_instances,
    ec2_keypairs,
    ec2_volumes,
    events,
)
from euca_box.messages.base import Op
from euca_box.model.errors import EucaError


def routes(app: Quart, web: Web) -> None:
    @app.get("/", endpoint="home")
    async def home() -> str:
        counts = {
            "instances": await _count(web, ec2_instances.DescribeInstances(), "reservations"),
            "images": await _count(web, ec2_images.DescribeImages(owners=("self",)), "images"),
            "volumes": await _count(web, ec2_volumes.DescribeVolumes(), "volumes"),
            "addresses": await _count(web, ec2_addresses.DescribeAddresses(), "addresses"),
            "keys": await _count(web, ec2_keypairs.DescribeKeyPairs(), "key_pairs"),
        }
        return await page(
            "home.html",
            counts=counts,
            limits=await _limits(web),
            cloud=await _cloud(web),
            waiting=web.status()["waiting"],
            last=await _last(web),
        )


async def _count(web: Web, op: Op[Any], field: str) -> int | None:
    """None where a policy keeps it from the person."""
    try:
        found = getattr(await web.look(op), field)
    except EucaError:
        return None
    if field == "reservations":
        return len([i for r in found for i in r.instances if i.state.name != "terminated"])
    return len(found)


async def _limits(web: Web) -> dict[str, str]:
    try:
        found = await web.look(ec2_account.DescribeAccountAttributes())
    except EucaError:
        return {}
    return {a.attribute_name: a.attribute_values[0].attribute_value for a in found.account_attributes}


async def _cloud(web: Web) -> Any:
    return await web.look(admin.DescribeCloud()) if session().principal.admin else None


async def _last(web: Web) -> Any:
    return (await web.look(events.ListEvents(limit=8))).events
