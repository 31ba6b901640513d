"""Observations by the thousand, of the words of the recordings as often as these have them."""

import random
import re
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

from uuid_utils import uuid7

from tests.stack import Stack, payloads

_WORD = re.compile(r"[A-Za-z][A-Za-z_.]{2,24}")
_LENGTH = 90  # words: about 700 characters
_CHUNK = 2000
_INSERT = """
    INSERT INTO observations_observation (id, team_id, project_id, kind, title, subtitle, narrative,
        facts, concepts, files_read, files_modified, content, parts, metadata, occurred_at,
        created_at, updated_at)
    VALUES (?, ?, ?, 'discovery', ?, '', ?, '[]', '[]', '[]', '[]', ?, '', '{}', ?, ?, ?)"""


def fill(stack: Stack, count: int) -> None:
    """Write so many observations into the project of the stack's key."""
    ((team,),) = stack.sql(
        "SELECT team_id FROM observations_project WHERE id = ?", stack.project_id
    )
    rows = _rows(count, team, stack.project_id)
    while chunk := list(islice(rows, _CHUNK)):
        stack.change(_INSERT, chunk)
    if stack.on_postgresql:
        with closing(stack.connect()) as database:
            database.execute("ANALYZE")


def questions(count: int) -> Iterator[str]:
    """Questions of five to eight words, each word as likely as it is in the texts."""
    chance, words = random.Random(2), _words()
    for _ in range(count):
        yield " ".join(chance.choices(words, k=chance.randint(5, 8)))


def _rows(count: int, team: str, project: str) -> Iterator[tuple[object, ...]]:
    chance, words = random.Random(1), _words()
    at = "2026-01-02 03:04:05.000000"
    for _ in range(count):
        text = " ".join(chance.choices(words, k=_LENGTH))
        title = " ".join(chance.choices(words, k=6))
        yield str(uuid7()), team, project, title, text, f"{title}\n{text}", at, at, at


def _words() -> list[str]:
    return _WORD.findall("\n".join(_texts(payloads())))


def _texts(value: object) -> Iterator[str]:
    """The texts in a value, without the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
