"""What those who write events share: a hook's event and session, an event's job, the commit.

`ingest` writes what comes by a door, `backfill` and `takeover` what happened before.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from observations import commits, deliveries
from observations.agents import HookPayload
from observations.captured import Captured, jobs_of
from observations.deliveries import Delivery
from observations.errors import StorageAway
from observations.identity import lane_key
from observations.models import Event
from observations.projects import Belonging
from observations.sessions import NewSession
from queueing import direct, outbox
from queueing.kinds import Kind
from queueing.outbox import SKIPPED, Enqueued, NewJob

# An estimate: how many characters of JSON make a token.
CHARACTERS_A_TOKEN = 4

# So much of a session's branch and part is kept (characters).
_LONGEST_FACET = 250
# So far ahead of ours a client's clock may be.
_FAST = timedelta(days=1)

# Batches that share events with several others may meet another of them each time.
_MOST_COLLISIONS = 5


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction found and wrote: for each delivery its event, and the jobs."""

    events: tuple[Event, ...]
    known: frozenset[str]
    rows: tuple[Enqueued, ...]


# Reads what a write needs before its transaction; the write itself is what is returned.
Arrival = Callable[[], Callable[[], Written]]


def stored(arrival: Arrival) -> tuple[Captured, ...]:
    """Commit what has arrived, and publish what that enqueued.

    Two equal deliveries at once collide in a unique key; the second then finds the first's rows.
    Raises StorageAway where the same are being delivered over and over.
    """
    for _ in range(_MOST_COLLISIONS):
        with suppress(IntegrityError):
            written = commits.shared.run(arrival())
            break
    else:
        raise StorageAway("the same events are just being stored by others: send them again")
    return _answers(written, outbox.publish_enqueued(written.rows))


def _answers(written: Written, transport: str) -> tuple[Captured, ...]:
    fresh = {row.new.asked_by or row.new.source_id: row for row in written.rows}
    earlier = jobs_of([event.id for event in written.events if event.id in written.known])
    answered: set[str] = set()
    answers = []
    for event in written.events:
        row, job = fresh.get(event.id), earlier.get(event.id)
        again = event.id in written.known or event.id in answered
        answered.add(event.id)
        how = transport if row else outbox.ENQUEUED if job else SKIPPED
        answers.append(Captured(event, how, again, row, job))
    return tuple(answers)


def observation_job(delivery: Delivery, kind: Kind, origin: dict[str, Any]) -> NewJob:
    """The job that observes the event of `delivery`."""
    event, session = delivery.event, delivery.session
    lane = (
        session.lane_key
        if session
        else lane_key(
            delivery.home_id or event.project_id, delivery.content_session_id, None, event.id
        )
    )
    return NewJob(
        kind=kind,
        lane_key=lane,
        queue_job_id=kind.job_id(event.id),
        source_id=event.id,
        team_id=event.team_id,
        project_id=event.project_id,
        session_id=event.session_id,
        size=delivery.size // CHARACTERS_A_TOKEN,
        covers=event.number or 0,
        origin=origin,
    )


def hook_delivery(
    team_id: str, where: Belonging, hook: HookPayload, removed: dict[str, int], now: datetime
) -> Delivery:
    """The delivery of a hook's payload, from which the door `removed` so much."""
    event = direct.instance(Event, {
        "team_id": team_id,
        "project_id": where.project_id,
        "source_adapter": hook.adapter,
        "event_type": hook.event_type,
        "platform_source": hook.platform,
        "payload": hook.body,
        "removed": removed,
        "occurred_at": _moment(hook.occurred_at, now),
        "received_at": now,
        "created_at": now,
    })  # fmt: skip
    delivery = deliveries.delivered(event, hook.own_id, hook.session_id, where.home_id)
    delivery.is_news, delivery.reopens = hook.is_news, hook.reopens_session
    delivery.ends = hook.end_reason
    return delivery


def _moment(said: datetime | None, now: datetime) -> datetime:
    """When a hook ran: what is to come has not, and would stay the newest that is remembered."""
    return now if said is None or said > now + _FAST else said


def hook_session(where: Belonging, hook: HookPayload) -> NewSession:
    """The session that a hook's payload names."""
    return NewSession(
        project_id=where.project_id,
        external_session_id=hook.session_id[:500],
        content_session_id=hook.session_id[:500],
        platform_source=hook.platform,
        cwd=hook.cwd,
        home_id=where.home_id,
        branch=where.branch[:_LONGEST_FACET],
        part=where.part[:_LONGEST_FACET],
    )
