"""The keys that a front end may trust, in memory: access key id -> secret and principal.

The CLC owns the users; it pushes them here (its own process) and to Walrus (by message), whole and
with a version, so that a front end never asks upwards while it checks a signature.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from euca_box.model.accounts import AccessKey, Principal
from euca_box.model.rights import Grants

if TYPE_CHECKING:
    from euca_box.auth.wsse import Signer  # with lxml, which a command that shows its help can do without


class Keyring:
    """Looked up on every request; replaced as a whole, so a reader never sees half a change."""

    def __init__(self) -> None:
        self.version = 0
        self.session_key = b""  # opens session tokens; empty: none is believed
        self.grants = Grants()
        self._keys: dict[str, AccessKey] = {}
        self._by_canonical_id: dict[str, Principal] = {}
        self._by_email: dict[str, Principal] = {}
        self._certificates: Mapping[bytes, Signer[AccessKey]] = {}
        self._roles: dict[str, Principal] = {}

    def replace(
        self,
        version: int,
        keys: Iterable[AccessKey],
        session_key: bytes = b"",
        roles: Iterable[Principal] = (),
        grants: Grants | None = None,
    ) -> None:
        """Take the new set, unless it is older than what is here."""
        if version < self.version:
            return
        self._keys = {key.access_key_id: key for key in keys}
        principals = [key.principal for key in self._keys.values()]
        # Users whom another user of the account made share its id; the name that is shown is the first's.
        self._by_canonical_id = {p.canonical_id: p for p in sorted(principals, key=lambda p: p.root)}
        self._by_email = {p.email.lower(): p for p in principals if p.email}
        self.session_key = session_key
        self._roles = {role.identity: role for role in roles}
        self.grants = grants or Grants()
        self.version = version

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key if it may be used now: neither it nor its user is disabled."""
        key = self._keys.get(access_key_id)
        return key if key and key.enabled and key.principal.enabled else None

    def find_role(self, role_id: str) -> AccessKey | None:
        """The role, as the parent of its sessions."""
        role = self._roles.get(role_id)
        return AccessKey(role_id, "", role) if role is not None else None

    def all_roles(self) -> list[Principal]:
        return list(self._roles.values())

    def replace_certificates(self, certificates: "Mapping[bytes, Signer[AccessKey]]") -> None:
        """Signing certificates by their DER bytes; the key id of one is its certificate id."""
        self._certificates = certificates

    def find_certificate(self, der: bytes) -> "Signer[AccessKey] | None":
        """Whose certificate it is, if that user may ask now."""
        signer = self._certificates.get(der)
        return signer if signer is not None and signer.who.principal.enabled else None

    def by_canonical_id(self, canonical_id: str) -> Principal | None:
        return self._by_canonical_id.get(canonical_id)

    def by_email(self, email: str) -> Principal | None:
        return self._by_email.get(email.lower())

    def all_keys(self) -> list[AccessKey]:
        return list(self._keys.values())
