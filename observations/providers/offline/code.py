"""The symbols in a piece of code.

Line patterns, not parsers: they must cope with fragments of any language, cut anywhere.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observations.providers.offline.wording import line_of, words_of

_MODIFIERS = (
    r"(?:(?:export|default|pub(?:\([^)\n]*\))?|public|private|protected|internal|static|final|"
    r"abstract|async|override|virtual|inline|unsafe|extern|sealed|open|data|suspend|declare|const|"
    r"partial)[ \t]+)*"
)
# These start with the line break before them: a literal start is what makes a pattern fast.
_DEFINITION = re.compile(
    rf"\n(?P<indent>[ \t]*)(?:{_MODIFIERS}"
    r"(?P<kind>def|class|function\*?|func|fn|fun|interface|struct|enum|trait|impl|module|namespace|"
    r"type|record|protocol|object|defmodule|defp|macro_rules!)[ \t]+"
    r"(?:\([^)\n]{0,80}\)[ \t]*)?(?P<name>[A-Za-z_$][\w$]*)(?=[^\n]*[:({=<;]|[ \t]*(?:\n|\Z))"
    r"|(?:export[ \t]+)?(?:const|let|var)[ \t]+(?P<arrow>[A-Za-z_$][\w$]*)"
    r"[^\n=]{0,80}=[ \t]*(?:async[ \t]*)?(?:function\b|\([^\n]{0,200}=>|[A-Za-z_$][\w$]*[ \t]*=>)"
    r"|CREATE[ \t]+(?:OR[ \t]+REPLACE[ \t]+|UNIQUE[ \t]+|TEMP[ \t]+|MATERIALIZED[ \t]+)*"
    r"(?P<sql>TABLE|FUNCTION|INDEX|VIEW|TRIGGER|TYPE|PROCEDURE)[ \t]+"
    r"(?:IF[ \t]+NOT[ \t]+EXISTS[ \t]+)?(?P<made>\w[\w.]*))"
)
_C_FUNCTION = re.compile(
    r"\n(?P<indent>)(?:[A-Za-z_][\w:<>]*[ \t*&]+){1,4}(?P<name>[A-Za-z_][\w:]*)"
    r"\([^;{}\n]{0,200}\)[ \t\n]*\{"
)
_QUOTES = re.compile(r"[rRuUbB]{0,2}(\"\"\"|''')")
_COMMENT = re.compile(r"(?:#[:!]?|///?!?|--|/\*\*?|\*(?!/)|;+)\s?(.*?)(?:\*/)?\s*$")
_EMPTY = re.compile(
    r"[\s\])}({\[,;]*$|\s*(?:pass|return|else:|try:|\"\"\".*|'''.*|begin|end;?|do|done|then|fi)\s*$"
)
_IMPORT = re.compile(r"\s*(?:import|from|use|using|package|#include|require|@)\b|\s*[#/*-]{1,2} ")
_WORD = re.compile(r"[A-Za-z_]\w*")
_IMPORTED = re.compile(r"\s*from\s+([\w.]+)\s+import\s+([\w, ]+)?|\s*import\s+(?:\{\s*)?([\w., ]+)")
_SEAM = re.compile(r"_+|(?<=[a-z])(?=[A-Z])")
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")
_OPERATOR = re.compile(r"[-+*/%<>=!&|^]+|\breturn\b")
_CLOSERS = ")]}{#@'\""  # a line that starts with one of these opens no block of its own
_TYPES = words_of(
    "class interface struct enum trait impl type record protocol object module namespace "
    "defmodule table view"
)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition with the documentation at it; `size` is how many characters it spans."""

    name: str
    kind: str
    owner: str
    doc: str
    size: int

    @property
    def path(self) -> str:
        """The name with its owner's, as readers write it."""
        return f"{self.owner}.{self.name}" if self.owner else self.name

    @property
    def is_type(self) -> bool:
        """Whether it is a class or the like."""
        return self.kind in _TYPES

    @property
    def is_private(self) -> bool:
        """Whether its name says that it is nobody else's business."""
        return self.name.startswith("_")


def definitions(text: str) -> tuple[Symbol, ...]:
    """The symbols that a text of code defines, in its order."""
    text = f"\n{text}"
    found = [*_DEFINITION.finditer(text)]
    if not found and "{" in text:
        found = [*_C_FUNCTION.finditer(text)]
    depths = [len(each["indent"]) for each in found]
    open_types: list[tuple[int, str]] = []
    symbols = []
    for number, each in enumerate(found):
        depth, kind = depths[number], _kind(each)
        while open_types and open_types[-1][0] >= depth:
            open_types.pop()
        owner = open_types[-1][1] if open_types else ""
        end = _end(text, found, depths, number)
        symbols.append(
            Symbol(_name(each), kind, owner, _doc(text, each.start(), end), end - each.start())
        )
        if kind in _TYPES:
            open_types.append((depth, _name(each)))
    return tuple(symbols)


