"""What connecting an agent changes: files, before and after, and what is said of it. Pure."""

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from observations.privacy import scrub_text


class Refused(Exception):
    """Nothing was changed; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file of an agent as it is: its bytes, None where there is none.

    `shared`: it is a link, so that it may lie where others see it.
    """

    path: Path
    content: bytes | None
    shared: bool = False


# Files by what they are to the agent, in its own words ("settings", "servers").
Files = Mapping[str, Found]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where files of agents are looked for."""

    home: Path
    here: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Connection:
    """What an agent is connected to, and by which program.

    `url` is the server's, without a slash at its end; `client`, how the hook client is run, up to
    the name of the agent; `directory`, where that has its configuration and its spool. With
    `project` the connection is for one directory alone, and no key is put into any file of it.
    """

    url: str
    key: str
    client: Sequence[str]
    directory: Path
    project: bool = False

    def command(self, agent: str) -> tuple[str, ...]:
        """How the client is run for an agent."""
        return (*self.client, agent, str(self.directory))


@dataclass(frozen=True, slots=True)
class Change:
    """One file: what it holds and what it is to hold; None where there is (to be) no file.

    `secret`: it holds a key then, and is its owner's alone.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes that are made together or not at all, and notes for the user."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def due(self) -> tuple[Change, ...]:
        """The changes that change something."""
        return tuple(each for each in self.changes if each.before != each.after)

    def diff(self) -> str:
        """The changes as people read them, without what is secret in them or beside them."""
        return "".join(line for change in self.due for line in _diff(change))


def _diff(change: Change) -> Iterator[str]:
    before, after = _lines(change.before), _lines(change.after)
    old, new = (
        str(change.path) if content is not None else "/dev/null"
        for content in (change.before, change.after)
    )
    for line in difflib.unified_diff(before, after, old, new):
        yield scrub_text(line)


def _lines(content: bytes | None) -> list[str]:
    text = (content or b"").decode("utf-8", "replace")
    return [line.rstrip("\r\n") + "\n" for line in text.splitlines(keepends=True)]


@dataclass(frozen=True, slots=True)
class Agent:
    """How one agent is connected: which files of it are changed, and how. Pure functions.

    `files` says where they are, by what they are to the agent; its second argument is whether one
    directory alone is meant, which only agents with `project` know. `install` and `uninstall` make
    a plan of what those hold: what is ours already is brought up to date in place, and what is ours
    is known by itself. Both raise jsonedit.Unreadable and Refused.
    """

    name: str
    title: str
    files: Callable[[Surroundings, bool], Mapping[str, Path]]
    install: Callable[[Files, Connection], Plan]
    uninstall: Callable[[Files], Plan]
    project: bool = False
