"""Secrets that only their name gives away: `password = "…"`, `API_KEY: …`, `--token …`. ◦

The names are found by a few stems; whether the value is a literal that should not be kept, or code
that merely handles one (`password = getpass()`), is judged by how the two are written.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

from observations.literals import (
    is_mixed,
    is_ordinary,
    is_prose,
    is_random,
    mentions_a_secret,
    secret_kind,
)
from observations.needles import finder
from observations.spans import fold

STEMS = ("pass", "pw", "secret", "token", "key")

_LONGEST = 512  # of a value so much is judged; a longer one goes whole or not at all
_PATIENCE = 4096  # so far its closing quote is looked for
_LINE = 160  # and so much of the line before its name

# Every repetition is possessive or bounded, so that no input makes the search go back far.
_CANDIDATES = {
    stem: re.compile(
        rf"{stem}[\w-]{{0,40}}+(?P<close>\\{{0,3}}+[\"'`]?+\]?+)(?P<left>[ \t]{{0,8}}+)"
        r"(?P<operator>:=|\?=|=>|={1,3}|!={1,2}|:(?!:)|,|>)(?P<right>[ \t]{0,8}+)"
    )
    for stem in STEMS
}
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-."
_OPENING = re.compile(
    r"(?P<prefix>[a-zA-Z@$]{0,2})(?P<escape>\\{0,3}+)(?P<quote>\"{3}|'{3}|[\"'`])"
)
_CONTENT = {
    quote: re.compile(rf"(?:[^{quote}\\\n]|\\.){{0,{_PATIENCE}}}+") for quote in ('"', "'", "`")
}
_ANNOTATION = re.compile(
    r"[&*]?[A-Za-z_][\w.]{0,40}(?:\[[\w\[\], .|]{0,40}\])?(?:[ \t]?\|[ \t]?[\w.]{1,40}){0,3}"
    r"[ \t]{0,8}=[ \t]{0,8}(?=[a-zA-Z]{0,2}[\"'])"
)
_RUN = re.compile(rf"[^\s\"'`,;(){{}}\[\]<>\\|&]{{1,{_LONGEST}}}+")
_WIDE_RUN = re.compile(r"[^\s\"'`\\]++")
_LINE_OPENER = re.compile(
    r"[\s>#*+|$-]*+(?:\d+[\s:|→]\s*)?(?:\S+:)?"
    r"(?:(?:export|set|setx|env|ENV|ARG|declare|local|readonly)\s+)?[\s\"'-]*"
)
_AFTER_A_STRING = re.compile(r"\s|[,;)\]}]|[+%.][\s\w(]|$")
_CHAIN = re.compile(r"[&*!@~+-]*[A-Za-z_]\w*(?:(?:\.|->|\?\.|::)[A-Za-z_]\w*)*[!?]?")
_ARITHMETIC = re.compile(r"[+*/%|^<>=!?]+")
_NUMBER = re.compile(r"[\d.,:xXeE_-]+")
_SIZED_TYPE = re.compile(r"[A-Za-z]{1,8}(?:8|16|32|64|128|256|512)(?:_t)?")
_MACHINE_MADE = re.compile(r"[\w./+=:~%-]+")
_PAIRS = re.compile(r"(?:\w=\S+\s|[?&;])$")
_FLAG = re.compile(
    r"--([A-Za-z][\w-]{1,40}+)[ \t]++"
    r"(?:\"([^\"\n]{1,512})\"|'([^'\n]{1,512})'|([^\s\"'`|;&<>()\[\]{},]{4,512}))"
)


@dataclass(frozen=True, slots=True)
class _Site:
    """A secret's name with an operator behind it, and where the value would begin."""

    kind: str
    name: str
    before: str  # the line up to the name
    closed: bool  # the name ends in a quote: `"password": …`
    operator: str
    tight: bool  # no space on either side of the operator
    at: int

    @property
    def opens_line(self) -> bool:
        return _LINE_OPENER.fullmatch(self.before) is not None

    @property
    def starts_in_column_one(self) -> bool:
        return not self.before[:1].isspace() and self.opens_line


@dataclass(frozen=True, slots=True)
class _Finding:
    kind: str
    start: int
    end: int


_names_a_secret = finder(STEMS)


def may_assign(low: str) -> bool:
    """Whether a folded text names anything by a stem that secrets are named by."""
    return _names_a_secret(low)


