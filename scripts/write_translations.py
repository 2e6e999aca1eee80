"""Bring the catalogs of the console up to date with its templates, and make the .mo that gettext reads.

    python scripts/write_translations.py

New texts come into the .po without a translation: write it there, and run this again. Needs Babel.
"""

import re
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

CONSOLE = Path(__file__).parent.parent / "euca_box" / "api" / "console"
TEXT = re.compile(r"""\b_\('((?:[^'\\]|\\.)*)'""")
# What Python code says as a whole sentence; templates translate it by its text.
SAID = re.compile(r'(?:said|error)="([A-Z][^"{}]*\.)"|/[a-z-]*", "([A-Z][^"{}]*\.)"\)')


def texts() -> list[str]:
    found = {t for path in CONSOLE.glob("templates/*.html") for t in TEXT.findall(path.read_text())}
    for path in CONSOLE.glob("*.py"):
        found |= {one or other for one, other in SAID.findall(path.read_text())}
    return sorted(found)


def main() -> None:
    for path in sorted(CONSOLE.glob("locale/*/LC_MESSAGES/console.po")):
        with path.open("rb") as file:
            old = read_po(file)
        kept = {str(m.id): str(m.string) for m in old if m.id and m.string}
        language = path.parent.parent.name
        new = Catalog(locale=language, project="euca-box", fuzzy=False)
        for text in sorted({*texts(), *kept}):
            new.add(text, kept.get(text, ""))
        with path.open("wb") as file:
            write_po(file, new, width=110, omit_header=False, ignore_obsolete=True)
        with path.with_suffix(".mo").open("wb") as file:
            write_mo(file, new)
        missing = [text for text in texts() if not kept.get(text)]
        print(f"{path}: {len(kept)} texts, {len(missing)} without a translation: {missing}")


if __name__ == "__main__":
    main()
