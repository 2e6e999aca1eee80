"""What a host may ask of the roles of another: what its own roles ask of them, and no more.

Roles ask downwards. Nodes and storage controllers ask for themselves, never in a user's name; and a node only
for what it has a ticket of the cloud controller for. So a stolen key of a node reads no users, no image and
no volume but those of its own guests, deletes nothing of Walrus and lists nothing.
"""

from collections.abc import Callable, Mapping
from typing import Any

from euca_box.auth import tickets
from euca_box.bus.letters import Letter
from euca_box.bus.peers import Peer
from euca_box.messages import hosts, sc, snapshots, walrus
from euca_box.messages.base import SYSTEM, Op

# By the role of the host that asks: the roles below it, of which it may ask everything in anybody's name.
_ALL: Mapping[str, frozenset[str]] = {
    "clc": frozenset({"cc", "sc", "walrus", "host", "service"}),
    "cc": frozenset({"nc"}),
}
# Operations that it may ask as itself.
_SOME: Mapping[str, frozenset[type[Op[Any]]]] = {
    "host": frozenset({hosts.AnnounceHost}),
    "nc": frozenset(
        {
            walrus.GetImageUrl,
            walrus.GetDecryptedImage,
            walrus.BeginImageUpload,
            walrus.GetPartUrl,
            walrus.EndImageUpload,
            sc.ScExportVolume,
            sc.ScUnexportVolume,
        }
    ),
    "sc": frozenset(
        {
            snapshots.ReserveChunks,
            snapshots.ForkSnapshot,
            snapshots.GetManifestUrl,
            snapshots.StoreSnapshot,
            snapshots.GetSnapshot,
            walrus.GetHiddenUrls,
            walrus.GetScrub,
        }
    ),
}
# For what a node must have a ticket: its kind, and the names in it.
_TICKETS: Mapping[type[Op[Any]], Callable[[Any], tuple[str, ...]]] = {
    walrus.GetImageUrl: lambda op: (tickets.IMAGE, op.bucket, op.key, op.etag),
    walrus.GetDecryptedImage: lambda op: (tickets.STORED, op.image_id, op.etag),
    walrus.BeginImageUpload: lambda op: (tickets.UPLOAD, op.image_id),
    walrus.GetPartUrl: lambda op: (tickets.UPLOAD, op.image_id),
    walrus.EndImageUpload: lambda op: (tickets.UPLOAD, op.image_id),
    sc.ScExportVolume: lambda op: (tickets.VOLUME, op.volume_id, str(op.generation)),
    sc.ScUnexportVolume: lambda op: (tickets.VOLUME, op.volume_id, str(op.generation)),
}


def may_ask(peer: Peer, letter: Letter, controller: bytes) -> bool:
    """`controller`: the key of the cloud controller's host, which signs tickets."""
    if any(letter.op.role in _ALL.get(role, ()) for role in peer.roles):
        return True
    kind = type(letter.op)
    asking = [role for role in peer.roles if kind in _SOME.get(role, ())]
    if letter.call.principal != SYSTEM or not asking:
        return False
    return asking != ["nc"] or _is_its_own(peer, letter.op, controller)


def _is_its_own(peer: Peer, op: Any, controller: bytes) -> bool:
    """For its own guests: at this host, and with a ticket."""
    if isinstance(op, sc.ScExportVolume) and op.host != peer.node:
        return False
    if isinstance(op, sc.ScUnexportVolume) and op.fence:
        return False
    kind, *names = _TICKETS[type(op)](op)
    return tickets.is_valid(controller, op.ticket, kind, *names)
