"""The pages of the documentation, and what tests look for in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the page that it is on."""

    page: str
    language: str
    text: str


def name(page: Path) -> str:
    """The page as it is called in a checkout."""
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str = "") -> list[Block]:
    """The fenced blocks of a page, of one language or all."""
    found = [Block(name(page), *each) for each in _FENCE.findall(page.read_text())]
    return [each for each in found if not language or each.language == language]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def inline(text: str) -> list[str]:
    """What stands between backticks."""
    return _INLINE.findall(text)


def links(page: Path) -> list[str]:
    """The targets of the links and pictures of a page."""
    return _LINK.findall(_INLINE.sub("", prose(page)))


def anchors(page: Path) -> set[str]:
    """What its headings can be linked by."""
    return {_anchor(heading) for heading in _HEADING.findall(prose(page))}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of a page, up to the next one."""
    pieces = _HEADING.split(page.read_text())[1:]
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of all tables in a text, without their heads."""
    body = False
    for line in text.splitlines():
        if not line.startswith("|"):
            body = False
        elif set(line) <= set("|- "):
            body = True
        elif body:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def code(cell: str) -> str:
    """The whole cell as code, without its backticks; empty if it is not code alone."""
    found = _INLINE.fullmatch(cell)
    return found[1] if found else ""
