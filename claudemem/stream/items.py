"""What the journal says, as items of the stream: built once, for all who listen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from claudemem.api import entities
from claudemem.api.answers import epoch
from claudemem.api.stream import EVENT, JOB, OBSERVATION, SUMMARY, Cursor
from observations import entries
from observations.journal import Line
from observations.models import Event, Observation
from queueing.models import GenerationJob

_JOBS: Final = {
    entries.JOB_PROCESSING: "processing",
    entries.JOB_COMPLETED: "completed",
    entries.JOB_STALLED: "stalled",
    entries.JOB_FAILED: "failed",
    entries.JOB_RETRIED: "queued",
    entries.JOB_CANCELLED: "cancelled",
}
_DEFERRED = ("payload", "metadata", "removed")


# What is gone, one by one or with all that its project remembered.
_ENDS: Final = {entries.OBSERVATION_DELETED: "deleted", entries.MEMORY_PURGED: "purged"}


@dataclass(frozen=True, slots=True)
class Item:
    """Something that happened, whose it is, and how it is told on the wire."""

    sort: str
    team_id: str
    project_id: str | None
    cursor: Cursor
    frame: bytes


@dataclass(frozen=True, slots=True)
class _Told:
    sort: str
    project_id: str | None
    data: dict[str, Any]


def frame(sort: str, data: Any, cursor: Cursor | None = None) -> bytes:
    """An item as server-sent events write it."""
    told = f"id: {cursor}\n" if cursor else ""
    return f"{told}event: {sort}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"


def of(lines: Sequence[Line]) -> list[Item]:
    """The items of these lines, in their order. Asks the database for what they are about.

    What was deleted meanwhile has no item of its making any more, only that of its end.
    """
    events, observations, jobs = _events(lines), _observations(lines), _batched(lines)
    made = []
    for line in lines:
        told = list(_told(line, events, observations, jobs))
        for index, one in enumerate(told, 1):
            cursor = Cursor(line.place, None if index == len(told) else index)
            made.append(Item(one.sort, line.team_id, one.project_id, cursor,
                             frame(one.sort, one.data, cursor)))  # fmt: skip
    return made


def _told(
    line: Line,
    events: dict[str, Event],
    observations: dict[str, Observation],
    batched: dict[str, str],
) -> Iterator[_Told]:
    if line.action in (entries.EVENT_RECEIVED, entries.BATCH_RECEIVED):
        jobs = batched
        if line.resource_id and "generationJobId" in line.details:
            jobs = {line.resource_id: str(line.details["generationJobId"])}
        for event_id in _event_ids(line):
            if event := events.get(event_id):
                yield _Told(EVENT, event.project_id, _event(event))
            if job_id := jobs.get(event_id):
                project = event.project_id if event else line.project_id
                yield _Told(JOB, project, _job(line, project, job_id, "queued", event_id))
    elif line.action in _JOBS and line.resource_id:
        source = line.details.get("sourceId")
        data = _job(line, line.project_id, line.resource_id, _JOBS[line.action], source)
        yield _Told(JOB, line.project_id, data)
    elif line.action in _ENDS:
        gone = {"change": _ENDS[line.action], "id": line.resource_id, "projectId": line.project_id,
                "teamId": line.team_id}  # fmt: skip
        yield _Told(OBSERVATION, line.project_id, gone)
    elif row := observations.get(line.resource_id or ""):
        sort = SUMMARY if row.kind == "summary" else OBSERVATION
        change = "changed" if line.action == entries.OBSERVATION_UPDATED else "created"
        yield _Told(sort, row.project_id, {"change": change, **entities.observation(row)})


def _event_ids(line: Line) -> list[str]:
    if line.action == entries.EVENT_RECEIVED:
        return [line.resource_id] if line.resource_id else []
    return list(line.details.get("eventIds", ())) if line.action == entries.BATCH_RECEIVED else []


def _batched(lines: Sequence[Line]) -> dict[str, str]:
    """The job that each event of a batch made, by the event's id."""
    ids = [job_id for line in lines for job_id in line.details.get("generationJobIds", ())]
    rows = GenerationJob.objects.filter(pk__in=ids).order_by() if ids else ()
    return {row.source_id: row.id for row in rows}


def _events(lines: Sequence[Line]) -> dict[str, Event]:
    ids = [event_id for line in lines for event_id in _event_ids(line)]
    return Event.objects.defer(*_DEFERRED).in_bulk(ids) if ids else {}


def _observations(lines: Sequence[Line]) -> dict[str, Observation]:
    made = (entries.MEMORY_WRITE, entries.OBSERVATION_CREATED, entries.OBSERVATION_UPDATED)
    ids = [line.resource_id for line in lines if line.action in made and line.resource_id]
    return {row.id: row for row in Observation.objects.filter(id__in=ids)} if ids else {}


def _event(row: Event) -> dict[str, Any]:
    """An event without what it holds, which may be long: that is had by its id."""
    return {
        "change": "created",
        "id": row.id,
        "projectId": row.project_id,
        "teamId": row.team_id,
        "serverSessionId": row.session_id,
        "sourceAdapter": row.source_adapter,
        "sourceEventId": row.source_event_id,
        "eventType": row.event_type,
        "platformSource": row.platform_source,
        "occurredAtEpoch": epoch(row.occurred_at),
        "receivedAtEpoch": epoch(row.received_at),
        "createdAtEpoch": epoch(row.created_at),
    }


def _job(
    line: Line, project_id: str | None, job_id: str, status: str, source_id: str | None
) -> dict[str, Any]:
    return {
        "change": status,
        "id": job_id,
        "projectId": project_id,
        "teamId": line.team_id,
        "sourceId": source_id,
        "createdAtEpoch": line.place.moment // 1000,
    }
