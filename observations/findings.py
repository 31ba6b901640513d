"""Observations on their way into the database: prepared before the transaction, written in it.

Other writers wait while a transaction is open, so what can be made before it is made before it.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db import connection

from observations import rendering
from observations.drafts import JSON, Completion, ObservationDraft, Source, SummaryDraft
from observations.identity import compact, generation_key
from observations.models import new_id
from observations.search.terms import parts
from queueing import direct
from queueing.direct import stored
from queueing.errors import JobFailed
from queueing.leases import Job

# A new observation is compared with so many of its session, the latest.
REMEMBERED = 50

Draft = ObservationDraft | SummaryDraft

_COLUMNS = (
    "id", "team_id", "project_id", "session_id", "kind", "title", "subtitle", "narrative", "facts",
    "concepts", "files_read", "files_modified", "content", "parts", "metadata", "generation_key",
    "created_by_job_id", "occurred_at", "created_at", "updated_at",
)  # fmt: skip
# What has another type than text on PostgreSQL.
_TYPES = {
    **dict.fromkeys(("facts", "concepts", "files_read", "files_modified", "metadata"), "jsonb"),
    **dict.fromkeys(("occurred_at", "created_at", "updated_at"), "timestamptz"),
}
# The project is the session's as it is: it may have been another's when the job was claimed.
_PROJECT = "coalesce((SELECT project_id FROM observations_session WHERE id = {session}), {given})"


def _values(given: str, session: str) -> str:
    """What the columns are made of: each of `given`, in which {name} stands for its name."""
    made = {name: given.format(name=name) for name in _COLUMNS}
    return ", ".join(
        {**made, "project_id": _PROJECT.format(session=session, given=made["project_id"])}.values()
    )


_INSERT = (
    f"INSERT INTO observations_observation ({', '.join(_COLUMNS)}) "  # noqa: S608
    f"VALUES ({_values('%s', '%s')}) RETURNING number"
)
# Two drafts can cite the same event for the same memory: one link is enough.
_LINK = """
    INSERT INTO observations_observationsource
        (id, observation_id, event_id, source_type, source_id, generation_job_id, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""


_LATEST = (
    "SELECT content, number FROM observations_observation WHERE session_id = %s "
    "ORDER BY occurred_at DESC, number DESC LIMIT %s"
)
_GIVEN = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in _COLUMNS)
# What is linked to stays until it is; what is just being removed is not there.
_AT_ONCE = f"""
    WITH given AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS given(place int, {_GIVEN})),
    there AS MATERIALIZED (
        SELECT number, content FROM observations_observation WHERE number IN (
            SELECT max(number) FROM ({_LATEST}) AS latest JOIN given USING (content) GROUP BY place)
        ORDER BY number FOR KEY SHARE),
    said AS (SELECT place, number FROM there JOIN given USING (content)),
    made AS (
        INSERT INTO observations_observation ({", ".join(_COLUMNS)})
        SELECT {_values("given.{name}", "given.session_id")} FROM given
        WHERE place NOT IN (SELECT place FROM said) ORDER BY place
        RETURNING number, id),
    numbered AS (
        SELECT place, number FROM said
        UNION ALL SELECT place, number FROM made JOIN given USING (id)),
    link AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%s::json) AS link(
            place int, id text, event_id text, source_id text, job_id text)),
    cited AS MATERIALIZED (
        SELECT id FROM observations_event WHERE id = ANY (ARRAY(SELECT event_id FROM link))
        ORDER BY id FOR KEY SHARE),
    links AS (
        INSERT INTO observations_observationsource
            (id, observation_id, event_id, source_type, source_id, generation_job_id, created_at)
        SELECT id, number, event_id, source_type, source_id, job_id, at
        FROM link
        JOIN numbered USING (place), (VALUES (%s, %s::timestamptz)) AS all_alike(source_type, at)
        ON CONFLICT DO NOTHING)
    SELECT ARRAY(SELECT id FROM made), ARRAY(SELECT id FROM cited)"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Finding:
    """An observation ready to be written, but for its time of writing, and what it cites."""

    job: Job
    content: str
    values: Mapping[str, object]
    occurred_at: datetime | None
    event_ids: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """What came of a job's findings: the ids and kinds of new observations; how many were known."""

    made: list[tuple[str, str]] = field(default_factory=list)
    merged: int = 0


