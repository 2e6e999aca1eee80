"""/services/Configuration: the registrations of Eucalyptus, by Query requests of the administrator.

DescribeClusters, DescribeWalruses, DescribeStorageControllers, DescribeNodes tell what runs. Registering is
joining of hosts, which this version has not: UnsupportedOperation. Elements are those that the tools of
Eucalyptus read (`euca:registered`, `euca:item`); the version of a request is `eucalyptus` or a date.
"""

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
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
from euca_box.messages.admin import CloudStatus, DescribeCloud
from euca_box.model.errors import (
    EucaError,
    InternalError,
    InvalidAction,
    UnauthorizedOperation,
    UnsupportedOperation,
)

log = logging.getLogger(__name__)

NAMESPACE = "http://msgs.eucalyptus.com"
_ROLES = {"Clusters": "cc", "Walruses": "walrus", "StorageControllers": "sc"}
_CHANGE = re.compile(r"(Register|Deregister)(Cluster|Walrus|StorageController|Node)s?")

Components = list[dict[str, str]]


class ConfigurationQuery:
    """A pure ASGI application. `roles()` says of each role that was asked for "runs" or why it does not."""

    def __init__(
        self,
        ask: Ask,
        keyring: Keyring,
        now: Callable[[], datetime],
        roles: Callable[[], Mapping[str, str]],
        host: str,
        addresses: Callable[[], list[str]] = list,
    ) -> None:
        self._properties = properties.Properties(ask, addresses)
        self._ask, self._keyring, self._now = ask, keyring, now
        self._roles, self._host = roles, host

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
        if _CHANGE.fullmatch(action):
            raise UnsupportedOperation("Other hosts cannot join yet: all components run in one process.")
        noun = action.removeprefix("Describe")
        if not action.startswith("Describe") or noun not in (*_ROLES, "Nodes"):
            raise InvalidAction(action[:128])
        cloud = await self._ask("clc", DescribeCloud(), call)
        found = _nodes(cloud) if noun == "Nodes" else self._components(noun, cloud)
        return _document(action, found).encode()

    def _components(self, noun: str, cloud: CloudStatus) -> Components:
        word = self._roles().get(_ROLES[noun], "")
        if not word or word.startswith("does not run"):
            return []
        name = "walrus" if noun == "Walruses" else cloud.zone
        state = "ENABLED" if word == "runs" else "NOTREADY"
        detail = "" if word == "runs" else word
        return [
            {
                "partition": cloud.zone,
                "name": name,
                "hostName": self._host,
                "state": state,
                "detail": detail,
            }
        ]


def _nodes(cloud: CloudStatus) -> Components:
    return [
        {
            "name": node.name.partition("@")[2],
            "clusterName": cloud.zone,
            "state": "ENABLED" if node.state == "UP" else "NOTREADY",
            "detail": node.detail,
        }
        for node in cloud.nodes
    ]


def _document(action: str, components: Iterable[Mapping[str, Any]]) -> str:
    items = "".join(
        "<euca:item>"
        + "".join(f"<euca:{name}>{escaped(value)}</euca:{name}>" for name, value in component.items())
        + "</euca:item>"
        for component in components
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<euca:{action}ResponseType xmlns:euca="{NAMESPACE}">'
        f"<euca:_return>true</euca:_return><euca:registered>{items}</euca:registered>"
        f"</euca:{action}ResponseType>"
    )
