"""What an edit did to a file, from any of the shapes in which edits are reported."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from observations.providers.offline import paths
from observations.providers.offline.calls import Call, list_at, text_at
from observations.providers.offline.code import Symbol, enclosing
from observations.providers.offline.listings import Listing, listing_of
from observations.providers.offline.wording import plain

_LOOKED_AT = 12_000  # characters of a new or old text
_BEFORE = 6_000  # characters before a change in which what encloses it is looked for
_RANGE = re.compile(r"\s*edit (\d+):(\d+)\b")
_REJECTED = re.compile(
    r"\A\s*(?:Your proposed edit has introduced|String to replace not found|File has not been read)"
    r"|Your changes have NOT been applied"
)
_ERROR = re.compile(r"^\s*- (\S[^\n]+)$", re.MULTILINE)
_FILE = re.compile(
    r"diff --git a/.+ b/(?P<git>.+)|\+\+\+ (?:b/)?(?P<plain>[^\s/].*|/(?!dev/null).*)"
    r"|\*\*\* (?P<verb>Update|Add|Delete) File: (?P<patch>.+)"
)
_HUNK = re.compile(r"@@(?: -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@)?[ \t]?(.*)")
_NAME = re.compile(r"(class|def|fn|func|function|struct|impl|interface|type)\s+([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Change:
    """One edit of one file. `line` is where it is (0: unknown), `around` are the definitions that
    enclose it, the outer one first, `content` is all of a new file's text, as far as it is known.

    `rejected` says why it was not applied.
    """

    path: str
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    around: tuple[Symbol, ...] = ()
    line: int = 0
    created: bool = False
    content: str = ""
    rejected: str = ""

    @property
    def place(self) -> str:
        """The dotted name of what encloses it, or ""."""
        return ".".join(each.name for each in self.around)


def changes_of(call: Call) -> tuple[Change, ...]:
    """The changes that an editing call made or tried to make; () if it names no file."""
    patch = call.text("patch", "input", "text", "diff")
    if "***" in patch or "@@" in patch:
        return () if call.failed else changes_in_diff(patch[:_LOOKED_AT])
    path = _path(call)
    if not path:
        return ()
    if _is_rejected(call):
        return (_rejected(call, path),)
    given = (call.given.get(key) for key in ("content", "file_text"))
    content = next((each for each in given if isinstance(each, str)), None)
    if content is not None:
        return (_written(call, path, content),)
    if cell := call.text("new_source"):
        return (
            Change(path, tuple(line for line in cell[:_LOOKED_AT].split("\n") if line.strip())),
        )
    return tuple(_edited(call, path, old, new) for old, new in _pairs(call.given))


def changes_in_diff(text: str) -> tuple[Change, ...]:
    """The changes in a unified diff, or in the body of an apply-patch call, one a hunk."""
    found: list[Change] = []
    path, created = "", False
    for line in text.split("\n"):
        if file := _FILE.fullmatch(line.rstrip()):
            path = (file["git"] or file["plain"] or file["patch"]).strip()
            created = file["verb"] == "Add" or (created and bool(file["plain"]))
            found.append(Change(path, created=created))
        elif line.startswith("new file mode"):
            created = True
        elif path and (hunk := _HUNK.match(line)):
            found.append(_from_hunk(path, hunk, created))
        elif found and line[:1] in ("+", "-") and not line.startswith(("+++", "---")):
            found[-1] = _with(found[-1], line)
    return tuple(each for each in found if each.added or each.removed)


def merged(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Without the changes that others repeat: of equal additions the one with the removed lines."""
    best: dict[tuple[str, ...], Change] = {}
    for each in changes:
        key = tuple(line.strip() for line in each.added) or each.removed
        old = best.get(key)
        if old is None or (len(each.removed), len(each.place)) > (len(old.removed), len(old.place)):
            best[key] = replace(each, around=_deeper(each, old)) if old else each
    return tuple(best.values())


def _deeper(change: Change, other: Change) -> tuple[Symbol, ...]:
    """What encloses a change, by the better informed of two reports of it.

    A diff knows the class, a listing the function: together they name both.
    """
    outer, inner = change.around, other.around
    if len(outer) == len(inner) == 1 and outer[0].name != inner[0].name and outer[0].is_type:
        return (*outer, *inner)
    return max(outer, inner, key=lambda those: (len(those), any(each.doc for each in those)))


def _path(call: Call) -> str:
    path = call.text("file_path", "notebook_path", "path", "filename", "file", "filePath")
    listed = listing_of(call.output[:600]).path
    return paths.shown(path or listed or text_at(call.answer, "filePath"), call.cwd)


def _is_rejected(call: Call) -> bool:
    return call.failed or bool(_REJECTED.search(call.output[:4000]))


