"""Tells the operator's targets of changes in buckets: JSON by HTTP POST, again until it is taken.

A target is a name and a URL of the settings; a configuration names it by the last part of an ARN of
SNS or SQS. Notices wait in the index (`objects/notices.py`), in their order for each target, and go
when the target has taken them: at least once. What was not taken within a day is given up.
"""

import asyncio
import json
import logging
import urllib.request
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from euca_box.api.s3.responses import host_id_of, iso_time
from euca_box.model.notifications import (
    Event,
    Notice,
    NotificationConfiguration,
    event_record,
    target_name,
)
from euca_box.model.s3_errors import InvalidArgument, S3Error
from euca_box.objects.engine import Objects
from euca_box.store.store import StoreError

log = logging.getLogger(__name__)

MOST_AT_ONCE = 100  # records in a message
ANSWER_SECONDS = 5.0
LONGEST_PAUSE = 60.0
KEPT_MS = 24 * 3600 * 1000


class Notifier:
    def __init__(self, targets: Mapping[str, str], region: str = "", first_pause: float = 1.0) -> None:
        """Name -> URL, http or https. `first_pause`: seconds after the first failure, then longer."""
        self._targets, self._region, self._first_pause = dict(targets), region, first_pause

    def check_targets(self, configuration: NotificationConfiguration) -> None:
        """Is every target there? Raises InvalidArgument."""
        for rule in configuration.rules():
            if target_name(rule.target) not in self._targets:
                raise InvalidArgument(
                    "Unable to validate the following destination configurations",
                    ArgumentName=rule.target[:200],
                    ArgumentValue="The destination does not exist.",
                )

    async def run(self, objects: Objects) -> None:
        """Deliver until cancelled."""
        for name in await objects.notices.targets() - set(self._targets):
            log.warning("notification target %s is not there any more: what waits for it is left out", name)
            while notices := await objects.notices.next(name, MOST_AT_ONCE):
                await objects.forget_notices(notices)
        async with asyncio.TaskGroup() as group:
            for name, url in self._targets.items():
                group.create_task(self._deliver(objects, name, url))

    async def _deliver(self, objects: Objects, name: str, url: str) -> None:
        arrived, pause = objects.notices.listen(), self._first_pause
        while True:
            arrived.clear()
            try:
                was_taken = await self._deliver_some(objects, name, url)
            except (StoreError, S3Error) as error:
                log.error("notices for target %s cannot be read or removed: %s", name, error)
                was_taken = False
            if was_taken is None:
                await arrived.wait()
            elif was_taken:
                pause = self._first_pause
            else:
                log.warning("notification target %s: tried again in %g s", name, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    async def _deliver_some(self, objects: Objects, name: str, url: str) -> bool | None:
        """Has the target taken the next message? None: nothing waits."""
        notices = await objects.notices.next(name, MOST_AT_ONCE)
        if not notices:
            return None
        message = _first_message(notices)
        if await asyncio.to_thread(_post, url, self._message(message)):
            await objects.forget_notices(message)
            return True
        late = [notice for notice in notices if notice.at_ms < objects.now_ms() - KEPT_MS]
        if late:
            log.error("notification target %s: %d notices of a day ago are given up", name, len(late))
            await objects.forget_notices(late)
        return False

    def _message(self, notices: Sequence[Notice]) -> bytes:
        """The message of S3, with a record for each notice."""
        if notices[0].event == Event.TEST:
            [test] = notices
            return json.dumps(
                {
                    "Service": "Amazon S3",
                    "Event": test.event,
                    "Time": iso_time(test.at_ms),
                    "Bucket": test.bucket,
                }
            ).encode()
        return json.dumps({"Records": [self._record(notice) for notice in notices]}).encode()

    def _record(self, notice: Notice) -> dict[str, Any]:
        host_id = host_id_of(notice.cause.request_id) if notice.cause.request_id else ""
        return event_record(notice, self._region, iso_time(notice.at_ms), host_id)


def _first_message(notices: Sequence[Notice]) -> Sequence[Notice]:
    """As many as fit one message: a test goes alone."""
    return list(takewhile(lambda notice: notice.event != Event.TEST, notices)) or notices[:1]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """The operator named this URL and no other."""


_opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _post(url: str, body: bytes) -> bool:
    """Was it taken, with a 2xx?"""
    request = urllib.request.Request(url, body, {"content-type": "application/json"}, method="POST")  # noqa: S310
    try:
        with _opener.open(request, timeout=ANSWER_SECONDS) as answer:
            return 200 <= int(answer.status) < 300
    except (OSError, ValueError):
        return False