def prepared(
    drafts: Sequence[Draft], completion: Completion, source: Source, jobs: Mapping[str, Job]
) -> tuple[Finding, ...]:
    """The drafts as rows. `jobs` maps each event of `source` to its job.

    A draft belongs to the job of the first event that it cites, or else to the first job.
    """
    default = next(iter(jobs.values()), None)
    costs = _shares(completion, len(drafts))
    taken: Counter[str] = Counter()
    found = []
    for draft, cost in zip(drafts, costs, strict=True):
        job = jobs.get(draft.event_ids[0], default) if draft.event_ids else default
        if job is not None:
            made_by: dict[str, JSON] = {
                "provider": completion.provider,
                "model": completion.model,
                **cost,
            }
            found.append(_finding(draft, job, taken[job.id], made_by, source, jobs))
            taken[job.id] += 1
    return tuple(found)


def _shares(completion: Completion, drafts: int) -> list[dict[str, int]]:
    """What of the completion's tokens each draft cost; together all of them, and nothing if none.

    Of a completion that nobody counted nothing is said.
    """
    used = completion.input_tokens + completion.output_tokens
    if not used or not drafts:
        return [{}] * drafts
    each, rest = divmod(used, drafts)
    return [{"discovery_tokens": each + (place < rest)} for place in range(drafts)]


def _finding(
    draft: Draft,
    job: Job,
    index: int,
    made_by: Mapping[str, JSON],
    source: Source,
    jobs: Mapping[str, Job],
) -> Finding:
    told = _summary(draft) if isinstance(draft, SummaryDraft) else _observation(draft)
    words = (told["title"], told["narrative"], *_listed(draft, "facts"),
             *_listed(draft, "files_read"), *_listed(draft, "files_modified"))  # fmt: skip
    content = str(told["content"])
    return Finding(
        job,
        content,
        {
            **told,
            "parts": parts(*(str(word) for word in words)),
            "metadata": compact({**_fields(draft), **made_by}),
            "generation_key": generation_key(job.id, index, content),
            **{name: compact(list(_listed(draft, name))) for name in _LISTS},
        },
        _occurred_at(draft, source),
        tuple(event_id for event_id in draft.event_ids if event_id in jobs),
    )


_LISTS = ("facts", "concepts", "files_read", "files_modified")


def _listed(draft: Draft, name: str) -> tuple[str, ...]:
    values: tuple[str, ...] = getattr(draft, name, ())
    return values


def _summary(draft: SummaryDraft) -> dict[str, object]:
    content = rendering.summary_text(draft)
    return {"kind": "summary", "title": rendering.summary_title(draft), "subtitle": "",
            "narrative": content,
            "content": content}  # fmt: skip


def _observation(draft: ObservationDraft) -> dict[str, object]:
    return {"kind": draft.type, "title": draft.title, "subtitle": draft.subtitle,
            "narrative": draft.narrative, "content": rendering.observation_text(draft)}  # fmt: skip


def _fields(draft: Draft) -> dict[str, Any]:
    names = [name for name in draft.__dataclass_fields__ if name not in ("type", "event_ids")]
    values = {name: getattr(draft, name) for name in names}
    return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}


def _occurred_at(draft: Draft, source: Source) -> datetime | None:
    """The time of the latest event that the draft cites, or of all where it cites none.

    An event that told its time itself goes before those that have only that of their arrival: in a
    replay these lie years apart.
    """
    cited = [e for e in source.events if e.id in draft.event_ids] or source.events
    told = [e for e in cited if isinstance(e.payload, dict) and "timestamp" in e.payload]
    return max((e.occurred_at for e in told or cited), default=None)


def write(findings: Sequence[Finding], source_type: str) -> dict[str, Outcome]:
    """Write the findings with links to what they cite; what was made or merged, by job.

    Must be called inside a transaction, which is to be undone where this raises JobFailed: an event
    that is cited was deleted. What is said again in the same words is the same memory with one more
    source: an agent that tries a thing five times must not fill five places of a search.
    """
    first: dict[str, Finding] = {}
    for finding in findings:
        first.setdefault(finding.content, finding)
    rows = {content: _row(finding, direct.now()) for content, finding in first.items()}
    write = _written_at_once if connection.vendor == "postgresql" else _written
    made = write(findings, rows, source_type) if findings else set()
    outcomes: dict[str, Outcome] = {}
    for finding in findings:
        outcome = outcomes.setdefault(finding.job.id, Outcome())
        row = rows[finding.content]
        if finding is first[finding.content] and row["id"] in made:
            outcome.made.append((str(row["id"]), str(row["kind"])))
        else:
            outcome.merged += 1
    return outcomes


