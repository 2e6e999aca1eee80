"""What Walrus keeps of an image or a snapshot."""

from typing import TYPE_CHECKING

from euca_box.model.stories import Standing, Story
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus


async def tell(walrus: "Walrus", thing: str) -> Story:
    found = []
    if one(await walrus.store.read("SELECT id FROM snapshot WHERE id = ?", thing)) is not None:
        found.append(Standing("walrus", f"the snapshot {thing} is stored whole"))
    stored = next((image for image in walrus.stored.all() if image.image_id == thing), None)
    if stored is not None:
        found.append(Standing("walrus", f"{thing} is unpacked"))
    if thing in walrus.jobs:
        found.append(Standing("walrus", f"{thing} is being unpacked", "its bundle to be read"))
    return Story(standings=tuple(found))
