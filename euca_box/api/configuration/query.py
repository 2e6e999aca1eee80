"""/services/Configuration: the registrations of Eucalyptus, by Query requests of the administrator.

DescribeClusters, DescribeWalruses, DescribeStorageControllers, DescribeNodes tell what there is. A host joins
by a token (`euca-box join`), by which each side knows the other's key; Register... of what has joined lets it
be used, twice is harmless; of what has not it says how to join. Deregister... takes it out of the cloud.
Elements are those that the tools of Eucalyptus read (`euca:registered`, `euca:item`); the version of a
request is `eucalyptus` or a date.
"""

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from euca_box.api.configuration import properties
from euca_box.api.ec2 import encode
from euca_box.api.ec2.encode import escaped
from euca_box.api.ec2.query import Ask
from euca_box.api.query import answer, believe, read_query
from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth.faults import ec2_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError
from euca_box.messages.base import Call
from euca_box.messages.components import (
    ComponentRow,
    Components,
    DeregisterComponent,
    DescribeComponents,
    SetComponentState,
)
from euca_box.model.ec2_errors import NoSuchEntity
from euca_box.model.errors import (
    EucaError,
    IncorrectState,
    InternalError,
    InvalidAction,
    UnauthorizedOperation,
)

log = logging.getLogger(__name__)

NAMESPACE = "http://msgs.eucalyptus.com"
_ROLES = {"Clusters": "cc", "Walruses": "walrus", "StorageControllers": "sc", "Nodes": "nc"}
_ROLE_OF = {"Cluster": "cc", "Walrus": "walrus", "StorageController": "sc", "Node": "nc"}
_CHANGE = re.compile(r"(Register|Deregister)(Cluster|Walrus|StorageController|Node)s?")


class ConfigurationQuery:
    """A pure ASGI application."""

    def __init__(
        self,
        ask: Ask,
        keyring: Keyring,
        now: Callable[[], datetime],
        addresses: Callable[[], list[str]] = list,
    ) -> None:
        self._properties = properties.Properties(ask, addresses)
        self._ask, self._keyring, self._now = ask, keyring, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        try:
            status, body = 200, await self._respond(scope, receive)
        except ClientGone:
            return
        except EucaError as error:
            status, body = error.http_status, encode.error_response(error.code, error.message, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            fault = InternalError()
            status, body = 500, encode.error_response(fault.code, fault.message, request_id)
        await answer(send, status, body, head=scope["method"] == "HEAD")

    async def _respond(self, scope: Scope, receive: Receive) -> bytes:
        query = await read_query(scope, receive)
        try:
            call, _ = believe(query, self._keyring, self._now(), scope["query_string"])
        except AuthError as error:
            raise ec2_fault(error) from None
        if not call.admin:
            raise UnauthorizedOperation
        action = query.one("Action") or ""
        if action in properties.ACTIONS:
            inside = await self._properties.answer(action, query, call)
            return "".join(properties.document(action, inside, NAMESPACE)).encode()
        change, noun = _CHANGE.fullmatch(action), action.removeprefix("Describe")
        if change is not None:
            wanted = _Wanted(_ROLE_OF[change[2]], query.one("Name") or "", query.one("Host") or "")
            await self._change(call, change[1], wanted)
            return _document(action, None).encode()
        if not action.startswith("Describe") or noun not in _ROLES:
            raise InvalidAction(action[:128])
        found: Components = await self._ask("clc", DescribeComponents(), call)
        rows = [row for row in found.components if row.role == _ROLES[noun]]
        return _document(action, [_shown(row) for row in rows]).encode()

    async def _change(self, call: Call, verb: str, wanted: "_Wanted") -> None:
        """A host joins by a token, from where it is; what registers it here is that it may be used.

        Raises IncorrectState, and what the cloud controller raises.
        """
        found: Components = await self._ask("clc", DescribeComponents(), call)
        row = next((row for row in found.components if wanted.is_met_by(row)), None)
        if row is None and verb == "Register":
            raise IncorrectState(wanted.advice)
        if row is None:
            raise NoSuchEntity("component", (wanted.name or wanted.host)[:64])
        if verb == "Deregister":
            await self._ask("clc", DeregisterComponent(row.address), call)
        elif row.state in ("DISABLED", "MAINTENANCE"):
            await self._ask("clc", SetComponentState(row.address, "ENABLED"), call)


@dataclass(frozen=True)
class _Wanted:
    """What a registration names: a role, the name of a cluster or of a node, and a host's name or address."""

    role: str
    name: str
    host: str

    def is_met_by(self, row: ComponentRow) -> bool:
        if row.role != self.role:
            return False
        at_host = self.host in ("", row.host, row.at.rpartition(":")[0])
        if self.role == "nc":
            return at_host and bool(self.host or self.name) and self.name in ("", row.host, row.address)
        return at_host and (self.role == "walrus" or self.name in ("", row.zone))

    @property
    def advice(self) -> str:
        zone = f" --zone {self.name[:32]}" if self.role in ("cc", "sc") and self.name else ""
        return (
            f"No host with this component has joined. Hosts join by a token, so that keys are known on both "
            f"sides: euca-box token create --role {self.role}{zone} prints what to type there."
        )


def _shown(row: ComponentRow) -> dict[str, str]:
    if row.role == "nc":
        return {"name": row.host, "clusterName": row.zone, "state": row.state, "detail": row.detail}
    return {
        "partition": row.zone,
        "name": "walrus" if row.role == "walrus" else row.zone,
        "hostName": row.host,
        "state": row.state,
        "detail": row.detail,
    }


def _document(action: str, components: Iterable[Mapping[str, Any]] | None) -> str:
    """With what is registered; None for the answer to a change."""
    items = "".join(
        "<euca:item>"
        + "".join(f"<euca:{name}>{escaped(value)}</euca:{name}>" for name, value in component.items())
        + "</euca:item>"
        for component in components or ()
    )
    registered = "" if components is None else f"<euca:registered>{items}</euca:registered>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<euca:{action}ResponseType xmlns:euca="{NAMESPACE}">'
        f"<euca:_return>true</euca:_return>{registered}"
        f"</euca:{action}ResponseType>"
    )