Rows = Mapping[str, Mapping[str, object]]


def _written(findings: Sequence[Finding], rows: Rows, source_type: str) -> set[object]:
    """Write them row by row; the ids of those whose contents no observation had before."""
    numbers = _said_before(findings)
    made = [row for content, row in rows.items() if content not in numbers]
    for row in made:
        given = [row[name] for name in _COLUMNS]
        given.insert(_COLUMNS.index("project_id"), row["session_id"])
        ((number,),) = direct.fetch(_INSERT, given)
        numbers[str(row["content"])] = number
    at = stored(direct.now())
    links = [
        (link, numbers[one.content], event, source_type, source, one.job.id, at)
        for one in findings
        for link, event, source in _cited(one, source_type)
    ]
    events = sorted({event for _, _, event, *_ in links if event})
    marks = ", ".join(["%s"] * len(events))
    there = direct.fetch(f"SELECT id FROM observations_event WHERE id IN ({marks})", events)  # noqa: S608
    _require(events, [event for (event,) in there])
    direct.execute_many(_LINK, links)
    return {row["id"] for row in made}


def _require(events: Collection[str], there: Collection[str]) -> None:
    if missing := sorted(set(events) - set(there)):
        raise gone(missing[0])


def gone(event_id: str) -> JobFailed:
    """What is to be raised where an event was deleted since its job was made."""
    return JobFailed(
        f"event {event_id} is no longer there", classification="unrecoverable", transient=False
    )


def _said_before(findings: Sequence[Finding]) -> dict[str, int]:
    """The numbers of the session's latest observations that say what a finding says."""
    session_id = findings[0].job.session_id
    if session_id is None:
        return {}
    marks = ", ".join(["%s"] * len(findings))
    rows = direct.fetch(
        f"SELECT content, number FROM ({_LATEST}) AS latest WHERE content IN ({marks})",  # noqa: S608
        [session_id, REMEMBERED, *(finding.content for finding in findings)],
    )
    return dict(rows)


def _written_at_once(findings: Sequence[Finding], rows: Rows, source_type: str) -> set[object]:
    """The same in one statement, for PostgreSQL."""
    place = {content: index for index, content in enumerate(rows)}
    given = [{**_as_json(row), "place": place[content]} for content, row in rows.items()]
    links = [
        {"place": place[one.content], "id": link, "event_id": event, "source_id": source,
         "job_id": one.job.id}
        for one in findings
        for link, event, source in _cited(one, source_type)
    ]  # fmt: skip
    session_id, at = findings[0].job.session_id, stored(direct.now())
    ((made, there),) = direct.fetch(
        _AT_ONCE, [_json(given), session_id, REMEMBERED, _json(links), source_type, at]
    )
    _require({str(link["event_id"]) for link in links if link["event_id"]}, there)
    return set(made)


def _as_json(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: orjson.Fragment(str(value)) if _TYPES.get(name) == "jsonb" else value
        for name, value in row.items()
    }


def _json(rows: Sequence[Mapping[str, object]]) -> str:
    return orjson.dumps(rows).decode()


def _row(finding: Finding, now: datetime) -> dict[str, object]:
    job = finding.job
    return {
        **finding.values,
        "id": new_id(),
        "team_id": job.team_id,
        "project_id": job.project_id,
        "session_id": job.session_id,
        "created_by_job_id": job.id,
        "occurred_at": stored(finding.occurred_at or now),
        "created_at": stored(now),
        "updated_at": stored(now),
    }


def _cited(finding: Finding, source_type: str) -> list[tuple[str, str | None, str]]:
    """Of each link its id, the event, if it is one, and the source."""
    if source_type == "session_summary":
        return [(new_id(), None, finding.job.source_id)]
    cited = finding.event_ids or (finding.job.source_id,)
    return [(new_id(), event, event) for event in cited]
