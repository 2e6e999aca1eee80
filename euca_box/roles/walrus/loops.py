"""What Walrus does by itself: carries out lifecycle rules, and reads all stored bytes once in a while."""

from typing import TYPE_CHECKING

from euca_box.roles.walrus import holding, snapshots
from euca_box.tasks import every

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

MIB = 1 << 20
SCRUB_SECONDS = 5.0
SWEEP_SECONDS = 3600.0


async def expire(walrus: "Walrus") -> None:
    """Rules are looked at some times a day, whatever a day is."""
    await every(max(1.0, walrus.settings.lifecycle_day_seconds / 24), walrus.vault.expire)


async def scrub(walrus: "Walrus") -> None:
    """A little each time; a round begins so many days after the last one began."""

    async def step() -> None:
        settings = walrus.settings  # may have changed
        if settings.scrub_mib_per_second > 0:
            budget = int(settings.scrub_mib_per_second * SCRUB_SECONDS * MIB)
            await walrus.vault.scrub(budget, settings.scrub_days * 86400)

    await every(SCRUB_SECONDS, step)


async def sweep_snapshots(walrus: "Walrus") -> None:
    await every(SWEEP_SECONDS, lambda: snapshots.sweep(walrus))


LOOPS = {"lifecycle": expire, "scrub": scrub, "sweep snapshots": sweep_snapshots, "let go": holding.let_go}
