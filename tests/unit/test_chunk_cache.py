"""Chunks kept near: up to a limit, and never given out when they are not right."""

from pathlib import Path

from euca_box.blockstore.chunk_cache import ChunkCache
from euca_box.blockstore.chunks import digest_of

KIB = 1024


def opened(folder: Path, limit: int = 10 * KIB) -> ChunkCache:
    cache = ChunkCache(folder / "cache", limit)
    cache.open()
    return cache


def kept(cache: ChunkCache, *data: bytes) -> list[str]:
    for piece in data:
        cache.put(digest_of(piece), piece)
    return [digest_of(piece) for piece in data]


def test_what_was_put_is_had_again_also_by_the_next_process(tmp_path: Path) -> None:
    [name] = kept(opened(tmp_path), b"a" * KIB)
    assert opened(tmp_path).get(name, KIB) == b"a" * KIB


def test_beyond_the_limit_the_one_that_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    cache = opened(tmp_path, 3 * KIB)
    first, second, third = kept(cache, *(letter * KIB for letter in (b"a", b"b", b"c")))
    assert cache.get(first, KIB)
    kept(cache, b"d" * KIB)
    assert cache.get(second, KIB) is None
    assert cache.get(first, KIB)
    assert cache.get(third, KIB)
    assert len(list((tmp_path / "cache").glob("*/*"))) == 3


def test_a_smaller_limit_is_kept_from_the_start(tmp_path: Path) -> None:
    kept(opened(tmp_path), *(bytes([n]) * KIB for n in range(8)))
    opened(tmp_path, 2 * KIB)
    assert len(list((tmp_path / "cache").glob("*/*"))) == 2


def test_what_rotted_or_was_cut_is_not_given_out_and_goes(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    rotten, cut = kept(cache, b"a" * KIB, b"b" * KIB)
    (tmp_path / "cache" / rotten[:2] / rotten).write_bytes(b"A" * KIB)
    (tmp_path / "cache" / cut[:2] / cut).write_bytes(b"b")
    for name in (rotten, cut):
        assert cache.get(name, KIB) is None
    assert list((tmp_path / "cache").glob("*/*")) == []


def test_nothing_is_kept_without_a_limit_or_without_a_folder_to_write_to(tmp_path: Path) -> None:
    [name] = kept(opened(tmp_path, 0), b"a" * KIB)
    assert list((tmp_path / "cache").glob("*/*")) == []
    cache = opened(tmp_path)
    (tmp_path / "cache" / name[:2]).write_text("in the way")
    kept(cache, b"a" * KIB)
    assert cache.get(name, KIB) is None
