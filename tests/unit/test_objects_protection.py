"""What protects objects: object lock, encryption at rest, and the checksum of each block."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from euca_box.auth.secrets import Sealer, SealError
from euca_box.model.object_lock import DAY_MS, DefaultRetention, Lock
from euca_box.model.s3_errors import AccessDenied, InvalidRequest
from euca_box.objects.acl import Action
from euca_box.objects.cache import Found
from euca_box.objects.completion import NamedPart
from euca_box.objects.digests import Expectation
from euca_box.objects.encryption import CustomerKey, Encrypt
from euca_box.objects.engine import Objects
from euca_box.objects.index import DamagedObject
from euca_box.objects.rows import BLOCK_BYTES
from euca_box.objects.versions import Wish
from euca_box.store.store import Statement
from tests.unit.test_objects_engine import ALICE, BOB, MIB, data_files, opened_objects, put, sent

pytestmark = pytest.mark.anyio
MINE = Encrypt(CustomerKey.of(b"k" * 32))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    @property
    def ms(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def objects(tmp_path: Path, clock: Clock) -> AsyncIterator[Objects]:
    async with opened_objects(tmp_path, now=clock) as objects:
        await objects.buckets.create(ALICE, "bucket", object_lock=True)
        yield objects


async def body_of(objects: Objects, key: str, customer: CustomerKey | None = None) -> bytes:
    async with objects.opened(ALICE, "bucket", key) as found:
        data_key = objects.keys.open(found.stored.encryption, customer)
        return b"".join([bytes(p) async for p in objects.read(found, 0, found.stored.size_bytes, data_key)])


async def set_lock(objects: Objects, lock: Lock, **how: Any) -> None:
    await objects.set_lock(ALICE, Action.PUT_OBJECT_RETENTION, "bucket", "k", lambda _: lock, **how)


async def test_a_retained_version_goes_when_its_time_is_over_and_not_before(
    objects: Objects, clock: Clock
) -> None:
    until = clock.ms + DAY_MS
    stored = await put(objects, "k", b"1", lock=Lock("COMPLIANCE", until))
    assert (await objects.delete(ALICE, "bucket", "k")).is_marker  # a marker takes nothing away
    for bypass in (False, True):
        with pytest.raises(AccessDenied):
            await objects.delete(ALICE, "bucket", "k", stored.version_id, bypass=bypass)
    clock.seconds += 24 * 3600
    await objects.delete(ALICE, "bucket", "k", stored.version_id)


async def test_governance_gives_way_to_who_may_pass_over_it(objects: Objects, clock: Clock) -> None:
    stored = await put(objects, "k", b"1", lock=Lock("GOVERNANCE", clock.ms + DAY_MS))
    with pytest.raises(AccessDenied):
        await objects.delete(ALICE, "bucket", "k", stored.version_id)
    with pytest.raises(AccessDenied):
        await objects.delete(BOB, "bucket", "k", stored.version_id, bypass=True)
    await objects.delete(ALICE, "bucket", "k", stored.version_id, bypass=True)


async def test_a_legal_hold_has_no_end_and_no_way_around(objects: Objects, clock: Clock) -> None:
    stored = await put(objects, "k", b"1", lock=Lock(legal_hold="ON"))
    clock.seconds += 1e9
    with pytest.raises(AccessDenied):
        await objects.delete(ALICE, "bucket", "k", stored.version_id, bypass=True)
    await set_lock(objects, Lock(legal_hold="OFF"))
    await objects.delete(ALICE, "bucket", "k", stored.version_id)


@pytest.mark.parametrize(
    ("old", "new", "bypass", "allowed"),
    [
        (("GOVERNANCE", 2), ("GOVERNANCE", 3), False, True),
        (("GOVERNANCE", 2), ("GOVERNANCE", 1), False, False),
        (("GOVERNANCE", 2), ("GOVERNANCE", 1), True, True),
        (("GOVERNANCE", 2), ("", 0), True, True),
        (("GOVERNANCE", 2), ("COMPLIANCE", 2), False, False),
        (("COMPLIANCE", 2), ("COMPLIANCE", 3), False, True),
        (("COMPLIANCE", 2), ("COMPLIANCE", 1), True, False),
        (("COMPLIANCE", 2), ("GOVERNANCE", 9), True, False),
        (("COMPLIANCE", 2), ("", 0), True, False),
        (("COMPLIANCE", -1), ("", 0), False, True),
    ],
)
async def test_retention_is_lengthened_freely_and_shortened_by_few(
    objects: Objects, clock: Clock, old: tuple[str, int], new: tuple[str, int], bypass: bool, allowed: bool
) -> None:
    await put(objects, "k", b"1", lock=Lock(old[0], clock.ms + old[1] * DAY_MS))
    change = set_lock(objects, Lock(new[0], clock.ms + new[1] * DAY_MS), bypass=bypass)
    if allowed:
        await change
        return
    with pytest.raises(AccessDenied):
        await change


async def test_a_new_object_gets_the_retention_of_its_bucket(objects: Objects, clock: Clock) -> None:
    await objects.buckets.set_object_lock(ALICE, "bucket", DefaultRetention("GOVERNANCE", days=2))
    assert (await put(objects, "k", b"1")).lock == Lock("GOVERNANCE", clock.ms + 2 * DAY_MS)
    own = Lock("COMPLIANCE", clock.ms + 9)
    assert (await put(objects, "k", b"1", lock=own)).lock == own
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    part = await objects.uploads.put_part(upload, 1, sent(b"x"), Expectation())
    await objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, [NamedPart(1, part.etag)], Wish())
    assert (await objects.find(ALICE, "bucket", "m")).stored.lock.mode == "GOVERNANCE"


@pytest.mark.parametrize("size", [0, 10, BLOCK_BYTES, 3 * BLOCK_BYTES + 17])
@pytest.mark.parametrize("wish", [Encrypt(), MINE], ids=["our key", "the customer's key"])
async def test_an_encrypted_object_is_read_back_and_its_bytes_are_nowhere_on_the_disk(
    objects: Objects, tmp_path: Path, size: int, wish: Encrypt
) -> None:
    data = (b"plain text, easy to find " * (size // 25 + 1))[:size]
    await put(objects, "k", data, encrypt=wish)
    assert await body_of(objects, "k", wish.customer) == data
    await objects._index.commit([])
    on_disk = b"".join(p.read_bytes() for p in [*data_files(tmp_path), *tmp_path.glob("walrus.db*")])
    assert size == 0 or data[:25] not in on_disk
    assert b"k" * 32 not in on_disk


@pytest.mark.parametrize("start", [0, 1, 15, 16, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 33])
async def test_any_range_of_an_encrypted_object_of_parts_is_right(objects: Objects, start: int) -> None:
    bodies = [os.urandom(5 * MIB + 3), os.urandom(1000)]
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish(encrypt=Encrypt()))
    parts = [
        await objects.uploads.put_part(upload, n, sent(body), Expectation())
        for n, body in enumerate(bodies, 1)
    ]
    named = [NamedPart(p.number, p.etag) for p in parts]
    await objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, named, Wish())
    whole = b"".join(bodies)
    async with objects.opened(ALICE, "bucket", "m") as found:
        key = objects.keys.open(found.stored.encryption, None)
        for low, high in ((start, start + 50), (start, len(whole)), (5 * MIB - 7 + start % 9, 5 * MIB + 20)):
            got = b"".join([bytes(p) async for p in objects.read(found, low, high, key)])
            assert got == whole[low:high]


async def test_another_key_or_none_opens_nothing(objects: Objects) -> None:
    await put(objects, "k", b"secret", encrypt=MINE)
    with pytest.raises(InvalidRequest):
        await body_of(objects, "k")
    with pytest.raises(InvalidRequest):
        await body_of(objects, "k", CustomerKey.of(b"x" * 32))
    with pytest.raises(InvalidRequest):
        await body_of(objects, "k", CustomerKey(b"x" * 32, CustomerKey.of(b"k" * 32).md5))
    await put(objects, "plain", b"open")
    with pytest.raises(InvalidRequest):
        await body_of(objects, "plain", MINE.customer)


async def test_without_the_master_key_nothing_opens(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "k", b"secret", encrypt=Encrypt())
    async with opened_objects(tmp_path, sealer=Sealer(b"another" + bytes(25))) as objects:
        with pytest.raises(SealError):
            await body_of(objects, "k")


@pytest.mark.parametrize("size", [100, 20_000])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, Encrypt()),
        (Encrypt(), None),
        (MINE, Encrypt()),
        (Encrypt(), Encrypt(CustomerKey.of(b"z" * 32))),
    ],
)
async def test_a_copy_is_encrypted_as_the_copy_asks(
    objects: Objects, size: int, first: Encrypt | None, second: Encrypt | None
) -> None:
    data = os.urandom(size)
    await put(objects, "k", data, encrypt=first)
    async with objects.opened(ALICE, "bucket", "k") as source:
        customer = first.customer if first else None
        await objects.copy(ALICE, source, "bucket", "copy", Wish(encrypt=second), customer)
    assert await body_of(objects, "copy", second.customer if second else None) == data
    assert await body_of(objects, "k", first.customer if first else None) == data


@pytest.mark.parametrize("at", [0, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5])
async def test_a_flipped_bit_is_never_given_out(objects: Objects, tmp_path: Path, at: int) -> None:
    data = os.urandom(2 * BLOCK_BYTES + 6)
    await put(objects, "k", data)
    [file] = data_files(tmp_path)
    raw = bytearray(file.read_bytes())
    raw[at] ^= 0x10
    file.write_bytes(raw)
    got = bytearray()

    async def read_all(found: Found) -> None:
        async for piece in objects.read(found, 0, len(data)):
            got.extend(piece)

    async with objects.opened(ALICE, "bucket", "k") as found:
        with pytest.raises(DamagedObject):
            await read_all(found)
        assert got == data[: at // BLOCK_BYTES * BLOCK_BYTES]
        got.clear()
        with pytest.raises(DamagedObject):
            await read_all(found)
    assert not got  # kept aside: the second answer does not even begin
    [damage] = objects.quarantine.all()
    assert (damage.key, damage.offset_bytes) == ("k", at // BLOCK_BYTES * BLOCK_BYTES)
    await put(objects, "k", b"new")
    assert await body_of(objects, "k") == b"new"


@pytest.mark.parametrize("cut", [0, BLOCK_BYTES, BLOCK_BYTES + 1])
async def test_a_file_that_lost_its_end_is_damaged_there(objects: Objects, tmp_path: Path, cut: int) -> None:
    await put(objects, "k", os.urandom(BLOCK_BYTES + 2))
    [file] = data_files(tmp_path)
    os.truncate(file, cut)
    with pytest.raises(DamagedObject):
        await body_of(objects, "k")


async def test_a_flipped_bit_of_a_small_object_is_found(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "k", b"small")

        await objects._index.commit([Statement("UPDATE blob SET bytes = ?", (b"smalm",))])
        with pytest.raises(DamagedObject):
            await body_of(objects, "k")


async def scrubbed(objects: Objects) -> int:
    await objects.scrub.begin()
    while not objects.scrub.is_done:
        await objects.scrub.step(BLOCK_BYTES)
    return objects.scrub.round.damaged


async def test_a_scrub_finds_what_nobody_reads_and_the_quarantine_outlives_a_restart(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        for n in range(5):
            await put(objects, f"large{n}", os.urandom(BLOCK_BYTES + n))
            await put(objects, f"small{n}", b"small")
        assert await scrubbed(objects) == 0
        found = await objects.find(ALICE, "bucket", "large3")
        file = tmp_path / "objects" / found.pieces[0].file
        whole = file.read_bytes()
        file.write_bytes(b"X" + whole[1:])
        lost = await objects.find(ALICE, "bucket", "large1")
        (tmp_path / "objects" / lost.pieces[0].file).unlink()
        small = (await objects.find(ALICE, "bucket", "small2")).stored.generation
        await objects._index.commit(
            [Statement("UPDATE blob SET bytes = ? WHERE generation = ?", (b"x", small))]
        )
        assert await scrubbed(objects) == 3
    async with opened_objects(tmp_path) as objects:
        assert {d.key for d in objects.quarantine.all()} == {"large1", "large3", "small2"}
        with pytest.raises(DamagedObject):
            await body_of(objects, "large3")
        file.write_bytes(whole)
        await objects.delete(ALICE, "bucket", "large1")
        assert await scrubbed(objects) == 1
        assert await body_of(objects, "large3") == whole
    async with opened_objects(tmp_path) as objects:
        assert {d.key for d in objects.quarantine.all()} == {"small2"}


async def test_a_scrub_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        for n in range(6):
            await put(objects, f"k{n}", os.urandom(20_000))
        await objects.scrub.begin()
        before = await objects.scrub.step(30_000)
    async with opened_objects(tmp_path) as objects:
        assert objects.scrub.round == before
        assert (before.started_ms > 0, before.checked_bytes) == (True, 40_000)
        while not objects.scrub.is_done:
            await objects.scrub.step(30_000)
        assert objects.scrub.round.checked_bytes == 120_000


async def test_a_file_of_before_there_were_checksums_gets_them(objects: Objects, tmp_path: Path) -> None:
    await put(objects, "k", os.urandom(20_000))
    await objects._index.commit([Statement("UPDATE piece SET crcs = x''")])
    assert await scrubbed(objects) == 0
    [file] = data_files(tmp_path)
    file.write_bytes(bytes(20_000))
    assert await scrubbed(objects) == 1
