"""What a host may ask of the roles of another: what its own roles ask of them, and no more.

Roles ask downwards. Nodes and storage controllers ask for themselves, never in a user's name; so a stolen
key of a node reads no users, deletes nothing of Walrus and lists nothing.
"""

from collections.abc import Mapping
from typing import Any

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


def may_ask(peer: Peer, letter: Letter) -> bool:
    if any(letter.op.role in _ALL.get(role, ()) for role in peer.roles):
        return True
    as_itself = letter.call.principal == SYSTEM
    return as_itself and any(type(letter.op) in _SOME.get(role, ()) for role in peer.roles)
