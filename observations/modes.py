"""Modes: the observation types, concepts and fields in force, as frozen values made from data."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(--[a-z0-9]+(-[a-z0-9]+)*)?")
PACKAGED = Path(__file__).with_name("mode_files")


class ModeError(ValueError):
    """A mode that cannot be had; the message says which one and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ObservationType:
    """One kind of observation: `emoji` marks it in lists, `work_emoji` the work that it took."""

    id: str
    label: str
    description: str
    emoji: str
    work_emoji: str


@dataclass(frozen=True, slots=True)
class Concept:
    """One keyword under which observations are filed."""

    id: str
    label: str
    description: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an observation or a summary, as a provider is told of it."""

    id: str
    many: bool
    description: str


@dataclass(frozen=True, slots=True)
class Mode:
    """The vocabulary in force. The first type is the one that a draft without a type gets."""

    id: str
    name: str
    description: str
    types: tuple[ObservationType, ...]
    concepts: tuple[Concept, ...]
    observation_fields: tuple[Field, ...]
    summary_fields: tuple[Field, ...]

    @property
    def type_ids(self) -> tuple[str, ...]:
        """The ids of the types, in the order of the file."""
        return tuple(each.id for each in self.types)

    @property
    def concept_ids(self) -> tuple[str, ...]:
        """The ids of the concepts, in the order of the file."""
        return tuple(each.id for each in self.concepts)

    def emoji(self, type_id: str) -> str:
        """The mark of a type; a plain dot for a kind that the mode does not know."""
        return next((each.emoji for each in self.types if each.id == type_id), "•")


def load(name: str, directories: Iterable[Path] = (PACKAGED,)) -> Mode:
    """The mode of that name from the first directory that has its file, or ModeError.

    `parent--override` is the parent's file with the override's laid over it: objects are merged
    at any depth, everything else, lists too, is replaced.
    """
    places = tuple(directories)
    return resolve(name, lambda each: _text(each, places))


def resolve(name: str, text_of: Callable[[str], str | None]) -> Mode:
    """As `load`, with the text of a mode's file from the caller (None: there is no such file)."""
    if not NAME.fullmatch(name):
        raise ModeError(f"{name!r} is no name of a mode: use small letters, digits and hyphens.")
    data = _parsed(name, text_of)
    parent, override, _ = name.partition("--")
    if override:
        data = merged(_parsed(parent, text_of), data)
    return mode_of(name, data)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid over it, objects at any depth, everything else replaced."""
    both = dict(base)
    for key, value in over.items():
        old = both.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        both[key] = value
    return both


def mode_of(name: str, data: Mapping[str, Any]) -> Mode:
    """A mode from the data of its file; ModeError if it does not hold what a mode must have."""
    try:
        mode = Mode(
            id=name,
            name=_word(data, "name"),
            description=_word(data, "description"),
            types=tuple(_type(each) for each in data["types"]),
            concepts=tuple(_concept(each) for each in data["concepts"]),
            observation_fields=tuple(_field(each) for each in data["observation_fields"]),
            summary_fields=tuple(_field(each) for each in data["summary_fields"]),
        )
    except KeyError as missing:
        raise ModeError(f"Mode {name} lacks {missing}.") from None
    except TypeError as wrong:
        raise ModeError(f"Mode {name} is malformed: {wrong}.") from None
    _check(mode)
    return mode


def _check(mode: Mode) -> None:
    for what, ids in (("types", mode.type_ids), ("concepts", mode.concept_ids)):
        if not ids:
            raise ModeError(f"Mode {mode.id} has no {what}.")
        if len(set(ids)) < len(ids):
            raise ModeError(f"Mode {mode.id} names one of its {what} twice.")


def _type(data: Any) -> ObservationType:
    words = (_word(data, key) for key in ("id", "label", "description", "emoji", "work_emoji"))
    return ObservationType(*words)


def _concept(data: Any) -> Concept:
    return Concept(*(_word(data, key) for key in ("id", "label", "description")))


def _field(data: Any) -> Field:
    return Field(_word(data, "id"), bool(data["many"]), _word(data, "description"))


def _word(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{key!r} is not a text")
    return value.strip()


def _parsed(name: str, text_of: Callable[[str], str | None]) -> dict[str, Any]:
    text = text_of(name)
    if text is None:
        raise ModeError(f"There is no mode {name!r}.")
    try:
        data = json.loads(text)
    except ValueError as wrong:
        raise ModeError(f"Mode {name} is not valid JSON: {wrong}.") from None
    if not isinstance(data, dict):
        raise ModeError(f"Mode {name} is not a JSON object.")
    return data


def _text(name: str, directories: tuple[Path, ...]) -> str | None:
    paths = (directory / f"{name}.json" for directory in directories)
    return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), None)
