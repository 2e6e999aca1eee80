"""What every engine for the rows of objects promises."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from euca_box.model.acls import PRIVATE, Acl, CannedAcl
from euca_box.model.bucket_settings import PublicAccessBlock
from euca_box.model.notifications import Notice
from euca_box.model.object_lock import Lock
from euca_box.model.s3_errors import InvalidArgument
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.index import Measure, ObjectIndex
from euca_box.objects.intake import Content
from euca_box.objects.rows import (
    ENABLED,
    SUSPENDED,
    Bucket,
    Checksum,
    Damage,
    Owner,
    Part,
    Piece,
    StoredObject,
    Upload,
)
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.objects.version_ids import new_version_id
from euca_box.objects.version_listing import CURRENT, MARKER, OLDER
from euca_box.roles.walrus.role import MIGRATIONS
from euca_box.store.sqlite_store import open_store
from euca_box.store.store import Conflict

pytestmark = pytest.mark.anyio

PUBLIC_READ = Acl(CannedAcl.PUBLIC_READ)
ALICE = Owner("111122223333", "a" * 64, "alice")
BUCKET = Bucket("b", ALICE, 1000, "", PRIVATE)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sqlite"])
async def index(request: Any, tmp_path: Path) -> AsyncIterator[ObjectIndex]:
    store = await open_store(tmp_path / "walrus.db", MIGRATIONS)
    index: ObjectIndex = SqliteIndex(store)
    await index.commit(index.buckets.put(BUCKET))
    yield index
    await store.close()


def version(key: str, generation: int, versioning: str = "", **facts: Any) -> StoredObject:
    given = {"size_bytes": 4, "etag": f"{generation:032x}", "modified_ms": 5000 + generation, "acl": PRIVATE}
    version_id = new_version_id(generation) if versioning == ENABLED else "null"
    return StoredObject("b", key, generation, owner=ALICE, version_id=version_id, **given | facts)


async def put(
    index: ObjectIndex,
    key: str,
    generation: int,
    versioning: str = "",
    content: Content | None = None,
    conditions: Conditions = NO_CONDITIONS,
    **facts: Any,
) -> StoredObject:
    stored = version(key, generation, versioning, **facts)
    content = content or Content(4, inline=b"data")
    await index.commit(index.versions.put(stored, content, versioning, conditions))
    return stored


async def put_marker(index: ObjectIndex, key: str, generation: int, versioning: str) -> StoredObject:
    marker = version(key, generation, versioning, size_bytes=0, etag="", is_marker=True)
    await index.commit(index.versions.delete(("b", key), versioning, NO_CONDITIONS, marker))
    return marker


async def versioned(index: ObjectIndex, status: str = ENABLED) -> None:
    await index.commit(index.buckets.change("b", "versioning", status))


async def generations(index: ObjectIndex, key: str) -> list[int]:
    page = await index.versions.version_page("b", key, "", "", "", 100)
    return [listed.generation for listed in page.versions if listed.key == key]


def file_content(*names: str) -> Content:
    return Content(4 * len(names), pieces=tuple(Piece(name, 4, b"crcs", b"nonce") for name in names))


async def test_a_version_comes_back_as_it_was_put(index: ObjectIndex) -> None:
    facts = {
        "headers": {"content-type": "text/plain", "x-amz-meta-ü": "ü"},
        "tags": {"a": "b"},
        "checksum": Checksum("CRC32", "AAAAAA=="),
        "sha256": "f" * 64,
        "storage_class": "GLACIER",
        "encryption": "sealed",
    }
    stored = await put(index, "k\U0001f600", 7, **facts)
    found = await index.versions.find("b", "k\U0001f600")
    assert found is not None
    assert (found.stored, found.inline) == (stored, b"data")
    large = await put(index, "large", 8, content=file_content("aa/1", "aa/2"))
    found = await index.versions.find("b", "large")
    assert found is not None
    assert (found.stored, found.inline, [piece.file for piece in found.pieces]) == (
        large,
        None,
        ["aa/1", "aa/2"],
    )
    assert await index.versions.files() == {"aa/1", "aa/2"}
    assert await index.versions.newest_generation() == 8
    assert await index.versions.find("b", "absent") is None


async def test_replacing_and_deleting_tell_which_data_is_let_go(index: ObjectIndex) -> None:
    await put(index, "k", 1, content=file_content("aa/1"))
    newer = version("k", 2)
    done = await index.commit(index.versions.put(newer, file_content("aa/2"), "", NO_CONDITIONS))
    assert done.released == {1: ["aa/1"]}
    done = await index.commit(index.versions.delete(("b", "k"), "", NO_CONDITIONS, version("k", 3)))
    assert done.released == {2: ["aa/2"]}
    assert await index.versions.find("b", "k") is None
    await put(index, "x", 4, content=file_content("aa/4"))
    await put(index, "y", 5)
    done = await index.commit(index.versions.delete_plain("b", ["x", "y", "absent"]))
    assert done.released == {4: ["aa/4"]}


async def test_a_commit_is_done_wholly_or_not_at_all(index: ObjectIndex) -> None:
    first = index.versions.put(version("one", 1), Content(4, inline=b"data"), "", NO_CONDITIONS)
    refused = index.versions.put(
        version("two", 2), Content(4, inline=b"data"), "", Conditions(match="0" * 32)
    )
    with pytest.raises(Conflict):
        await index.commit([*first, *refused])
    assert await index.versions.find("b", "one") is None


async def test_a_change_is_refused_without_its_bucket_or_when_versioning_changed(index: ObjectIndex) -> None:
    stored = replace(version("k", 1), bucket="absent")
    with pytest.raises(Conflict):
        await index.commit(index.versions.put(stored, Content(0, inline=b""), "", NO_CONDITIONS))
    await versioned(index)
    for change in (
        index.versions.put(version("k", 2), Content(0, inline=b""), "", NO_CONDITIONS),
        index.versions.delete(("b", "k"), "", NO_CONDITIONS, version("k", 3)),
        index.versions.delete_plain("b", ["k"]),
    ):
        with pytest.raises(Conflict):
            await index.commit(change)


async def test_conditions_are_asked_inside_the_commit(index: ObjectIndex) -> None:
    none, any_etag = Conditions(none_match="*"), Conditions(match="*")
    with pytest.raises(Conflict):
        await put(index, "k", 1, conditions=any_etag)
    stored = await put(index, "k", 2, conditions=none)
    with pytest.raises(Conflict):
        await put(index, "k", 3, conditions=none)
    with pytest.raises(Conflict):
        await put(index, "k", 3, conditions=Conditions(match="0" * 32))
    await put(index, "k", 4, conditions=Conditions(match=stored.etag))
    for wrong in (Conditions(match=stored.etag), Conditions(size_bytes=5), Conditions(generation=2)):
        with pytest.raises(Conflict):
            await index.commit(index.versions.delete(("b", "k"), "", wrong, version("k", 5)))
    right = Conditions(size_bytes=4, modified_second=5, generation=4)
    await index.commit(index.versions.delete(("b", "k"), "", right, version("k", 6)))
    await index.commit(index.versions.delete(("b", "k"), "", right, version("k", 7)))  # it is gone


async def test_older_versions_and_markers_are_found_by_their_id(index: ObjectIndex) -> None:
    null = await put(index, "k", 1)
    await versioned(index)
    second = await put(index, "k", 2, ENABLED)
    marker = await put_marker(index, "k", 3, ENABLED)
    assert await index.versions.find("b", "k") is None
    assert await index.versions.find_marker("b", "k") == marker
    assert await index.versions.has_any("b", "k")
    for stored in (null, second, marker):
        found = await index.versions.find_version("b", "k", stored.version_id)
        assert found is not None
        assert found.stored == stored
    assert await index.versions.find_version("b", "k", new_version_id(9)) is None
    with pytest.raises(InvalidArgument):
        await index.versions.find_version("b", "k", "no id")


async def test_the_newest_version_left_becomes_the_current_one(index: ObjectIndex) -> None:
    await versioned(index)
    first, second = await put(index, "k", 1, ENABLED), await put(index, "k", 2, ENABLED, file_content("aa/2"))
    done = await index.commit(index.versions.delete_version(second))
    assert done.released == {2: ["aa/2"]}
    found = await index.versions.find("b", "k")
    assert found is not None
    assert found.stored == first
    marker = await put_marker(index, "k", 3, ENABLED)
    assert await index.versions.find("b", "k") is None
    await index.commit(index.versions.delete_version(marker))
    assert await index.versions.find("b", "k") == found
    with pytest.raises(Conflict):
        await index.commit(index.versions.delete_version(second))
    with pytest.raises(Conflict):
        await index.commit(index.versions.delete_version(first, older_only=True))
    with pytest.raises(Conflict):
        await index.commit(index.versions.delete_version(replace(first, lock=Lock(legal_hold="ON"))))


async def test_a_suspended_bucket_has_one_null_version_of_a_key(index: ObjectIndex) -> None:
    await versioned(index)
    await put(index, "k", 1, ENABLED)
    await versioned(index, SUSPENDED)
    await put(index, "k", 2, SUSPENDED, file_content("aa/2"))
    third = index.versions.put(version("k", 3), Content(4, inline=b"data"), SUSPENDED, NO_CONDITIONS)
    assert (await index.commit(third)).released == {2: ["aa/2"]}
    assert await generations(index, "k") == [3, 1]
    await put_marker(index, "k", 4, SUSPENDED)
    assert await generations(index, "k") == [4, 1]


async def test_a_field_is_changed_if_it_is_as_it_was_seen(index: ObjectIndex) -> None:
    await versioned(index)
    stored = await put(index, "k", 1, ENABLED)
    await put(index, "k", 2, ENABLED)
    change = index.versions.change(stored, "acl", PUBLIC_READ.value, PRIVATE.value)
    assert (await index.commit(change)).has_changed
    assert not (await index.commit(change)).has_changed
    found = await index.versions.find_version("b", "k", stored.version_id)
    assert found is not None
    assert found.stored.acl == PUBLIC_READ


async def test_pages_are_in_the_order_of_utf_8_and_seek_past_prefixes(index: ObjectIndex) -> None:
    keys = ["a/1", "a/2", "b", "c/1", "￿", "\U0001f600"]
    for generation, key in enumerate(reversed(keys), 1):
        await put(index, key, generation)
    page = await index.versions.page("b", "", "/", "", 3)
    assert ([listed.key for listed in page.objects], page.prefixes, page.last) == (["b"], ["a/", "c/"], "c/")
    page = await index.versions.page("b", "", "/", "c/", 3)
    assert ([listed.key for listed in page.objects], page.last) == (keys[4:], None)
    page = await index.versions.page("b", "a/", "", "a/1", 1)
    assert ([listed.key for listed in page.objects], page.last) == (["a/2"], None)
    assert len(await index.versions.page("b", "", "", "", 0)) == 0


async def test_a_page_of_versions_goes_on_within_a_key(index: ObjectIndex) -> None:
    await versioned(index)
    for generation in (1, 2, 3):
        await put(index, "k", generation, ENABLED)
    await put_marker(index, "k", 4, ENABLED)
    page = await index.versions.version_page("b", "", "", "", "", 2)
    shown = [(listed.generation, listed.kind, listed.is_latest) for listed in page.versions]
    assert shown == [(4, MARKER, True), (3, OLDER, False)]
    assert page.last is not None
    rest = await index.versions.version_page("b", "", "", *page.last, 5)
    assert [listed.generation for listed in rest.versions] == [2, 1]
    walked = await index.versions.walk("b", "", 0)
    assert [(row.generation, row.kind) for row in walked] == [(4, MARKER), (3, OLDER), (2, OLDER), (1, OLDER)]
    assert [row.generation for row in await index.versions.walk("b", "k", 3)] == [2, 1]
    await put(index, "l", 5, ENABLED)
    assert [(row.key, row.kind) for row in await index.versions.walk("b", "k", 1)] == [("l", CURRENT)]
    assert await index.versions.walk("b", "l", 5) == []


async def test_a_bucket_keeps_its_settings_and_goes_when_it_is_empty(index: ObjectIndex) -> None:
    with pytest.raises(Conflict):
        await index.commit(index.buckets.put(BUCKET))
    block = PublicAccessBlock(block_public_acls=True)
    await index.commit(index.buckets.put_setting("b", block))
    await index.commit(index.buckets.change("b", "acl", PUBLIC_READ.value))
    held = await index.buckets.find("b")
    assert held == replace(BUCKET, acl=PUBLIC_READ, settings={PublicAccessBlock: block})
    assert await index.buckets.all() == [held]
    await index.commit(index.buckets.delete_setting("b", PublicAccessBlock))
    stored = await put(index, "k", 1)
    with pytest.raises(Conflict):
        await index.commit(index.buckets.delete("b"))
    await index.commit(index.versions.delete_version(stored))
    upload = await given_upload(index)
    await index.commit(index.uploads.put_part(upload.upload_id, part(1)))
    assert (await index.commit(index.buckets.delete("b"))).released == {0: ["aa/part1"]}
    assert await index.buckets.find("b") is None
    for change in (
        index.buckets.delete("b"),
        index.buckets.put_setting("b", block),
        index.buckets.change("b", "acl", PRIVATE.value),
    ):
        with pytest.raises(Conflict):
            await index.commit(change)


def part(number: int) -> Part:
    return Part(number, f"aa/part{number}", 4, "e" * 32, Checksum("CRC32", "AAAAAA=="), 6000, b"crcs", b"n")


async def given_upload(index: ObjectIndex, key: str = "k", upload_id: str = "u") -> Upload:
    upload = Upload(upload_id, "b", key, ALICE, ALICE, 5000, PRIVATE, {"content-type": "x/y"}, "", "")
    await index.commit(index.uploads.put(upload))
    return upload


async def test_parts_belong_to_an_open_upload(index: ObjectIndex) -> None:
    upload = await given_upload(index)
    assert await index.uploads.find("b", "k", "u") == upload
    assert await index.uploads.find("b", "other", "u") is None
    for number in (2, 1):
        await index.commit(index.uploads.put_part("u", part(number)))
    again = replace(part(1), file="aa/again")
    assert (await index.commit(index.uploads.put_part("u", again))).released == {0: ["aa/part1"]}
    assert await index.uploads.parts("u", 0, 10) == [again, part(2)]
    assert await index.uploads.parts("u", 1, 10) == [part(2)]
    assert await index.versions.files() == {"aa/again", "aa/part2"}
    assert (await index.commit(index.uploads.delete("u"))).released == {0: ["aa/again", "aa/part2"]}
    for change in (index.uploads.put_part("u", part(3)), index.uploads.delete("u")):
        with pytest.raises(Conflict):
            await index.commit(change)


async def test_an_upload_is_completed_as_its_parts_were_seen(index: ObjectIndex) -> None:
    seen = await given_upload(index)
    await index.commit(index.uploads.put_part("u", part(1)))
    checksum = Checksum("CRC32", "AAAAAA==")
    with pytest.raises(Conflict):
        await index.commit(index.uploads.close(seen, "e", checksum, 7000))
    seen = (await index.uploads.open_in("b"))[0]
    close = index.uploads.close(seen, "e", checksum, 7000)
    done = await index.commit(
        [*close, *index.versions.put(version("k", 1), file_content("aa/part1"), "", NO_CONDITIONS)]
    )
    assert done.released == {0: ["aa/part1"]}
    assert await index.versions.files() == {"aa/part1"}
    completed = await index.uploads.find("b", "k", "u")
    assert completed is not None
    assert (completed.etag, completed.checksum) == ("e", checksum)
    assert await index.uploads.open_in("b") == []
    await index.commit(index.uploads.forget_completed(7000))
    assert await index.uploads.find("b", "k", "u") is not None
    await index.commit(index.uploads.forget_completed(7001))
    assert await index.uploads.find("b", "k", "u") is None


async def test_open_uploads_are_paged_by_key_and_id(index: ObjectIndex) -> None:
    for key, upload_id in (("a/1", "1"), ("k", "3"), ("k", "2"), ("z", "4")):
        await given_upload(index, key, upload_id)
    page = await index.uploads.page("b", "", "/", "", "", 2)
    assert ([u.upload_id for u in page.uploads], page.prefixes, page.last) == (["2"], ["a/"], ("k", "2"))
    page = await index.uploads.page("b", "", "/", "k", "2", 5)
    assert ([u.upload_id for u in page.uploads], page.last) == (["3", "4"], None)


async def test_growth_is_measured_within_the_commit(index: ObjectIndex) -> None:
    async def grown(changes: Any) -> int:
        done = await index.commit(changes, Measure([("b", "k")], ["u"]))
        return done.grown_bytes

    put_it = index.versions.put(version("k", 1), Content(4, inline=b"data"), "", NO_CONDITIONS)
    assert await grown(put_it) == 4
    await given_upload(index)
    assert await grown(index.uploads.put_part("u", part(1))) == 4
    assert await index.versions.held_bytes() == {"b": 8}
    assert await grown(index.uploads.delete("u")) == -4
    assert await grown(index.versions.delete_plain("b", ["k"])) == -4
    assert await grown([]) == 0


async def test_a_scrub_goes_through_all_bytes_and_notes_what_it_finds(index: ObjectIndex) -> None:
    await put(index, "k", 3, content=file_content("aa/3", "aa/4"))
    await put(index, "l", 5)
    assert await index.scrub.progress() == ""
    await index.commit(index.scrub.note_progress("half"))
    assert await index.scrub.progress() == "half"
    following = await index.scrub.next_files(0)
    assert following is not None
    assert (following[0], [(number, piece.file) for number, piece in following[1]]) == (
        3,
        [(0, "aa/3"), (1, "aa/4")],
    )
    assert await index.scrub.next_files(3) is None
    [(generation, data, _)] = await index.scrub.next_blobs(0, 10)
    assert (generation, data) == (5, b"data")
    assert await index.scrub.names(3) == [("b", "k", "null")]
    damage = Damage(3, "b", "k", "null", "aa/3", 0, 9000)
    await index.commit(index.scrub.put_damage(damage))
    await index.commit(index.scrub.forget_gone())
    assert await index.scrub.damages() == [damage]
    await index.commit(index.versions.delete_plain("b", ["k"]))
    await index.commit(index.scrub.forget_gone())
    assert await index.scrub.damages() == []


async def test_crcs_are_noted_where_there_were_none(index: ObjectIndex) -> None:
    await put(index, "k", 3, content=Content(4, pieces=(Piece("aa/3", 4),)))
    for crcs in (b"first", b"later"):
        await index.commit(index.scrub.note_crcs(3, 0, crcs))
    found = await index.versions.find("b", "k")
    assert found is not None
    assert found.pieces[0].crcs == b"first"


async def test_notices_wait_in_their_order_for_each_target(index: ObjectIndex) -> None:
    notices = [
        Notice(target, n, "s3:ObjectCreated:Put", "rule", "b", ALICE.account, 5000, f"k{n}")
        for n, target in ((2, "one"), (1, "one"), (3, "two"))
    ]
    await index.commit(index.notices.put(notices))
    assert await index.notices.next("one", 10) == [notices[1], notices[0]]
    assert await index.notices.next("one", 1) == [notices[1]]
    assert await index.notices.waiting() == {ALICE.account: 3}
    assert await index.notices.targets() == {"one", "two"}
    assert await index.notices.newest() == 3
    for _ in range(2):
        await index.commit(index.notices.delete(notices[1:]))
    assert await index.notices.next("one", 10) == [notices[0]]
    assert await index.notices.targets() == {"one"}


async def test_a_refused_change_leaves_no_notice(index: ObjectIndex) -> None:
    notice = Notice("one", 1, "s3:ObjectCreated:Put", "", "b", ALICE.account, 5000, "k")
    refused = index.versions.put(version("k", 1), Content(0, inline=b""), "", Conditions(match="*"))
    with pytest.raises(Conflict):
        await index.commit([*index.notices.put([notice]), *refused])
    assert await index.notices.next("one", 10) == []
