"""The catalogs of the console: nothing is left in English; gettext reads what translators wrote."""

import re
from pathlib import Path

import pytest

from euca_box.api.console.languages import FOLDER, LANGUAGES, words_of

TEMPLATES = FOLDER.parent / "templates"
TEXTS = sorted(
    {t for path in TEMPLATES.glob("*.html") for t in re.findall(r"\b_\('([^']*)'", path.read_text())}
)
OTHERS = [language for language in LANGUAGES if language != "en"]


def test_templates_have_texts_to_translate() -> None:
    assert len(TEXTS) > 200


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_a_translation(language: str) -> None:
    catalog = words_of(language).catalog._catalog  # type: ignore[attr-defined]
    assert [text for text in TEXTS if not catalog.get(text)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_catalog_is_that_of_the_translators(language: str) -> None:
    path: Path = FOLDER / language / "LC_MESSAGES" / "console.po"
    pairs = re.findall(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', path.read_text(), re.MULTILINE)
    joined = {_joined(one): _joined(other) for one, other in pairs}
    catalog = words_of(language).catalog._catalog  # type: ignore[attr-defined]
    assert {k: v for k, v in joined.items() if k} == {k: v for k, v in catalog.items() if k}


@pytest.mark.parametrize("language", OTHERS)
def test_holes_in_texts_stay(language: str) -> None:
    catalog = words_of(language).catalog._catalog  # type: ignore[attr-defined]
    for text, translation in catalog.items():
        if text:
            assert re.findall(r"%\(\w+\)s", text) == re.findall(r"%\(\w+\)s", translation)


def _joined(lines: str) -> str:
    return "".join(line.strip()[1:-1] for line in lines.splitlines()).replace('\\"', '"')