def redact_assignments(text: str, removed: Counter[str]) -> str:
    """`text` with the literal values of secret-sounding names replaced, counted by kind."""
    kept: list[str] = []
    done = 0
    for candidate in _candidates(fold(text)):
        if candidate.start() < done:
            continue
        finding = _secret_behind(text, candidate)
        if finding and finding.start >= done:
            kept += text[done : finding.start], f"[redacted:{finding.kind}]"
            done = finding.end
            removed[finding.kind] += 1
    return "".join([*kept, text[done:]]) if kept else text


def redact_flags(text: str, removed: Counter[str]) -> str:
    """`text` with the values of secret-sounding command line flags (`--password x`) replaced."""

    def replace(flag: re.Match[str]) -> str:
        kind, value = secret_kind(flag[1]), flag[flag.lastindex or 0]
        if not kind or not (_is_argument(value) if flag[4] else _is_literal(kind, value)):
            return flag[0]
        removed[kind] += 1
        start, end = (edge - flag.start() for edge in flag.span(flag.lastindex or 0))
        return f"{flag[0][:start]}[redacted:{kind}]{flag[0][end:]}"

    return _FLAG.sub(replace, text) if "--" in text else text


def _candidates(low: str) -> Iterator[re.Match[str]]:
    found = [_CANDIDATES[stem].finditer(low) for stem in STEMS if stem in low]
    return found[0] if len(found) == 1 else merge(*found, key=re.Match.start)


def _secret_behind(text: str, candidate: re.Match[str]) -> _Finding | None:
    site = _site(text, candidate)
    if site is None:
        return None
    if site.operator == ">":
        return _element(text, site)
    if site.operator == "," and not site.closed:
        return None
    opening = _OPENING.match(text, site.at)
    if not opening and site.operator == ":" and (type_ := _ANNOTATION.match(text, site.at)):
        opening = _OPENING.match(text, type_.end())
    if opening:
        return _quoted(text, site, opening)
    return _bare(text, site) if site.operator[0] not in ",!" else None


def _site(text: str, candidate: re.Match[str]) -> _Site | None:
    left = candidate.string[max(0, candidate.start() - 48) : candidate.start()]
    start = candidate.start() - len(left) + len(left.rstrip(_NAME_CHARACTERS))
    name = text[start : candidate.start("close")]
    kind = secret_kind(name)
    if not kind or text.endswith("[redacted:", 0, start):
        return None
    line = max(text.rfind("\n", max(0, start - _LINE), start) + 1, start - _LINE, 0)
    return _Site(
        kind=kind,
        name=name,
        before=text[line:start],
        closed=bool(candidate["close"]),
        operator=candidate["operator"],
        tight=not candidate["left"] and not candidate["right"],
        at=candidate.end(),
    )


def _element(text: str, site: _Site) -> _Finding | None:
    """The content of `<password>…</password>`."""
    run = _RUN.match(text, site.at)
    if not run or not site.before.endswith("<") or not text.startswith("</", run.end()):
        return None
    return _Finding(site.kind, *run.span()) if _is_literal(site.kind, run[0]) else None


def _quoted(text: str, site: _Site, opening: re.Match[str]) -> _Finding | None:
    start, quote = opening.end(), opening["quote"]
    end = _closing(text, start, opening["escape"], quote)
    closed = text.startswith(opening["escape"] + quote, end)
    content = text[start:end]
    if not site.closed and site.before.count(quote) % 2 and _AFTER_A_STRING.match(content):
        return None  # the name stands in a string, and this quote ends it
    if "f" in opening["prefix"].lower() and "{" in content:
        return None
    if not closed:
        content = content.split(None, 1)[0] if content.strip() else ""
        end = start + text[start:end].find(content) + len(content)
    strict = site.operator == "," or not closed
    kind = "secret" if _is_environment(site, whole=False) else site.kind
    if not _is_literal(kind, content[:_LONGEST]) or (strict and not is_mixed(content)):
        return None
    if _letters(site.name).endswith(_letters(content)):
        return None  # `CHALLENGE_PASSWORD = "challengePassword"`
    return _Finding(site.kind, start, end)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _closing(text: str, start: int, escape: str, quote: str) -> int:
    """Where a quoted value ends; if nothing closes it, where its line or our patience does."""
    if escape or len(quote) == 3:
        end = text.find(escape + quote, start, start + _PATIENCE)
        if end >= 0:
            return end
    content = _CONTENT[quote[0]].match(text, start)
    return content.end() if content else start


