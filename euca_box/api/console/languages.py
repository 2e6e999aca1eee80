"""The languages of the console: English is what the templates say, others are gettext catalogs.

`locale/LANGUAGE/LC_MESSAGES/console.po` is what translators write; `scripts/write_translations.py` makes the
`.mo` beside it.
"""

import gettext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "locale"
LANGUAGES = {"en": "English", "de": "Deutsch"}


@dataclass(frozen=True)
class Words:
    language: str
    catalog: gettext.NullTranslations

    def gettext(self, text: str, **values: Any) -> str:
        found = self.catalog.gettext(text)
        return found % values if values else found

    def ngettext(self, one: str, many: str, number: int, **values: Any) -> str:
        return self.catalog.ngettext(one, many, number) % {"num": number, **values}


@cache
def words_of(language: str) -> Words:
    return Words(language, gettext.translation("console", FOLDER, [language], fallback=True))


def translations_of(request: Any) -> Words:
    """By the cookie, or by what the browser asks for."""
    wanted = request.cookies.get("language", "")
    if wanted not in LANGUAGES:
        wanted = request.accept_languages.best_match(list(LANGUAGES)) or "en"
    return words_of(wanted)
