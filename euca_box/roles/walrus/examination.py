"""What Walrus finds wrong with what it stores."""

from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, fail, ok

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus


async def examine(walrus: "Walrus") -> list[Finding]:
    _, damages, stored_bytes = await walrus.vault.scrub_report()
    if damages:
        first = damages[0]
        text = f"{len(damages)} versions are damaged, {first.bucket}/{first.key} among them"
        return [fail("objects", text, "euca-box walrus scrub; put the files back, or delete the versions.")]
    return [ok("objects", f"{stored_bytes >> 20} MiB, none known to be damaged")]
