"""Ordinary deliveries and their jobs: all that arrive together at once, in few statements.

Ordinary is what belongs to an open session that is there already, or to none, and did not come
before. There PostgreSQL does in one statement what else takes nine, and for many hardly more than
for one; SQLite, to which a statement is a call, does it in six. What is not found to be ordinary is
left alone: that goes the long way (`ingest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import DataError, IntegrityError, OperationalError, transaction

from observations import audit, commits, deliveries
from observations.commits import STUCK, Sharing, Write
from observations.deliveries import Delivery
from observations.entries import Entry
from observations.errors import StorageAway
from queueing import direct, entering, outbox
from queueing.models import new_id
from queueing.outbox import Enqueued, NewJob


@dataclass(frozen=True, slots=True)
class Ordinary:
    """A delivery that may be ordinary, and the job that it calls for, if any.

    `session` is the identity key of its session, None if it has none. The job and `entry`, its line
    in the audit if it has one of its own, are still without what the session gives them. `repeats`
    are the keys under which it may have come before; `may_repeat`: in a session that has ended it
    may be a replay. It ends no session.
    """

    delivery: Delivery
    job: NewJob | None
    session: str | None
    entry: Entry | None = None
    repeats: tuple[str, ...] = ()
    may_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """An ordinary delivery was written; `row` is its job."""

    row: Enqueued | None


_GIVEN = (
    "place int, session text, repeats text[], may_repeat bool, news bool, reopens bool, "
    "id text, team_id text, project_id text, source_adapter text, source_event_id text, "
    "dedupe_key text, event_type text, platform_source text, payload jsonb, metadata jsonb, "
    "removed jsonb, occurred_at timestamptz, received_at timestamptz, created_at timestamptz, "
    "job_id text, queue_job_id text, lane_key text, kind text, max_attempts int, size int, "
    "source_type text, source_id text, origin jsonb, entry jsonb"
)
# Sessions are locked in the order of their ids, bytewise as everywhere, and before lanes: `asked`
# waits for `numbered`.
# `patience` holds for this transaction, which is the statement where captures share it.
# A time with its zone is read in Python, one without by the driver's library.
# LATERAL with LIMIT is a look-up by index for each row, however small the table was when the
# statement was planned.
_WRITE = f"""
    WITH patience AS MATERIALIZED (
        SELECT set_config('lock_timeout', coalesce(%s, current_setting('lock_timeout')), true)),
    given AS MATERIALIZED (
        SELECT given.*, found.id AS session_id, found.lane_key AS lane_of_session,
            row_number() OVER (PARTITION BY found.id ORDER BY place) AS nth
        FROM patience, json_to_recordset(%s::json) AS given({_GIVEN})
        LEFT JOIN LATERAL (
            SELECT id, lane_key, ended_at FROM observations_session
            WHERE identity_key = given.session LIMIT 1) AS found ON true
        WHERE (given.session IS NULL
               OR (found.id IS NOT NULL AND (found.ended_at IS NULL OR NOT given.may_repeat)))
            AND NOT EXISTS (SELECT FROM unnest(given.repeats) AS mine, LATERAL (
                SELECT FROM observations_event WHERE dedupe_key = mine LIMIT 1) AS earlier)),
    counted AS (
        SELECT session_id, count(*) AS events, coalesce(max(nth) FILTER (WHERE news), 0) AS news,
            bool_or(reopens) AS reopens, max(received_at) AS last
        FROM given WHERE session_id IS NOT NULL GROUP BY session_id),
    locked AS (
        SELECT id FROM observations_session
        WHERE id = ANY (ARRAY(SELECT session_id FROM counted))
        ORDER BY id COLLATE "C" FOR NO KEY UPDATE),
    numbered AS (
        UPDATE observations_session AS session SET
            news_number = CASE WHEN counted.news > 0 THEN last_number + counted.news
                               ELSE news_number END,
            last_number = last_number + counted.events, last_event_at = counted.last,
            updated_at = counted.last,
            ended_at = CASE WHEN counted.reopens THEN NULL ELSE ended_at END,
            end_reason = CASE WHEN counted.reopens THEN '' ELSE end_reason END
        FROM counted
        WHERE session.id = counted.session_id AND session.id = ANY (ARRAY(SELECT id FROM locked))
        RETURNING session.id, last_number - counted.events AS before),
    ordinary AS MATERIALIZED (
        SELECT given.*, before + nth AS number
        FROM given LEFT JOIN numbered ON numbered.id = given.session_id
        WHERE given.session_id IS NULL OR numbered.id IS NOT NULL),
    events AS (
        INSERT INTO observations_event (session_id, number, id, team_id, project_id, source_adapter,
            source_event_id, dedupe_key, event_type, platform_source, payload, metadata, removed,
            occurred_at, received_at, created_at)
        SELECT session_id, number, id, team_id, project_id, source_adapter,
            source_event_id, dedupe_key, event_type, platform_source, payload, metadata, removed,
            occurred_at, received_at, created_at
        FROM ordinary ORDER BY dedupe_key COLLATE "C"),
    entered AS (
        INSERT INTO observations_auditentry (created_at, action, resource_type, resource_id,
            team_id, project_id, api_key_id, actor_id, details)
        SELECT created_at, entry->>'action', entry->>'resource_type', id,
            team_id, project_id, entry->>'api_key_id', entry->>'actor_id',
            entry->'details' || jsonb_strip_nulls(jsonb_build_object(
                'serverSessionId', session_id, 'generationJobId', job_id))
        FROM ordinary WHERE entry IS NOT NULL ORDER BY place),
    asked AS (
        SELECT place, job_id, queue_job_id, coalesce(lane_of_session, lane_key) AS lane_key, kind,
            max_attempts, size, team_id, project_id, session_id,
            source_type, source_id, coalesce(number, 0) AS covers, origin
        FROM ordinary WHERE job_id IS NOT NULL),
    {entering.ENQUEUE}
    SELECT place, ordinary.session_id, number, lane_of_session, seq, seq = head,
        at AT TIME ZONE 'UTC'
    FROM ordinary LEFT JOIN placed USING (place)"""  # noqa: S608


def write(these: Sequence[Ordinary], *, patience: float | None = None) -> list[Written | None]:
    """Write those of the deliveries that are ordinary, with their jobs; None for each other one.

    With `patience` (seconds) no lock is waited for longer. Raises IntegrityError, with nothing
    written, if one of them is just being written by another.
    """
    limit = None if patience is None else str(round(patience * 1000))
    jobs = [new_id() if one.job else None for one in these]
    given = [_given(place, these[place], jobs[place]) for place in _unrepeated(these)]
    results: list[Written | None] = [None] * len(these)
    rows = direct.fetch(_WRITE, [limit, orjson.dumps(given).decode()]) if given else []
    for place, *found in rows:
        results[place] = _written(these[place], jobs[place], *found)
    return results


def _unrepeated(these: Sequence[Ordinary]) -> list[int]:
    """The places of those that repeat none before them: the statement cannot see that."""
    keys: set[str] = set()
    places = []
    for place, one in enumerate(these):
        if keys.isdisjoint(one.repeats):
            keys.add(one.delivery.key)
            places.append(place)
    return places


def _given(place: int, one: Ordinary, job_id: str | None) -> dict[str, object]:
    delivery = one.delivery
    return {
        **(outbox.described(one.job, job_id) if one.job and job_id else {}),
        **deliveries.described(delivery),
        "place": place,
        "session": one.session,
        "repeats": one.repeats,
        "may_repeat": one.may_repeat,
        "news": delivery.is_news,
        "reopens": delivery.reopens,
        "entry": audit.described(one.entry) if one.entry else None,
    }


def _written(
    one: Ordinary, job_id: str | None, session_id: str | None, number: int | None,
    lane_key: str | None, seq: int, is_head: bool, at: Any,
) -> Written:  # fmt: skip
    one.delivery.event.session_id, one.delivery.event.number = session_id, number
    if one.job is None or job_id is None:
        return Written(None)
    job = outbox.placed(one.job, session_id, number or 0, lane_key or one.job.lane_key)
    return Written(Enqueued(job_id, job, seq, is_head, direct.moment(at)))


def write_shared(one: Ordinary) -> Written | None:
    """The same for one, together with all who come while others are being written.

    Nobody waits long for others, or pays for their faults: where a statement is stuck (one of its
    sessions is locked) or fails, each goes alone; not where the database itself failed. Raises
    StorageAway where that has but one writer, and it is stuck.
    """
    if direct.vendor() == "sqlite":
        return commits.shared.run(lambda: _written_here(one))
    if direct.in_transaction():
        with transaction.atomic():
            return write([one])[0]
    try:
        written: Written | None = _shared.share(one)
    except (StorageAway, IntegrityError, DataError):
        return write([one])[0]
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) not in _OF_LOCKS:
            raise
        return write([one])[0]
    return written


# A lock was waited for too long; two statements waited for each other.
_OF_LOCKS = ("55P03", "40P01")


def _write_group(group: Sequence[Write[Ordinary]]) -> None:
    items = [turn.item for turn in group]
    # Who is alone would only wait again.
    done = write(items, patience=STUCK if len(items) > 1 else None)
    for turn, written in zip(group, done, strict=True):
        turn.result = written


_shared: Sharing[Ordinary] = Sharing(_write_group)


# SQLite: the session takes the next number if all is ordinary. There are three repeats at most.
_UNHEARD = "NOT EXISTS (SELECT 1 FROM observations_event WHERE dedupe_key IN (%s, %s, %s))"
_UNHEARD_ALONE = f"SELECT 1 WHERE {_UNHEARD}"
_TAKE = f"""
    UPDATE observations_session SET
        news_number = CASE WHEN %s THEN last_number + 1 ELSE news_number END,
        last_number = last_number + 1, last_event_at = %s, updated_at = %s,
        ended_at = CASE WHEN %s THEN NULL ELSE ended_at END,
        end_reason = CASE WHEN %s THEN '' ELSE end_reason END
    WHERE identity_key = %s AND (ended_at IS NULL OR NOT %s) AND {_UNHEARD}
    RETURNING id, lane_key, last_number"""  # noqa: S608


def _written_here(one: Ordinary) -> Written | None:
    """Write one on SQLite, if it is ordinary. Must be called inside a transaction."""
    found = _place_of(one)
    if not found:
        return None
    event, job, row = one.delivery.event, one.job, None
    ((event.session_id, lane_key, event.number),) = found
    deliveries.insert(one.delivery)
    if job:
        lane_key = lane_key or job.lane_key
        row = outbox.append(outbox.placed(job, event.session_id, event.number or 0, lane_key))
    if one.entry:
        made = {"serverSessionId": event.session_id, "generationJobId": row.id if row else None}
        audit.enter(audit.row(one.entry, one.delivery.received, **made))
    return Written(row)


def _place_of(one: Ordinary) -> list[tuple[Any, ...]]:
    """The session, its lane and the number in it, of a delivery that is ordinary; else nothing."""
    first, *others = one.repeats
    repeats = (first, *(others or (first, first)))
    if one.session is None:
        return [(None, None, None)] if direct.fetch(_UNHEARD_ALONE, repeats) else []
    delivery, at = one.delivery, one.delivery.received
    return direct.fetch(
        _TAKE,
        (delivery.is_news, at, at, delivery.reopens, delivery.reopens, one.session,
         one.may_repeat, *repeats),
    )  # fmt: skip
