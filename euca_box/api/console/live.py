"""News for open pages: server-sent events that say which kinds of things have changed.

A page that hears of a change asks for itself again (`static/console.mjs`). One task an account looks, however
many browsers listen; a browser whose connection broke says which number it heard last and misses nothing.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from quart import Quart, Response

from euca_box.api.console.web import Web, session
from euca_box.messages.base import system_call
from euca_box.messages.logins import GetChanges
from euca_box.model.errors import EucaError

LOOK_SECONDS = 1.0
BEAT_SECONDS = 10.0  # a browser that has heard nothing for longer than this connects anew
LONGEST_SECONDS = 900.0  # then it connects anew, and its session is looked at again


@dataclass
class Channel:
    """What an account's browsers wait for."""

    versions: dict[str, int] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: int = 0


def routes(app: Quart, web: Web) -> None:
    channels: dict[str, Channel] = {}

    @app.get("/live", endpoint="live")
    async def live() -> Response:
        account = session().principal.account
        answer = Response(_events(web, channels, account), content_type="text/event-stream")
        answer.timeout = None
        answer.headers["X-Accel-Buffering"] = "no"
        return answer


async def _events(web: Web, channels: dict[str, Channel], account: str) -> AsyncIterator[bytes]:
    channel = channels.setdefault(account, Channel())
    channel.listeners += 1
    if channel.listeners == 1:
        watching = asyncio.create_task(_watch(web, channel, account))
        web.tasks.add(watching)
        watching.add_done_callback(web.tasks.discard)
    until = asyncio.get_running_loop().time() + LONGEST_SECONDS
    try:
        while asyncio.get_running_loop().time() < until:
            yield f"data: {json.dumps(channel.versions)}\n\n".encode()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(channel.news.wait(), BEAT_SECONDS)
    finally:
        channel.listeners -= 1
        if channel.listeners == 0:
            channels.pop(account, None)


async def _watch(web: Web, channel: Channel, account: str) -> None:
    while channel.listeners:
        with contextlib.suppress(EucaError):
            found = await web.ask("clc", GetChanges(account), system_call("console"))
            if found.versions != channel.versions:
                channel.versions = found.versions
                channel.news.set()
                channel.news = asyncio.Event()
        await asyncio.sleep(LOOK_SECONDS)
