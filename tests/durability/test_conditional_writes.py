"""Conditional writes by many clients at once are as if one came after the other.

Histories of requests on one key are checked against a register: an order must exist that fits every answer
and does not put a request after one that began when it had ended (Herlihy, Wing: Linearizability, 1990).
EUCA_BOX_HISTORIES says how many.
"""

import hashlib
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.api.s3_box import S3Box, running_s3
from tests.durability.client import Client

HISTORIES = int(os.environ.get("EUCA_BOX_HISTORIES", "30"))
CLIENTS, STEPS = 32, 2
# S3 may answer 409 when another write came in between: nothing was done, ask again.
OK, FAILED, ABSENT, CONFLICT = "ok", "failed", "absent", "conflict"


@dataclass(frozen=True)
class Step:
    """`kind`: get, put, create (If-None-Match: *), swap (If-Match: `expected`), delete."""

    kind: str
    began: float
    ended: float
    answer: str
    value: str | None = None  # the ETag written, or read
    expected: str | None = None

    @property
    def only_looks(self) -> bool:
        return self.kind == "get" or self.answer != OK

    def after(self, held: str | None) -> "tuple[bool, str | None]":
        """Whether the answer fits when the key held that, and what it holds then."""
        if self.answer == CONFLICT:
            return True, held
        match self.kind:
            case "get":
                return (self.value == held if self.answer == OK else held is None), held
            case "put":
                return self.answer == OK, self.value
            case "delete":
                return self.answer == OK, None
            case "create":
                return (self.answer == OK) == (held is None), self.value if held is None else held
        fits = held is not None and held == self.expected
        refusal = ABSENT if held is None else FAILED
        return self.answer == (OK if fits else refusal), self.value if fits else held


def is_linearizable(steps: list[Step]) -> bool:
    """Depth first over the orders that time allows; states seen once are not looked at again.

    A step that fits and could never change anything is put at once: later it could only be in the way. Values
    that no answer speaks of are one value, and of steps that do the same the first to end is put first.
    """
    told = {step.value for step in steps if step.kind == "get"} | {step.expected for step in steps}
    steps = sorted((_plain(step, told) for step in steps), key=lambda step: step.began)
    seen: set[tuple[int, str | None]] = set()
    waiting: list[tuple[int, str | None]] = [((1 << len(steps)) - 1, None)]
    while waiting:
        left, held = waiting.pop()
        if not left:
            return True
        if (left, held) in seen:
            continue
        seen.add((left, held))
        first_end = min(step.ended for n, step in enumerate(steps) if left >> n & 1)
        possible = [n for n, step in enumerate(steps) if left >> n & 1 and step.began <= first_end]
        following = [(n, then) for n in possible for fits, then in [steps[n].after(held)] if fits]
        harmless = [(n, then) for n, then in following if steps[n].only_looks]
        first: dict[tuple[str, str | None], tuple[int, str | None]] = {}
        for n, then in sorted(following, key=lambda pair: -steps[pair[0]].ended):
            first[steps[n].kind, then] = (n, then)
        waiting += [(left & ~(1 << n), then) for n, then in harmless[:1] or first.values()]
    return False


def _plain(step: Step, told: set[str | None]) -> Step:
    return step if step.value in told else replace(step, value="untold")


def history(box: S3Box, key: str, seed: int) -> list[Step]:
    steps: list[Step] = []
    together = threading.Barrier(CLIENTS)

    def client(number: int) -> None:
        chance, mine = random.Random(seed * 1000 + number), Client(box.port)
        seen: list[str] = []
        together.wait(10)
        for turn in range(STEPS):
            kind = chance.choice(("get", "put", "create", "create", "swap", "swap", "delete"))
            step = _asked(mine, key, kind, f"{number}.{turn}".encode(), seen)
            if step.kind == "get" and step.value:
                seen.append(step.value)
            steps.append(step)
        mine.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, number) for number in range(CLIENTS)]:
            done.result()
    return steps


def _asked(client: Client, key: str, kind: str, data: bytes, seen: list[str]) -> Step:
    target, etag = f"/race/{key}", hashlib.md5(data).hexdigest()
    expected = seen[-1] if seen else "0" * 32
    began = time.monotonic()
    if kind == "get":
        status, _, headers = client.ask("GET", target)
        value = headers["etag"].strip('"') if status == 200 else None
        return Step(kind, began, time.monotonic(), OK if status == 200 else ABSENT, value)
    if kind == "delete":
        status, _, _ = client.ask("DELETE", target)
    elif kind == "put":
        status, _, _ = client.ask("PUT", target, data)
    elif kind == "create":
        status, _, _ = client.ask("PUT", target, data, if_none_match="*")
    else:
        status, _, _ = client.ask("PUT", target, data, if_match=f'"{expected}"')
    answers = {200: OK, 204: OK, 412: FAILED, 404: ABSENT, 409: CONFLICT}
    return Step(kind, began, time.monotonic(), answers[status], etag, expected)


def test_a_history_that_no_order_explains_is_noticed() -> None:
    one = Step("create", 0, 1, OK, "a")
    assert is_linearizable([one, Step("get", 2, 3, OK, "a")])
    assert not is_linearizable([one, Step("create", 2, 3, OK, "b")])
    assert not is_linearizable([one, Step("get", 2, 3, ABSENT)])
    assert is_linearizable([one, Step("get", 0.5, 3, ABSENT)])
    assert not is_linearizable([one, Step("swap", 2, 3, OK, "b", "c"), Step("get", 4, 5, OK, "b")])
    assert not is_linearizable([one, Step("swap", 2, 4, OK, "b", "a"), Step("swap", 3, 5, OK, "c", "a")])


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory):
    with running_s3(tmp_path_factory.mktemp("race")) as made:
        made.client().create_bucket(Bucket="race")
        yield made


def test_conditional_writes_of_many_clients_are_as_if_one_after_the_other(box: S3Box) -> None:
    for number in range(HISTORIES):
        steps = history(box, f"k{number}", number)
        assert len(steps) == CLIENTS * STEPS
        assert is_linearizable(steps), f"history {number}: {sorted(steps, key=lambda s: s.began)}"


def test_of_many_who_create_one_wins_and_of_many_who_swap_one_wins(box: S3Box, tmp_path: Path) -> None:
    for number in range(5):
        won = []

        def create(who: int, key: str = f"one{number}", won: list[int] = won) -> None:
            if Client(box.port).ask("PUT", f"/race/{key}", b"%d" % who, if_none_match="*")[0] == 200:
                won.append(who)

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(create, range(CLIENTS)))
        assert len(won) == 1
        assert Client(box.port).ask("GET", f"/race/one{number}")[1] == b"%d" % won[0]
