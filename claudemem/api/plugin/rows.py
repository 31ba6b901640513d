"""Observations as rows of claude-mem's own database, which its hooks and tools read."""

from collections.abc import Iterable
from typing import Any

import orjson

from claudemem.api.answers import epoch, iso
from claudemem.api.wire.plugin import Row
from observations import briefing
from observations.models import Observation


def many(found: Iterable[Observation]) -> list[Row]:
    """The rows, in their order."""
    return [one(row) for row in found]


def one(row: Observation) -> Row:
    """One row: lists as JSON text, and `id` the number by which pages name it.

    `observation_id` is its id on the other routes. Its time is that of what it is about.
    """
    return {
        "id": row.number,
        "observation_id": row.id,
        "memory_session_id": row.session_id,
        "project": briefing.project_of(row),
        "type": row.kind,
        "title": row.title or None,
        "subtitle": row.subtitle or None,
        "narrative": row.narrative or row.content,
        "text": None,
        "facts": _text(row.facts),
        "concepts": _text(row.concepts),
        "files_read": _text(row.files_read),
        "files_modified": _text(row.files_modified),
        "prompt_number": None,
        "discovery_tokens": briefing.work_tokens(row),
        "created_at": iso(row.occurred_at),
        "created_at_epoch": epoch(row.occurred_at),
    }


def _text(values: list[Any]) -> str:
    return orjson.dumps(values).decode()
