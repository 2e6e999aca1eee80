"""The catalogue: what is built in, what a site adds, and what is wrong with a file."""

import pytest

from euca_box.images.catalog import CatalogError, read_catalog
from euca_box.images.debian import DebianError, build_debian

DIGEST = "0f" * 32


def test_demo_and_debian_are_built_in(tmp_path):
    found = read_catalog(tmp_path)
    assert {name: entry.recipe for name, entry in found.items()} == {"demo": "demo", "debian-12": "debian"}


def test_a_site_adds_and_replaces(tmp_path):
    (tmp_path / "catalog.toml").write_text(
        f'[tiny]\nurl = "https://example.com/t.xz"\nsha256 = "{DIGEST}"\n[demo]\nrecipe = "debian"\n'
    )
    found = read_catalog(tmp_path)
    assert found["tiny"].how == "https://example.com/t.xz"
    assert found["demo"].recipe == "debian"
    assert "debian-12" in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "catalog.toml"),
        ("x = 1", "no table"),
        ("['../x']\nrecipe = 'demo'", "no table"),
        ("[abc]", "either a url, or a recipe"),
        ("[abc]\nrecipe = 'rm'", "either a url, or a recipe"),
        (f"[abc]\nrecipe = 'demo'\nurl = 'https://x'\nsha256 = '{DIGEST}'", "either a url, or a recipe"),
        ("[abc]\nurl = 'https://x'", "sha256 must be"),
        ("[abc]\nurl = 'https://x'\nsha256 = 'no'", "sha256 must be"),
        (f"[abc]\nurl = 'https://x'\nsha256 = '{DIGEST}'\nkernel = 'https://k'", "kernel_sha256 must be"),
        ("[abc]\nrecipe = 'demo'\ncolour = 'red'", "colour is unknown"),
        ("[abc]\nrecipe = 'debian'\nsize_mib = 'big'", "must be a number"),
        ("[abc]\nrecipe = 1", "must be a text"),
    ],
)
def test_a_mistake_is_said_with_its_place(tmp_path, text, words):
    (tmp_path / "catalog.toml").write_text(text)
    with pytest.raises(CatalogError, match=words):
        read_catalog(tmp_path)


@pytest.mark.parametrize("suite", ["", "--help", "bookworm; id", "../etc"])
def test_a_suite_that_is_no_name_reaches_no_program(tmp_path, suite):
    with pytest.raises(DebianError):
        build_debian(tmp_path, lambda words: None, suite)