def _rejected(call: Call, path: str) -> Change:
    error = _ERROR.search(call.output) if "ERRORS:" in call.output else None
    reason = error[1] if error else next(iter(call.output.strip().split("\n")), "")
    new = call.text("new_string", "content", "new_source")
    at = _RANGE.match(call.text("old_string"))
    lines = tuple(line for line in new[:_LOOKED_AT].split("\n") if line.strip())
    return Change(path, lines, line=int(at[1][:9]) if at else 0, rejected=reason or "refused")


def _written(call: Call, path: str, content: str) -> Change:
    content = plain(content[:_LOOKED_AT])
    before = call.answer.get("originalFile")
    if isinstance(before, str) and before:
        added, removed = _difference(plain(before[:_LOOKED_AT]), content)
        return Change(path, added, removed)
    lines = tuple(line for line in content.split("\n") if line.strip())
    return Change(path, lines, created=text_at(call.answer, "type") != "update", content=content)


def _edited(call: Call, path: str, old: str, new: str) -> Change:
    at = _RANGE.match(old)
    if at:
        return _numbered(call, path, int(at[1][:9]), new)
    added, removed = _difference(old, new)
    original = call.answer.get("originalFile")
    whole = original if isinstance(original, str) else ""
    start = whole.find(old) if old else -1
    if start < 0:
        return Change(path, added, removed, _within(new, added))
    lines = plain(whole[max(0, start - _BEFORE) : start])
    before = f"{lines}{_unchanged(old, new)}"
    around = enclosing(before, _column(before, added or removed))
    return Change(path, added, removed, around, whole.count("\n", 0, start) + 1)


def _numbered(call: Call, path: str, line: int, new: str) -> Change:
    """An edit by line numbers, whose result shows the file as it is now."""
    listing = listing_of(call.output)
    shown = listing.text
    lines = (each for each in plain(new[:_LOOKED_AT]).split("\n") if each.strip())
    added = tuple(each for each in lines if not shown or each.strip() in shown)
    before = "\n".join(listing.text.split("\n")[: max(line - listing.first, 0)])
    whole = line == 1 and len(added) >= _filled(listing)
    return Change(
        (listing.path and paths.shown(listing.path, call.cwd)) or path,
        added,
        around=() if whole else enclosing(before, _indent(added)),
        line=line,
        created=whole,
        content=listing.text if whole else "",
    )


def _filled(listing: Listing) -> int:
    return sum(1 for line in listing.text.split("\n") if line.strip())


def _pairs(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in (given, *list_at(given, "edits", 20)):
        if isinstance(each, dict):
            old, new = (
                text_at(each, "old_string", "old_str"),
                text_at(each, "new_string", "new_str"),
            )
            if old or new:
                yield plain(old[:_LOOKED_AT]), plain(new[:_LOOKED_AT])


def _difference(old: str, new: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines that only the new and only the old text have, in their order."""
    before, after = old.split("\n"), new.split("\n")
    gone, come = Counter(before), Counter(after)
    return tuple(_beyond(after, gone)), tuple(_beyond(before, come))


def _beyond(lines: Sequence[str], known: Counter[str]) -> Iterator[str]:
    left = Counter(known)
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
        elif line.strip():
            yield line


def _unchanged(old: str, new: str) -> str:
    """The lines at the head that the two texts share."""
    shared = []
    for before, after in zip(old.split("\n"), new.split("\n"), strict=False):
        if before != after:
            break
        shared.append(before + "\n")
    return "".join(shared)


def _within(new: str, added: Sequence[str]) -> tuple[Symbol, ...]:
    """What encloses the first added line, as far as the new text alone shows it."""
    start = new.find(added[0]) if added else -1
    return enclosing(new[:start], _indent(added)) if start > 0 else ()


def _column(before: str, lines: Sequence[str]) -> int:
    """How far the first of these lines is indented, if they follow `before` in the file."""
    open_line = before[before.rfind("\n") + 1 :]
    indent = len(open_line) - len(open_line.lstrip())
    return indent + (0 if open_line.strip() else _indent(lines))


def _indent(lines: Sequence[str]) -> int:
    return min((len(line) - len(line.lstrip()) for line in lines), default=0)


def _from_hunk(path: str, hunk: re.Match[str], created: bool) -> Change:
    name = _NAME.search(hunk[3])
    return Change(
        path,
        around=(Symbol(name[2], name[1], "", "", 0),) if name else (),
        line=int(hunk[2][:9]) if hunk[2] else 0,
        created=created or hunk[1] == "0",
    )


def _with(change: Change, line: str) -> Change:
    text = line[1:]
    if not text.strip():
        return change
    if line[0] == "+":
        return replace(change, added=(*change.added, text))
    return replace(change, removed=(*change.removed, text))
