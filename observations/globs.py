"""Globs of paths: `*` within a part, `**` over parts, `?` one character, `~` any home. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

# A server need not run where its clients do: `~` is the home of whoever works there.
_HOME = r"(?:/home/[^/]+|/Users/[^/]+|/root|[A-Za-z]:/Users/[^/]+)"
_MARKS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_MARK = re.compile(r"\*\*|\*|\?")


@dataclass(frozen=True, slots=True)
class Globs:
    """Some globs; without any, nothing matches.

    One without a slash matches any part of a path by its name; what matches a directory matches all
    that is in it.
    """

    patterns: tuple[str, ...] = ()

    def match(self, path: str, base: str = "") -> bool:
        """Whether a path, or else the path from `base` on, is one of these or within one."""
        if not self.patterns or not path:
            return False
        plain = path.replace("\\", "/").rstrip("/") or "/"
        forms = [plain]
        base = base.replace("\\", "/").rstrip("/")
        if base and plain.startswith(f"{base}/"):
            forms.append(plain[len(base) + 1 :])
        return any(
            _compiled(pattern).fullmatch(form) for pattern in self.patterns for form in forms
        )

    def any(self, paths: Iterable[str], base: str = "") -> bool:
        """Whether one of the paths is."""
        return bool(self.patterns) and any(self.match(path, base) for path in paths)


NO_GLOBS = Globs()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    given = pattern.replace("\\", "/").rstrip("/")
    stem = ""
    if given.startswith("~"):
        stem, given = _HOME, given[1:]
    elif "/" not in given:
        stem = "(?:.*/)?"
    pieces = re.split(f"({_MARK.pattern})", given)
    body = "".join(_MARKS.get(piece, re.escape(piece)) for piece in pieces)
    return re.compile(f"{stem}{body}(?:/.*)?", re.DOTALL)
