"""Globs of paths: `*` within a part, `**` over parts, `?` one character, `~` any home. Pure."""

import posixpath
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

# A server need not run where its clients do: `~` is the home of whoever works there.
_HOME = r"(?:~|/home/[^/]+|/Users/[^/]+|/root|[A-Za-z]:/Users/[^/]+)"
_MARKS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_MARK = re.compile(r"\*\*|\*|\?")
_BASE_HOME = re.compile(_HOME)
# Homes as commands write them.
_MEANT_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\})(?=/|$)")
_ABSOLUTE = re.compile(r"/|~|[A-Za-z]:/")


@dataclass(frozen=True, slots=True)
class Globs:
    """Some globs; without any, nothing matches.

    One without a slash matches any part of a path by its name; what matches a directory matches all
    that is in it.
    """

    patterns: tuple[str, ...] = ()

    def match(self, path: str, base: str = "") -> bool:
        """Whether a path, however it is written from `base`, is one of these or within one."""
        if not self.patterns or not path:
            return False
        named, full = _forms(path, base)
        return any(
            _matcher(pattern)(form)
            for pattern in self.patterns
            for form in (full if "/" in pattern.rstrip("/\\").replace("\\", "/") else named)
        )

    def any(self, paths: Iterable[str], base: str = "") -> bool:
        """Whether one of the paths is."""
        return bool(self.patterns) and any(self.match(path, base) for path in paths)


NO_GLOBS = Globs()


def _forms(path: str, base: str) -> tuple[list[str], list[str]]:
    """How a path may be written: as it is and from `base` on; and with that from the root on too.

    Names are not looked for in the latter: where the directory lies is said by no such path.
    """
    base = _plain(base) if base else ""
    given = _plain(_at_home(path, base))
    if not base:
        return [given], [given]
    whole = given if _ABSOLUTE.match(given) else _plain(f"{base}/{given}")
    named = [given]
    if whole.startswith(f"{base}/"):
        named.append(whole[len(base) + 1 :])
    return named, [*named, whole]


def _plain(path: str) -> str:
    return posixpath.normpath(path.replace("\\", "/"))


def _at_home(path: str, base: str) -> str:
    """The path in the home of whoever works in `base`, where it says so and that is known."""
    path = path.removeprefix("file://")
    home = _BASE_HOME.match(base)
    return _MEANT_HOME.sub(lambda _: home[0] if home else "~", path, count=1)


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[str], bool]:
    """What says whether a glob matches. It takes no longer for any path: those come from outside,
    and Python's expressions go through a long one in as many ways as it has parts.
    """
    given = pattern.replace("\\", "/").rstrip("/")
    stem = ""
    if given.startswith("~"):
        stem, given = _HOME, given[1:]
    elif "/" not in given:
        stem = "(?:.*/)?"
    pieces = re.split(f"({_MARK.pattern})", given)
    body = "".join(_MARKS.get(piece, re.escape(piece)) for piece in pieces)
    # A tenth of what a command imports, and most installations have no globs.
    from pydantic_core import SchemaValidator
    from pydantic_core import core_schema as schema

    text = schema.str_schema(pattern=rf"\A(?s:{stem}{body}(?:/.*)?)\z", regex_engine="rust-regex")
    return SchemaValidator(text).isinstance_python
