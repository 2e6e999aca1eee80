"""Any history of puts, deletes and switches of versioning, beside a model that keeps lists in memory."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from euca_box.model.s3_errors import NoSuchKey
from euca_box.objects.conditions import Conditions
from euca_box.objects.engine import Objects
from euca_box.objects.version_listing import MARKER
from tests.unit.test_objects_engine import ALICE, data_files, opened_objects, put

KEYS = ("a", "a/b")
steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from([3, 20_000])),
    st.tuples(st.just("put if absent"), st.sampled_from(KEYS), st.just(5)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.just(0)),
    st.tuples(st.just("remove"), st.sampled_from(KEYS), st.integers(0, 2)),
    st.tuples(st.just("switch"), st.sampled_from(["Enabled", "Suspended"]), st.just(0)),
)


class Model:
    """Versions of each key, the newest first: (version id, body), None for a delete marker."""

    def __init__(self) -> None:
        self.versioning = ""
        self.keys: dict[str, list[tuple[str, bytes | None]]] = {key: [] for key in KEYS}

    def add(self, key: str, version_id: str, body: bytes | None) -> None:
        if self.versioning != "Enabled":
            self.keys[key] = [v for v in self.keys[key] if v[0] != "null"]
        self.keys[key].insert(0, (version_id, body))

    def current(self, key: str) -> bytes | None:
        return self.keys[key][0][1] if self.keys[key] else None

    def listed(self) -> list[tuple[str, str, bool, bool]]:
        return [
            (key, version_id, number == 0, body is None)
            for key in sorted(KEYS)
            for number, (version_id, body) in enumerate(self.keys[key])
        ]


async def take(objects: Objects, model: Model, step: tuple[str, str, int], turn: int) -> None:
    verb, key, number = step
    if verb == "switch":
        await objects.buckets.set_versioning(ALICE, "bucket", key)
        model.versioning = key
    elif verb == "put":
        body = bytes([turn]) * number
        model.add(key, (await put(objects, key, body)).version_id, body)
    elif verb == "put if absent":
        body = bytes([turn]) * number
        results: list[Any] = await asyncio.gather(
            put(objects, key, body, conditions=Conditions(none_match="*")), return_exceptions=True
        )
        assert isinstance(results[0], Exception) == (model.current(key) is not None)
        if model.current(key) is None:
            model.add(key, results[0].version_id, body)
    elif verb == "delete":
        deleted = await objects.delete(ALICE, "bucket", key)
        if model.versioning:
            model.add(key, deleted.version_id, None)
        else:
            model.keys[key] = []
    elif number < len(model.keys[key]):
        version_id, _ = model.keys[key].pop(number)
        await objects.delete(ALICE, "bucket", key, version_id)


async def check(objects: Objects, model: Model, folder: Path) -> None:
    page = await objects.list_versions(ALICE, "bucket")
    assert [(v.key, v.version_id, v.is_latest, v.kind == MARKER) for v in page.versions] == model.listed()
    listed = [x.key for x in (await objects.list(ALICE, "bucket")).objects]
    assert listed == sorted(key for key in KEYS if model.current(key) is not None)
    for key in KEYS:
        for version_id in (None, *(v for v, body in model.keys[key] if body is not None)):
            expected = model.current(key) if version_id is None else dict(model.keys[key])[version_id]
            try:
                async with objects.opened(ALICE, "bucket", key, version_id) as found:
                    got = b"".join([bytes(p) async for p in objects.read(found, 0, found.stored.size_bytes)])
            except NoSuchKey:
                assert expected is None
            else:
                assert got == expected
    await asyncio.gather(*objects._files._tasks)
    bodies = [body for versions in model.keys.values() for _, body in versions]
    assert len(data_files(folder)) == sum(len(body or b"") > 16384 for body in bodies)


async def run(history: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        model = Model()
        async with opened_objects(Path(name)) as objects:
            await objects.buckets.create(ALICE, "bucket")
            for turn, step in enumerate(history):
                await take(objects, model, step, turn)
            await check(objects, model, Path(name))
        async with opened_objects(Path(name)) as objects:
            await check(objects, model, Path(name))


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([[], [("switch", "Enabled", 0)]]), st.lists(steps, min_size=10, max_size=60))
def test_any_history_leaves_what_the_model_says_before_and_after_a_restart(
    first: list[tuple[str, str, int]], history: list[tuple[str, str, int]]
) -> None:
    asyncio.run(run(first + history))
