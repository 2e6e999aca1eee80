"""Tells the operator's targets of changes in buckets: JSON by HTTP POST, again until it is taken.

A target is a name and a URL of the settings; a configuration names it by the last part of an ARN of
SNS or SQS. Messages wait in memory, in their order for each target: what waits when the process ends
is lost, and when too many wait the oldest go.
"""

import asyncio
import json
import logging
import time
import urllib.request
from collections import deque
from collections.abc import Mapping
from typing import Any

from euca_box.model.notifications import Cause, Change, NotificationConfiguration, event_record
from euca_box.model.s3_errors import InvalidArgument
from euca_box.objects.rows import Bucket

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
ANSWER_SECONDS = 5.0
LONGEST_PAUSE = 60.0


class Notifier:
    """`publish` puts messages into the queues; `run` empties them."""

    def __init__(self, targets: Mapping[str, str], first_pause: float = 1.0) -> None:
        """Name -> URL, http or https. `first_pause`: seconds after the first failure, then longer."""
        self._targets = {name: _Target(name, url, first_pause) for name, url in targets.items()}
        self._sequencer = time.time_ns()

    def check_targets(self, bucket: Bucket, configuration: NotificationConfiguration) -> None:
        """Is every target there? Each is told that it was chosen. Raises InvalidArgument."""
        rules = configuration.rules()
        for rule in rules:
            if target_name(rule.target) not in self._targets:
                raise InvalidArgument(
                    "Unable to validate the following destination configurations",
                    ArgumentName=rule.target[:200],
                    ArgumentValue="The destination does not exist.",
                )
        for name in {target_name(rule.target) for rule in rules}:
            test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket.name}
            self._targets[name].put(test)

    def publish(self, bucket: Bucket, cause: Cause, changes: tuple[Change, ...]) -> None:
        """A message for each change and each rule that wants it."""
        configuration = bucket.setting(NotificationConfiguration)
        for change in changes if configuration is not None else ():
            self._sequencer += 1
            for rule in configuration.rules() if configuration is not None else ():
                target = self._targets.get(target_name(rule.target))
                if target is not None and rule.wants(change.event, change.key):
                    record = event_record(cause, change, rule.id or "", self._sequencer)
                    target.put({"Records": [record]})

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            for target in self._targets.values():
                group.create_task(target.run())


def target_name(arn: str) -> str:
    """The name in an ARN of SNS or SQS; empty for anything else."""
    parts = arn.split(":")
    return parts[5] if len(parts) == 6 and parts[0] == "arn" and parts[2] in ("sns", "sqs") else ""


class _Target:
    def __init__(self, name: str, url: str, first_pause: float) -> None:
        self._name, self._url, self._first_pause = name, url, first_pause
        self._waiting: deque[bytes] = deque()
        self._arrived = asyncio.Event()

    def put(self, message: Mapping[str, Any]) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            log.warning("notification target %s: too many messages wait, the oldest was dropped", self._name)
        self._waiting.append(json.dumps(message).encode())
        self._arrived.set()

    async def run(self) -> None:
        pause = self._first_pause
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            message = self._waiting[0]
            if await asyncio.to_thread(_post, self._url, message):
                pause = self._first_pause
                if self._waiting and self._waiting[0] is message:
                    self._waiting.popleft()
                continue
            log.warning("notification target %s does not answer; tried again in %g s", self._name, pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


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
