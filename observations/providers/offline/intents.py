"""What an edit was for, judged by its lines: its type, the names that it touches, its title."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from observations.providers.offline import paths
from observations.providers.offline.changes import Change
from observations.providers.offline.code import Symbol, comment, definitions, telling
from observations.providers.offline.wording import (
    clip,
    first_sentence,
    is_prose,
    line_of,
    listed,
    words_of,
)

_FIELD = re.compile(
    r"^\s*(?:self\.|this\.|const |let |var |final |static |public |private |readonly )*"
    r"([A-Za-z_]\w*)\s*(?::\s*[^=\n]{1,60})?(?:=(?!=)|$|:=)"
)
_ANNOTATED = re.compile(r"^\s*([A-Za-z_]\w*)\s*:\s*\S")
_TRAILING = re.compile(r"\s(?:#|//|--)\s*(\S.*)$")
_WORD = re.compile(r"[A-Za-z_]\w*")
_SIGNATURE = re.compile(r"\b(?:def|fn|func|function)\s+(\w+)\s*\(([^)]*)")
_PARAMETER = re.compile(r"(?:^|,)\s*(?:\*{0,2}|&|mut )*([A-Za-z_]\w*)")
_REPAIR = re.compile(
    r"\b(?:fix(?:e[sd])?|bug|wrong|incorrect(?:ly)?|broken|crash(?:es)?|regression|workaround|"
    r"off.by.one|edge.case|avoid|prevent|guard against|issue #?\d+|leak|race|deadlock)\b",
    re.I,
)
_GUARD = re.compile(
    r"\b(?:is not None|is None|!= null|=== null|== nil|!= nil|abs\(|round\(|max\(|min\(|strip\(|"
    r"except\b|catch\b|% \d+|hasattr|\.get\(|\?\.|\?\?|or \[\]|or \{\}|or \"\")"
)
_WRAPPED = re.compile(r"\b(?:abs|round)\(|\bexcept\b|\bcatch\b")
_KEYWORDS = words_of(
    "self this cls def class return if else elif for while in not and or is None True "
    "False import from as with try except finally raise lambda yield await async new null "
    "true false undefined const let var function public private static void int str float "
    "bool list dict set tuple print len range type object string number"
)


@dataclass(frozen=True, slots=True)
class Names:
    """The symbols that an edit added and removed, the other names that it brought in."""

    added: tuple[Symbol, ...] = ()
    removed: tuple[Symbol, ...] = ()
    fields: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    used: tuple[str, ...] = ()


def names_in(made: Sequence[Change]) -> Names:
    """The names that a group of changes brings in or takes out."""
    come = [each for change in made for each in definitions("\n".join(change.added))]
    gone = [each for change in made for each in definitions("\n".join(change.removed))]
    old, new = {each.name for each in gone}, {each.name for each in come}
    return Names(
        added=tuple(each for each in come if each.name not in old),
        removed=tuple(each for each in gone if each.name not in new),
        fields=tuple(dict.fromkeys(name for each in made for name in _fields(each))),
        parameters=tuple(pair for each in made for pair in _parameters(each)),
        used=tuple(dict.fromkeys(name for each in made for name in _used(each))),
    )


def kind_of(made: Sequence[Change], names: Names) -> str:
    """The type of observation that the changes make."""
    files = {each.path for each in made}
    if all(paths.kind(name) in ("prose", "data") or paths.is_test(name) for name in files):
        return "change"
    if all(each.created for each in made):
        return "change" if all(map(paths.is_scratch, files)) or not names.added else "feature"
    if any(_REPAIR.search(words) for each in made for words in _words(each)):
        return "bugfix"
    if names.added and names.removed:
        return "refactor"
    if names.added or names.fields or names.parameters:
        return "feature"
    if _is_repair(made):
        return "bugfix"
    added, removed = (
        sum(len(getattr(each, name)) for each in made) for name in ("added", "removed")
    )
    return "refactor" if removed > added else "change"


def wording_of(made: Sequence[Change], names: Names, file: str) -> str:
    """A title for changes of files that were there before."""
    first = made[0]
    place = next((each.place for each in made if each.place), "")
    where = f"{place} in {file}" if place else file
    if len(names.added) == len(names.removed) == 1:
        return f"{names.removed[0].path} became {names.added[0].path} in {file}"
    if names.added:
        what = listed([each.path for each in names.added], 3)
        return f"{place} gains {what} in {file}" if place else f"{file} gains {what}"
    words = next((words for each in made for words in _words(each)), "")
    if names.parameters and not words:
        owner, _ = names.parameters[0]
        new = listed([name for of, name in names.parameters if of == owner], 3)
        return f"{owner} takes {new} in {file}"
    if names.fields and place:
        return f"{place} gains {listed(names.fields, 3)} in {file}"
    if names.removed:
        return f"{listed([each.path for each in names.removed], 3)} removed from {file}"
    if words:
        return f"{where}: {words}"
    if paths.kind(first.path) == "data" and not first.removed:
        return f"{file} gains {_line(first, names).rstrip(' ,')}"
    return f"{where}: {_line(first, names)}"


def _line(change: Change, names: Names) -> str:
    """The line that stands for a change of a few lines."""
    if not change.added:
        return f"{clip(change.removed[0], 70)} removed"
    if change.added[0].startswith("#") and paths.kind(change.path) == "prose":
        return change.added[0].lstrip("# ")
    if paths.kind(change.path) == "prose":
        return first_sentence(" ".join(change.added), 80)
    full = telling(change.added, 6) or change.added
    using = [line for line in full if any(name in line for name in names.used)]
    return clip((using or full)[-1], 80)


def _words(change: Change) -> Iterator[str]:
    """What new comments say."""
    for line in change.added:
        if (text := comment(line)) is None:
            found = _TRAILING.search(line)
            text = found[1] if found else ""
        if text and is_prose(text, 3):
            yield line_of(text)


def _fields(change: Change) -> Iterator[str]:
    """New names at the level of a class or a module: fields, constants, settings."""
    before = {
        match[1]
        for line in change.removed
        if (match := _ANNOTATED.match(line) or _FIELD.match(line))
    }
    holder = change.place.rpartition(".")[2]
    if not holder[:1].isupper() or change.created:
        return
    for line in change.added:
        match = _ANNOTATED.match(line) or _FIELD.match(line)
        if match and match[1] not in before and match[1] not in _KEYWORDS:
            yield match[1]


def _parameters(change: Change) -> Iterator[tuple[str, str]]:
    """Parameters that functions gained, with their functions."""
    old = {m[1]: m[2] for m in _SIGNATURE.finditer("\n".join(change.removed))}
    for match in _SIGNATURE.finditer("\n".join(change.added)):
        if match[1] in old:
            known = set(_PARAMETER.findall(old[match[1]]))
            yield from (
                (match[1], name) for name in _PARAMETER.findall(match[2]) if name not in known
            )


def _used(change: Change) -> Iterator[str]:
    """Names in the new lines that the old ones had not."""
    old = set(_WORD.findall(" ".join(change.removed)))
    for line in change.added:
        yield from (
            w for w in _WORD.findall(line) if w not in old and w not in _KEYWORDS and len(w) > 2
        )


def _is_repair(made: Sequence[Change]) -> bool:
    """Whether small changes of code put a guard or a correction around what was there."""
    if sum(len(each.added) for each in made) > 8:
        return False
    if not any(each.removed for each in made):
        return any(_WRAPPED.search(line) for each in made for line in each.added if each.line)
    return any(
        _GUARD.search(line) and not _GUARD.search(" ".join(each.removed))
        for each in made
        for line in each.added
    )
