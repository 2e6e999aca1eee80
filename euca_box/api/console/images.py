"""Images: those that one may run, and whom one's own are shared with."""

from quart import Quart, Response, request

from euca_box.api.console.web import Web, back, chosen, done, form, page
from euca_box.messages import ec2_image_attributes, ec2_image_copies, ec2_images


def routes(app: Quart, web: Web) -> None:
    @app.get("/images", endpoint="images")
    async def images() -> str:
        mine = request.args.get("mine") == "1"
        owners = ("self",) if mine else ()
        found = await web.look(ec2_images.DescribeImages(owners=owners))
        return await page("images.html", rows=found.images, mine=mine)

    @app.post("/images", endpoint="images_act")
    async def act() -> Response:
        given, ids = await form(), await chosen()
        wanted = given.get("do", "")
        if wanted == "register":
            op = ec2_images.RegisterImage(
                image_location=given.get("location", ""),
                name=given.get("name") or None,
                kernel_id=given.get("kernel") or None,
                ramdisk_id=given.get("ramdisk") or None,
            )
            return await done(web, op, "/images", "The image is registered.")
        if wanted == "create":
            copy = ec2_image_copies.CreateImage(given.get("instance", ""), given.get("name", ""))
            return await done(web, copy, "/images", "The image is being made.")
        if not ids:
            return back("/images", error="Tick the images it is for.")
        answer = back("/images")
        for image_id in ids:
            if wanted == "deregister":
                answer = await done(
                    web, ec2_images.DeregisterImage(image_id), "/images", f"{image_id} is gone."
                )
            elif wanted in ("public", "private"):
                answer = await done(web, _shared(image_id, wanted), "/images", f"{image_id} is {wanted}.")
            if "error=" in answer.headers["location"]:
                break
        return answer


def _shared(image_id: str, wanted: str) -> ec2_image_attributes.ModifyImageAttribute:
    verb = "add" if wanted == "public" else "remove"
    return ec2_image_attributes.ModifyImageAttribute(
        image_id, attribute="launchPermission", operation_type=verb, user_groups=("all",)
    )