def _bare(text: str, site: _Site) -> _Finding | None:
    run = _RUN.match(text, site.at)
    if not run:
        return None
    if len(run[0]) == _LONGEST:
        whole = _WIDE_RUN.match(text, site.at) if is_random(run[0]) else None
        return _Finding(site.kind, *whole.span()) if whole else None
    value = run[0].rstrip(".,:")
    end = run.start() + len(value)
    rest = text[end : end + 40].split("\n", 1)[0]
    if not _is_bare_secret(site, value, rest):
        return None
    goes_on = rest[:1] in set("([{<|&,;") and rest[1:2].strip()
    if goes_on and site.tight and site.opens_line:
        wide = _WIDE_RUN.match(text, run.start())
        end = wide.end() if wide else end
    return _Finding(site.kind, run.start(), end)


def _is_literal(kind: str, value: str) -> bool:
    """Whether a quoted value is a secret and not a word, a label or a reference."""
    if len(value) < 3 or is_ordinary(value):
        return False
    if any(c.isspace() for c in value):
        return kind == "password" and len(value) <= 128 and not is_prose(value)
    if kind in ("password", "secret", "secret-key"):
        return True
    # Tokens and keys are drawn by machines; `token = "NAME"` is a parser's.
    if len(value) < 6 or not _MACHINE_MADE.fullmatch(value):
        return False
    word = value.replace("_", "").replace(".", "").isalpha()
    return not word or (len(value) >= 20 and not mentions_a_secret(value))


def _is_argument(value: str) -> bool:
    """Whether what follows a flag is its value and not the next word of a help text."""
    return not (value.startswith("-") or value.isupper() or is_ordinary(value) or is_prose(value))


def _is_bare_secret(site: _Site, value: str, rest: str) -> bool:
    """Whether a value without quotes is a literal and not an expression, a type or a word."""
    if len(value) < 4 or is_ordinary(value):
        return False
    chain = _CHAIN.fullmatch(value) is not None
    if chain and rest[:1] in ("(", "["):
        return False
    whole = not rest.strip() or rest.lstrip()[:1] in ("#", "\\") or rest[:1] in ("'", '"', "`")
    if _is_environment(site, whole):
        return True
    if site.closed or site.operator in ("=>", "==", "==="):
        return is_random(value)
    if not chain:
        return _is_odd_secret(site, value, whole)
    if not value.isidentifier():
        return is_random(value) and not mentions_a_secret(value)
    if is_mixed(value):
        return _is_mixed_secret(site, value, whole)
    return not mentions_a_secret(value) and _is_word_secret(site, value, rest, whole)


def _is_environment(site: _Site, whole: bool) -> bool:
    """`TOKEN=…` of a shell, or a whole line `TOKEN: …` of a compose file."""
    if not site.name.isupper() or site.closed or site.before[-1:] in ("?", "&"):
        return False
    if site.operator == "=":
        return site.tight and site.before[-1:] not in ("(", ",")
    return site.operator == ":" and whole and site.opens_line


def _is_odd_secret(site: _Site, value: str, whole: bool) -> bool:
    """Neither an identifier nor an access: `p@ss`, `correct-horse`, `1234`, but also `a+b`."""
    if _CHAIN.fullmatch(value.lstrip("&*!@~+-")):
        return False
    if _NUMBER.fullmatch(value) and len(value) < 20:
        return site.kind == "password" and value.isdigit() and (site.tight or whole)
    terms = _ARITHMETIC.split(value)
    if len(terms) > 1 and all(t.isdigit() or _CHAIN.fullmatch(t) for t in terms if t):
        return is_random(value) or (site.tight and is_mixed(value))
    return site.tight or whole or is_mixed(value)


def _is_mixed_secret(site: _Site, value: str, whole: bool) -> bool:
    """An identifier with digits: `hunter2`, but also `int64` and `token2`."""
    if is_random(value):
        return True
    if _SIZED_TYPE.fullmatch(value):
        return False
    if mentions_a_secret(value) and sum(c.isdigit() for c in value) < 2:
        return False
    if site.operator == ":":
        return (whole and site.opens_line) or (len(value) >= 6 and value[0].islower())
    return site.tight or (whole and site.starts_in_column_one)


def _is_word_secret(site: _Site, value: str, rest: str, whole: bool) -> bool:
    """An identifier of letters alone: only where nothing but a literal can stand."""
    if site.operator == ":":
        return not site.tight and whole and site.opens_line and value.islower()
    in_pairs = bool(_PAIRS.search(site.before)) or re.match(r"\s+\w+=\S", rest) is not None
    return site.tight and (in_pairs or (whole and site.starts_in_column_one))