def is_definition(line: str) -> bool:
    """Whether the line starts the definition of a symbol."""
    return bool(_DEFINITION.match(f"\n{line}"))


def _end(text: str, found: Sequence[re.Match[str]], depths: Sequence[int], number: int) -> int:
    """Where the next definition of the same level or a higher one starts."""
    for later in range(number + 1, min(len(found), number + 200)):
        if depths[later] <= depths[number]:
            return found[later].start()
    return len(text)


def by_weight(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Public symbols first, outer before inner ones, types before others, long before short."""
    return tuple(sorted(symbols, key=_weight))


def enclosing(before: str, indent: int) -> tuple[Symbol, ...]:
    """The definitions that are open at the end of `before` for a line that is indented so far.

    The outer one first, two at most; () if they cannot be told.
    """
    lines = before.split("\n")
    found: list[Symbol] = []
    for number in range(len(lines) - 1, -1, -1):
        bare = lines[number].lstrip()
        depth = len(lines[number]) - len(bare)
        if not bare or depth >= indent or bare[0] in _CLOSERS:
            continue
        indent = depth
        if match := _DEFINITION.match(f"\n{lines[number]}"):
            doc = _docstring(lines[number : number + 60]) or _comment_above(lines[:number][-8:])
            found.insert(0, Symbol(_name(match), _kind(match), "", doc, 0))
        if not indent or len(found) == 2:
            break
    return tuple(found)


def telling(lines: Iterable[str], limit: int = 4) -> tuple[str, ...]:
    """The lines of code that do most, in their order: no lone brackets, imports only if alone."""
    full = [line for line in lines if not _EMPTY.match(line) and comment(line) is None]
    body = [line for line in full if not _IMPORT.match(line)] or full
    if len(body) <= limit:
        return tuple(body)
    best = sorted(range(len(body)), key=lambda n: (-_worth(body[n]), n))[:limit]
    return tuple(body[n] for n in sorted(best))


def imported(lines: Iterable[str]) -> tuple[str, ...]:
    """The names that lines import, as they are used."""
    found: list[str] = []
    for line in lines:
        if match := _IMPORTED.match(line):
            names = match[2] or match[1] or match[3]
            found += [name.split(" as ")[-1].strip() for name in names.split(",")]
    return tuple(dict.fromkeys(name for name in found if name.isidentifier()))


def tested(symbols: Iterable[Symbol]) -> list[str]:
    """What tests are named to show, in words."""
    names = (each.name[4:] for each in symbols if each.name.lower().startswith("test"))
    words = (_SEAM.sub(" ", name).strip().lower() for name in names)
    return [each for each in words if " " in each][:6]


def comment(line: str) -> str | None:
    """The words of a line that is nothing but a comment, else None."""
    bare = line.strip()
    if bare[:1] not in ("#", "/", "-", "*", ";"):
        return None
    match = _COMMENT.match(bare)
    return match[1] if match else None


def _weight(symbol: Symbol) -> tuple[bool, bool, bool, int]:
    return symbol.is_private, bool(symbol.owner), not symbol.is_type, -symbol.size


def _worth(line: str) -> int:
    """How much a line does, by its names and operators; definitions count most, long lines less."""
    bare = _STRING.sub("", line)
    names = min(len(_WORD.findall(bare)), 6)
    operators = min(2 * len(_OPERATOR.findall(bare)) + bare.count("("), 10)
    return names + operators + 6 * is_definition(line) - (len(line) > 100) * 4


def _kind(found: re.Match[str]) -> str:
    groups = found.groupdict()
    return str(groups.get("kind") or groups.get("sql") or "function").lower()


def _name(found: re.Match[str]) -> str:
    groups = found.groupdict()
    return groups.get("name") or groups.get("arrow") or groups.get("made") or ""


def _doc(text: str, start: int, end: int) -> str:
    lines = text[start + 1 : min(end, start + 3000)].split("\n")
    return _docstring(lines) or _comment_above(text[max(0, start - 800) : start].split("\n")[1:])


def _docstring(lines: Sequence[str]) -> str:
    """The documentation string that follows a signature, as Python has it."""
    for number, line in enumerate(lines[:12]):
        if line.rstrip().endswith(":"):
            body = "\n".join(lines[number + 1 :]).lstrip()
            match = _QUOTES.match(body)
            return body[match.end() :].partition(match[1])[0].strip() if match else ""
    return ""


def _comment_above(lines: Sequence[str]) -> str:
    """The comment that ends right above a definition, as most other languages have it."""
    words: list[str] = []
    for line in reversed(lines):
        bare = line.strip()
        text = comment(bare)
        if text is None and not bare.startswith("@"):
            break
        if text is not None and not bare.startswith("#["):
            words.insert(0, text)
    return line_of(" ".join(words))
