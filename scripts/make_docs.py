"""The documentation as pages: build/docs/*.html, from docs/, README.md and CHANGELOG.md.

    python scripts/make_docs.py

Links between the files become links between the pages; one that leads nowhere is an error.
"""

import html
import re
import sys
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
OUT = ROOT / "build" / "docs"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – euca-box</title><style>
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif }}
pre {{ overflow: auto; padding: .8rem; background: #f3f3f3 }} code {{ font-size: .9em }}
table {{ border-collapse: collapse; display: block; overflow: auto }}
td, th {{ padding: .2rem .6rem; border: 1px solid #ccc }} nav a {{ margin-right: 1rem }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #111; color: #ddd }} pre {{ background: #222 }} a {{ color: #8cf }}
}}
</style></head><body><nav>{nav}</nav><main>{body}</main></body></html>
"""


def sources() -> list[Path]:
    first = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*first, *sorted(ROOT.glob("docs/**/*.md")), ROOT / "benchmarks" / "README.md"]


def page_of(path: Path) -> str:
    return "-".join(path.relative_to(ROOT).with_suffix("").parts).lower() + ".html"


def anchor_of(heading: str) -> str:
    """As GitHub makes them."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower()).replace(" ", "-")


def anchors_of(path: Path) -> set[str]:
    return {anchor_of(m[1]) for m in re.finditer(r"^#{1,6} (.+)$", path.read_text(), re.MULTILINE)}


def broken_links() -> list[str]:
    """Links of a page to files and headings that are not there."""
    found = []
    for path in sources():
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            other = (path.parent / name).resolve() if name else path
            if not other.exists() or (anchor and other.suffix == ".md" and anchor not in anchors_of(other)):
                found.append(f"{path.relative_to(ROOT)}: {target}")
    return found


def main() -> None:
    if broken := broken_links():
        sys.exit("links that lead nowhere:\n" + "\n".join(broken))
    OUT.mkdir(parents=True, exist_ok=True)
    pages = sources()
    names = {path.resolve(): page_of(path) for path in pages}
    nav = "".join(
        f'<a href="{page_of(p)}">{html.escape(p.stem)}</a>' for p in pages if p.parent.name != "design"
    )
    for path in pages:
        body = MarkdownIt("commonmark").enable("table").render(path.read_text())
        body = re.sub(r"<(h[1-6])>(.*?)</\1>", _with_anchor, body)
        body = re.sub(r'href="([^":]+?\.md)(#[^"]*)?"', lambda m, p=path: _linked(m, p, names), body)
        (OUT / page_of(path)).write_text(PAGE.format(title=html.escape(path.stem), nav=nav, body=body))
    (OUT / "index.html").write_text((OUT / page_of(ROOT / "README.md")).read_text())
    print(f"{len(pages)} pages in {OUT}")


def _with_anchor(match: re.Match[str]) -> str:
    text = re.sub(r"<[^>]+>", "", match[2])
    return f'<{match[1]} id="{anchor_of(html.unescape(text))}">{match[2]}</{match[1]}>'


def _linked(match: re.Match[str], path: Path, names: dict[Path, str]) -> str:
    target = names.get((path.parent / match[1]).resolve(), match[1])
    return f'href="{target}{match[2] or ""}"'


if __name__ == "__main__":
    main()
