"""The only writer of the audit: many rows at once, in the transaction of what they record.

A row that cannot be written undoes what it would have recorded. Rows are never changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from observations import entries
from observations.entries import Entry
from queueing import direct, witness
from queueing.direct import stored

if TYPE_CHECKING:
    from queueing.leases import Job
    from queueing.models import GenerationJob
    from queueing.pauses import Subject

_COLUMNS = (
    "created_at", "action", "resource_type", "resource_id", "team_id", "project_id", "api_key_id",
    "actor_id", "details",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO observations_auditentry ({', '.join(_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join(['%s'] * len(_COLUMNS))})"
)

Row = tuple[object, ...]


def write(made: Iterable[Entry]) -> None:
    """Enter what was done. Must be called inside the transaction in which it was."""
    insert(rows(made))


def rows(made: Iterable[Entry]) -> list[Row]:
    """The entries as they are stored, with the time of now."""
    at = stored(direct.now())
    return [row(entry, at) for entry in made]


def described(entry: Entry) -> dict[str, object]:
    """The entry's columns by name, to be written as JSON by a statement that does more."""
    (row,) = rows([entry])
    fields = dict(zip(_COLUMNS, row, strict=True))
    return {**fields, "details": orjson.Fragment(str(fields["details"]))}


def insert(prepared: Sequence[Row]) -> None:
    """Write rows that were made before."""
    if prepared:
        direct.execute_many(_INSERT, prepared)


def enter(prepared: Row) -> None:
    """The same for one row, on SQLite."""
    direct.execute(_INSERT, prepared)


def row(entry: Entry, at: object, **more: object) -> Row:
    """The entry as it is stored, with the time `at`, and with `more` details."""
    origin = entry.origin
    key = origin.get("api_key_id")
    told = {
        **entry.details,
        **more,
        "requestId": origin.get("request_id"),
        # By what way somebody came who has no key.
        "source": None if key else origin.get("source"),
    }
    details = {name: value for name, value in told.items() if value is not None}
    return (
        at, entry.action, entry.resource_type, entry.resource_id, entry.team_id, entry.project_id,
        key, origin.get("actor_id"), orjson.dumps(details).decode(),
    )  # fmt: skip


def _witnessed(
    deed: str,
    jobs: "Sequence[Job | GenerationJob]",
    details: Mapping[str, Any],
    by: Mapping[str, Any] | None,
) -> None:
    write(entries.of_jobs(deed, jobs, details, by))


def _paused(deed: str, subject: "Subject", by: Mapping[str, Any]) -> None:
    write([entries.of_pause(deed, subject, by)])


def attend() -> None:
    """Enter from now on what workers and operators do to jobs, and what operators pause."""
    witness.call(_witnessed, _paused)
