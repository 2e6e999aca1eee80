"""Commands typed at the serial line of a guest on any host, by the relay that the console uses."""

import asyncio
import re
import uuid
from pathlib import Path

from euca_box import membership
from euca_box.api.roles.relay import Relays
from euca_box.bus.peers import Peers
from tests.cluster.cluster import Cluster
from tests.cluster.guests import User


def relays_of(cluster: Cluster, name: str, cc_zones: tuple[str, ...] = ()) -> Relays:
    """What the key of that host may open; it has the cluster controllers of these zones."""
    data = cluster.boxes[name].data
    return Relays(
        membership.host_key(data),
        Peers(membership.known_peers(data).peers),
        lambda address: address in {f"cc@{zone}" for zone in cc_zones},
        Path("/nonexistent"),
    )


class Serial:
    """A shell in the guest, as root."""

    def __init__(self, user: User, instance_id: str, node: str, zone: str = "us-east-1a") -> None:
        self.user, self.instance_id, self.node, self.zone = user, instance_id, node, zone

    def run(self, command: str, seconds: float = 60) -> str:
        """What it printed. Lines mark begin and end that the echo of the command does not contain."""
        return str(self.user.threads.submit(asyncio.run, self._run(command, seconds)).result(seconds + 30))

    async def _run(self, command: str, seconds: float) -> str:
        relays = relays_of(self.user.cluster, "a", (self.zone,))
        stream = await relays.open(f"cc@{self.zone}", self.node, self.instance_id, "serial")
        mark = uuid.uuid4().hex[:8]
        begin, end = f"<{mark}>", f"</{mark}>"
        typed = f"\necho '<'{mark}'>'; {command}; echo '</'{mark}'>'\n"
        seen = ""
        try:
            async with asyncio.timeout(seconds):
                await stream.send(typed.encode())
                while not (found := re.search(f"{begin}(.*?){end}", seen, re.DOTALL)):
                    piece = await stream.receive()
                    assert piece, seen[-1000:]
                    seen += piece.decode(errors="replace")
        except TimeoutError:
            raise AssertionError(f"no end of {command!r}: {seen[-1000:]!r}") from None
        finally:
            stream.close()
        return found[1].strip()
