"""The settings file as text: what it says, what is wrong with it, how a choice is put in. Pure.

The file is shared with clients and other servers of this kind, so what is in it may be none of our
business: nothing but what a setting of ours asks for is ever judged. No sentence repeats a value.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

# Characters. Files of this kind have a few thousand.
LARGEST = 1_000_000
ENGINE = "CLAUDE_MEM_QUEUE_ENGINE"
MODE, URL, HOST, PORT = STORE = tuple(
    f"CLAUDE_MEM_REDIS_{name}" for name in ("MODE", "URL", "HOST", "PORT")
)
_OURS = "CLAUDE_MEM_"
_NESTED = "env"
# What a file cannot say: where it lies itself; what a process is and may do where it runs; and
# whom a provider's key belongs to, since claude-mem keeps keys of its own under the same names.
_OUTSIDE = """
ALIVE_FILE ALLOW_LOCAL_DEV_BYPASS AUTH_MODE DATA_DIR DOCKER OPENROUTER_API_KEY OPENROUTER_BASE_URL
RUNTIME
"""
OUTSIDE = frozenset(f"{_OURS}{name}" for name in _OUTSIDE.split())
# claude-mem writes all of its defaults into the file that it makes. Nobody chose these.
_SEEDED_ENGINE = "sqlite"
_SEEDED = {MODE: "external", URL: "", HOST: "127.0.0.1", PORT: "6379"}
_MEND = "mend it, or move it away and run `claudemem setup`"
_SECRET = re.compile(r"(KEY|PASSWORD|SECRET|TOKEN)$")
_UNUSABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Broken(Exception):
    """The text is no settings file; the message says where and what to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """One value: its text, its line (0 where that is unclear), and what is wrong with it or ""."""

    text: str
    line: int
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the settings file at `place` says, and sentences about what is wrong with it."""

    place: str = ""
    said: Mapping[str, Said] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def below(self, given: Collection[str]) -> "Kept":
        """What is left of it where the environment gives the variables `given`.

        Mode, URL, host and port of the queue store make sense together alone: where the environment
        gives one of them, all four are its.
        """
        taken = {*given, *(STORE if set(STORE) & set(given) else ())}
        return replace(self, said={k: v for k, v in self.said.items() if k not in taken})

    def where(self, name: str) -> str:
        """Where its value of a variable stands."""
        line = self.said[name].line
        return f"{self.place}, line {line}" if line else self.place


def parse(text: str, place: str) -> Kept:
    """What a text says that was read from `place`. What cannot be used of it is a fault."""
    try:
        values = _values(_loaded(text, place))
    except Broken as broken:
        return Kept(place, faults=(str(broken),))
    said = {name: _said(text, name, value) for name, value in values.items() if _is_ours(name)}
    return Kept(place, dict(_chosen(said)))


def changed(text: str, changes: Mapping[str, str | None], place: str) -> str:
    """The text with these values in it, or without those that are None; the rest stays.

    Raises Broken for a text that is no settings file.
    """
    document = _loaded(text, place) if text.strip() else {}
    values = _values(document)
    for name, value in changes.items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def secrets(text: str) -> tuple[str, ...]:
    """The names of what looks like a password or key in a settings file, be it whose it may."""
    try:
        values = _values(_loaded(text, ""))
    except Broken:
        return ()
    return tuple(sorted(name for name, value in values.items() if _is_secret(name, value)))


def has_password(url: str) -> bool:
    """Whether a text is a URL with a password in it."""
    try:
        parts = urlsplit(url)
        return bool(parts.password) or (parts.scheme != "" and "password=" in parts.query)
    except ValueError:
        return False


def _loaded(text: str, place: str) -> dict[str, Any]:
    if len(text) > LARGEST:
        raise Broken(f"{place} is larger than any settings file: {_MEND}")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise Broken(
            f"{place}, line {error.lineno}: it is no JSON ({error.msg}): {_MEND}"
        ) from None
    except (ValueError, RecursionError):
        raise Broken(f"{place} holds JSON that cannot be read: {_MEND}") from None
    if not isinstance(document, dict):
        raise Broken(
            f"{place} must hold an object of settings, as in "
            f'{{"CLAUDE_MEM_QUEUE_ENGINE": "celery"}}: {_MEND}'
        )
    return document


def _values(document: dict[str, Any]) -> dict[str, Any]:
    """The object that holds the settings: the document, or what is below `env`."""
    nested = document.get(_NESTED)
    return nested if isinstance(nested, dict) else document


def _is_ours(name: str) -> bool:
    return name.startswith(_OURS) and name not in OUTSIDE


def _is_secret(name: str, value: Any) -> bool:
    named = isinstance(value, str) and value and _SECRET.search(name)
    return bool(named) or (isinstance(value, str) and has_password(value))


def _said(text: str, name: str, value: Any) -> Said:
    line = _line(text, name)
    if value is None:
        return Said("", line)
    if isinstance(value, bool):
        return Said("1" if value else "0", line)
    if not isinstance(value, str | int | float):
        return Said("", line, "must be a text, a number, true or false")
    if _UNUSABLE.search(str(value)):
        return Said("", line, "must have no control characters")
    return Said(str(value).strip(), line)


def _line(text: str, name: str) -> int:
    """The line of the last of that name: so does JSON choose among several."""
    found = [match.start() for match in re.finditer(rf'"{re.escape(name)}"\s*:', text)]
    return text.count("\n", 0, found[-1]) + 1 if found else 0


def _chosen(said: Mapping[str, Said]) -> Iterator[tuple[str, Said]]:
    """What is said without what claude-mem has put there by itself."""
    engine = said[ENGINE].text if ENGINE in said else ""
    seeded = all(name in said and said[name].text == text for name, text in _SEEDED.items())
    # Whoever chose its Redis engine left the address at its default on purpose.
    dropped = {*_SEEDED} if seeded and engine.lower() != "bullmq" else set()
    if dropped and engine == _SEEDED_ENGINE:
        dropped.add(ENGINE)
    return ((name, each) for name, each in said.items() if name not in dropped)
