"""What is wrong with a role, by itself, and with its host."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages import service as messages
from euca_box.messages.base import Call
from euca_box.model.findings import Finding, warn

if TYPE_CHECKING:
    from euca_box.services.service import Service


async def examine(service: "Service", call: Call, op: messages.Examine) -> messages.Findings:
    found: list[Finding] = []
    if service.examine is not None:
        found += await service.examine(service.role_itself)
    if any(kept.waits for kept in service.kept.values()) or service.waiting:
        names = sorted({*service.waiting, *(name for name, kept in service.kept.items() if kept.waits)})
        text = f"changed settings wait for a start: {', '.join(names)}"
        found.append(warn("settings", text, "Start euca-box again when it suits: systemctl restart euca-box"))
    if op.process and service.examine_host is not None:
        found += await trio.to_thread.run_sync(partial(service.examine_host, op.fix))
    return messages.Findings(service.host, tuple(finding.at(service.role) for finding in found))
