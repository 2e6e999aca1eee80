"""What nodes need to be given an image or a volume by roles of other hosts: see auth/tickets.py."""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.auth import tickets
from euca_box.model.images import ImageData

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


def for_image(clc: "Clc", data: ImageData) -> ImageData:
    if data.stored:
        return replace(data, ticket=clc.ticket(tickets.STORED, data.stored, data.etag))
    return replace(data, ticket=clc.ticket(tickets.IMAGE, data.bucket, data.key, data.etag))


def for_volume(clc: "Clc", volume_id: str, number: int) -> str:
    return clc.ticket(tickets.VOLUME, volume_id, str(number))


def for_upload(clc: "Clc", image_id: str) -> str:
    return clc.ticket(tickets.UPLOAD, image_id)
