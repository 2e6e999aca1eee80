"""What the cloud controller finds wrong with the cloud."""

from typing import TYPE_CHECKING

import euca_box
from euca_box.model.findings import Finding, fail, ok, warn
from euca_box.model.instances import InstanceState
from euca_box.roles.clc.components import component_rows

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

WARN_SKEW_SECONDS, FAIL_SKEW_SECONDS = 5.0, 30.0  # a message between hosts is good for 60
LATE_SECONDS = 60.0


async def examine(clc: "Clc") -> list[Finding]:
    found = [fail(where, text, "euca-box status; euca-box logs") for where, text in clc.problems.items()]
    found += [*_components(clc), *_late(clc)]
    return found or [ok("cloud", "all components answer, nothing is late")]


def _components(clc: "Clc") -> list[Finding]:
    found, seen = [], set[str]()
    for row in component_rows(clc):
        if row.state == "NOTREADY":
            advice = f"euca-box why {row.address}"
            found.append(
                fail("components", f"{row.address} on {row.host}: {row.detail or 'does not answer'}", advice)
            )
        if row.host in seen:
            continue
        seen.add(row.host)
        if row.version and row.version != euca_box.__version__:
            text = f"{row.host} runs version {row.version}, this host {euca_box.__version__}"
            found.append(warn("versions", text, "Upgrade the other one, too."))
        skew = abs(row.skew_seconds or 0.0)
        if skew >= WARN_SKEW_SECONDS:
            say = fail if skew >= FAIL_SKEW_SECONDS else warn
            text = f"the clock of {row.host} is {row.skew_seconds:+.1f} s off this one"
            found.append(say("clocks", text, "Let chrony or systemd-timesyncd set both clocks."))
    return found


def _late(clc: "Clc") -> list[Finding]:
    """What is past the moment at which it should have been given up."""
    moving = (InstanceState.PENDING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN)
    late = [
        r.instance_id
        for r in clc.instances.all()
        if r.state in moving and clc.now() > r.deadline + LATE_SECONDS
    ]
    if not late:
        return []
    return [warn("instances", f"{', '.join(late[:5])} should have settled by now", f"euca-box why {late[0]}")]
