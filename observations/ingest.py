"""The only writer of events: one transaction for session, event, job and lane; then a nudge.

A batch is the normal case, one event is a list of one.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError

from observations import (
    agents,
    audit,
    commits,
    deliveries,
    entries,
    hook_calls,
    hook_facts,
    ordinary,
    projects,
    sessions,
)
from observations.agents import Agent, HookPayload
from observations.captured import Captured, jobs_of
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.entries import Entry
from observations.errors import StorageAway
from observations.hook_calls import HookCall
from observations.hook_facts import HookFacts
from observations.identity import fingerprint, lane_key, platform
from observations.incoming import Links
from observations.incoming import NewEvent as NewEvent
from observations.incoming import SessionRef as SessionRef
from observations.models import Event, Session
from observations.ordinary import Ordinary
from observations.privacy import scrub, scrub_text
from observations.projects import Belonging
from observations.sessions import NewSession
from queueing import direct, kinds, outbox, retention
from queueing.kinds import Kind
from queueing.outbox import SKIPPED, Enqueued, NewJob

# An estimate: how many characters of JSON make a token.
_CHARACTERS_A_TOKEN = 4

# Batches that share events with several others may meet another of them each time.
_MOST_COLLISIONS = 5


def capture(
    team_id: str, events: Sequence[NewEvent], *, origin: dict[str, Any], kind: Kind
) -> tuple[Captured, ...]:
    """Store `events`, all or none, each with its job; the answers are in their order.

    Raises Forbidden for a project or session of another tenant, InvalidInput for a payload that
    cannot be stored.
    """
    clean = _at_home(team_id, [_scrubbed(new) for new in events])
    if kind is kinds.EVENT and len(clean) == 1:
        written = _ordinary_event(team_id, clean[0], origin)
        if written:
            return (written,)
    return _stored(lambda: _arrived(team_id, clean, origin, kind))


def _at_home(team_id: str, news: Sequence[NewEvent]) -> list[NewEvent]:
    """The events in the projects that are meant. Raises Forbidden for another tenant's."""
    meant = {each: sessions.require_project(team_id, each) for each in {n.project_id for n in news}}
    if all(named == project for named, project in meant.items()):
        return list(news)
    return [replace(new, project_id=meant[new.project_id], home_id=new.project_id) for new in news]


def capture_hook(
    team_id: str,
    project_id: str | None,
    payload: JSON,
    *,
    origin: dict[str, Any],
    agent: Agent = agents.CLAUDE_CODE,
    kind: Kind = kinds.EVENT,
    facts: HookFacts = hook_facts.NONE,
) -> Captured:
    """Store an agent's hook payload, with its session, and the job that it calls for.

    Without `project_id` its session's project is decided at its first event (`projects.of_hook`).
    `facts` is what its client says beside it. Raises InvalidInput naming the unusable field.
    """
    call = hook_calls.understood(payload, agent, facts)
    return capture_call(team_id, project_id, call, origin=origin, kind=kind)


def capture_call(
    team_id: str,
    project_id: str | None,
    call: HookCall,
    *,
    origin: dict[str, Any],
    kind: Kind = kinds.EVENT,
) -> Captured:
    """The same for a payload that is understood already."""
    where = projects.of_hook(team_id, project_id, call)
    written = _ordinary_hook(team_id, where, call.hook, call.removed, origin, kind)
    if written:
        return written
    arrived = partial(_arrived_hook, team_id, where, call.hook, call.removed, origin, kind)
    return _stored(arrived)[0]


def _ordinary_event(team_id: str, new: NewEvent, origin: dict[str, Any]) -> Captured | None:
    """The event, if it was ordinary enough to be written with those of others."""
    delivery = _delivery(team_id, new, Links(team_id, [new]).find(new), direct.now())
    key = delivery.session.identity_key if delivery.session else None
    if delivery.session and not key:
        return None
    return _ordinary(delivery, key, origin, kinds.EVENT, observed=new.generate)


def _ordinary_hook(
    team_id: str,
    where: Belonging,
    hook: HookPayload,
    removed: dict[str, int],
    origin: dict[str, Any],
    kind: Kind,
) -> Captured | None:
    """The payload's event, if it was ordinary enough to be written with those of others."""
    if hook.makes == "summary" or hook.end_reason:
        return None
    delivery = _hook_delivery(team_id, where, hook, removed, direct.now())
    key = sessions.key_of(team_id, _hook_session(where, hook))
    replay = bool(delivery.likeness)
    observed = hook.makes == "observation"
    return _ordinary(delivery, key, origin, kind, observed=observed, replay=replay)


def _ordinary(
    delivery: Delivery,
    session: str | None,
    origin: dict[str, Any],
    kind: Kind,
    *,
    observed: bool,
    replay: bool = False,
) -> Captured | None:
    job = _observation_job(delivery, kind, origin) if observed else None
    (entry,) = entries.captured([delivery.event], (), origin)
    one = Ordinary(delivery, job, session, entry, delivery.keys, replay)
    try:
        written = ordinary.write_shared(one)
    except IntegrityError:
        return None
    if written is None:
        return None
    if written.row is None:
        return Captured(delivery.event, SKIPPED, duplicate=False)
    transport = outbox.publish_enqueued([written.row])
    return Captured(delivery.event, transport, duplicate=False, row=written.row)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a transaction found and wrote: for each delivery its event, and the jobs."""

    events: tuple[Event, ...]
    known: frozenset[str]
    rows: tuple[Enqueued, ...]


# Reads what a write needs before its transaction; the write itself is what is returned.
Arrival = Callable[[], Callable[[], _Written]]


def _stored(arrival: Arrival) -> tuple[Captured, ...]:
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


def _answers(written: _Written, transport: str) -> tuple[Captured, ...]:
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


def _scrubbed(new: NewEvent) -> NewEvent:
    payload, metadata = scrub(new.payload), scrub(new.metadata)
    assert isinstance(metadata.value, dict)
    return replace(
        new,
        payload=payload.value,
        metadata=metadata.value,
        removed={**metadata.removed, **payload.removed},
        event_type=scrub_text(new.event_type),
        generate=new.generate and not agents.asks_memory(payload.value),
        platform_source=platform(sessions.clean_name(new.platform_source)),
        source_event_id=sessions.clean_name(new.source_event_id),
        tool_use_id=sessions.clean_name(new.tool_use_id),
        session=replace(
            new.session, content_session_id=sessions.clean_name(new.session.content_session_id)
        ),
    )


def _arrived(
    team_id: str, news: list[NewEvent], origin: dict[str, Any], kind: Kind
) -> Callable[[], _Written]:
    links, now = Links(team_id, news), direct.now()
    asked = [_delivery(team_id, new, links.find(new), now) for new in news]
    silent = {one.key for one, new in zip(asked, news, strict=True) if not new.generate}

    def write() -> _Written:
        found = deliveries.known(asked)
        fresh = {one.key: one for one in asked if one.key not in found}
        jobs = {
            one.key: _observation_job(one, kind, origin)
            for one in fresh.values()
            if one.key not in silent
        }
        again = [
            replace(one, event=found[one.key])
            for one in asked
            if one.key in found and one.key not in silent
        ]
        rows = _written(list(fresh.values()), jobs, _late(again, kind, origin))
        entered = entries.batch_captured if kind is kinds.EVENT_BATCH else entries.captured
        audit.write(entered([one.event for one in fresh.values()], rows, origin))
        for one in asked:
            if known := found.get(one.key):
                deliveries.add(known, one.event)
        events = tuple(found.get(one.key) or fresh[one.key].event for one in asked)
        return _Written(events, frozenset(event.id for event in found.values()), rows)

    return write


def _late(known: Sequence[Delivery], kind: Kind, origin: dict[str, Any]) -> list[NewJob]:
    """The jobs of events that came without asking for one before, and ask now."""
    found = {one.event.id: one for one in known}
    for event_id in jobs_of(list(found)):
        del found[event_id]
    # Of an old one it cannot be told any more whether it was observed.
    found = {
        event_id: one
        for event_id, one in found.items()
        if not retention.may_be_pruned(one.event.created_at)
    }
    return [_observation_job(one, kind, origin) for one in found.values()]


def _written(
    fresh: Sequence[Delivery], jobs: Mapping[str, NewJob], late: Sequence[NewJob]
) -> tuple[Enqueued, ...]:
    """Write deliveries, their jobs and `late` ones; on PostgreSQL at once, if all are ordinary."""
    named = all(one.session is None or one.session.identity_key for one in fresh)
    if direct.vendor() == "postgresql" and named and not late:
        done = ordinary.write([
            Ordinary(one, jobs.get(one.key), one.session.identity_key if one.session else None)
            for one in fresh
        ])  # fmt: skip
        if None in done:
            raise IntegrityError("another wrote one of the events, or took away its session")
        return tuple(each.row for each in done if each and each.row)
    deliveries.write(fresh)
    prompt = [
        replace(jobs[one.key], session_id=one.event.session_id, covers=one.event.number or 0)
        for one in fresh
        if one.key in jobs
    ]
    return outbox.enqueue([*late, *prompt])


def _delivery(team_id: str, new: NewEvent, session: Session | None, now: datetime) -> Delivery:
    event = direct.instance(Event, {
        "team_id": team_id,
        "project_id": new.project_id,
        "source_adapter": new.source_adapter,
        "source_event_id": new.source_event_id or new.tool_use_id,
        "event_type": new.event_type,
        "platform_source": new.platform_source,
        "payload": new.payload,
        "metadata": new.metadata,
        "removed": new.removed,
        "occurred_at": new.occurred_at or now,
        "received_at": now,
        "created_at": now,
    })  # fmt: skip
    content = new.session.content_session_id
    # The same name, whether the session was named by its client's id or by ours.
    name = content or (session and (session.content_session_id or session.id)) or None
    home = (session.home_id if session else new.home_id) or event.project_id
    delivery = deliveries.delivered(event, new.source_event_id or _tool_use(new, name), name, home)
    delivery.session, delivery.content_session_id = session, content
    delivery.is_news = not agents.asks_memory(event.payload)
    return delivery


def _tool_use(new: NewEvent, session: str | None) -> str | None:
    """What tells a second delivery of a tool's use from a second use.

    Agents number them within a session: without one, two are told apart by what they say as well.
    """
    tool_use = new.tool_use_id or _tool_use_id(new.payload)
    if tool_use is None or session is not None:
        return tool_use
    return f"{tool_use}:{fingerprint(new.payload)}"


def _tool_use_id(payload: JSON) -> str | None:
    for name in ("tool_use_id", "toolUseId"):
        value = payload.get(name) if isinstance(payload, dict) else None
        if isinstance(value, str) and value:
            return value
    return None


def _observation_job(delivery: Delivery, kind: Kind, origin: dict[str, Any]) -> NewJob:
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
        size=delivery.size // _CHARACTERS_A_TOKEN,
        covers=event.number or 0,
        origin=origin,
    )


def _arrived_hook(
    team_id: str,
    where: Belonging,
    hook: HookPayload,
    removed: dict[str, int],
    origin: dict[str, Any],
    kind: Kind,
) -> Callable[[], _Written]:
    now = direct.now()
    new = _hook_session(where, hook)
    session = sessions.known(team_id, new)
    if session is None and (moved := projects.of_moved(team_id, where, hook)):
        return _arrived_hook(team_id, moved, hook, removed, origin, kind)
    delivery = _hook_delivery(team_id, where, hook, removed, now)

    def write() -> _Written:
        delivery.session = session or sessions.found_or_made(team_id, new, now, origin)[0]
        earlier = deliveries.known([delivery]).get(delivery.key)
        if earlier := earlier or deliveries.known_after_end(delivery):
            return _Written((earlier,), frozenset([earlier.id]), ())
        deliveries.write([delivery])
        rows = outbox.enqueue(_hook_jobs(hook, delivery, delivery.session, origin, kind))
        audit.write(_hook_entries(delivery, delivery.session, rows, origin))
        return _Written((delivery.event,), frozenset(), rows)

    return write


def _hook_delivery(
    team_id: str, where: Belonging, hook: HookPayload, removed: dict[str, int], now: datetime
) -> Delivery:
    event = direct.instance(Event, {
        "team_id": team_id,
        "project_id": where.project_id,
        "source_adapter": hook.adapter,
        "event_type": hook.event_type,
        "platform_source": hook.platform,
        "payload": hook.body,
        "removed": removed,
        "occurred_at": hook.occurred_at or now,
        "received_at": now,
        "created_at": now,
    })  # fmt: skip
    delivery = deliveries.delivered(event, hook.own_id, hook.session_id, where.home_id)
    delivery.is_news, delivery.reopens = hook.is_news, hook.reopens_session
    delivery.ends = hook.end_reason
    return delivery


def _hook_jobs(
    hook: HookPayload, delivery: Delivery, session: Session, origin: dict[str, Any], kind: Kind
) -> list[NewJob]:
    if hook.makes == "observation":
        return [_observation_job(delivery, kind, origin)]
    if hook.makes == "summary" and sessions.has_news(session):
        return [sessions.summary(session, origin, delivery.event.id)]
    return []


def _hook_entries(
    delivery: Delivery, session: Session, rows: Sequence[Enqueued], origin: dict[str, Any]
) -> list[Entry]:
    ended = [entries.session(entries.SESSION_END, session, origin)] if delivery.ends else []
    return [*entries.captured([delivery.event], rows, origin), *ended]


def _hook_session(where: Belonging, hook: HookPayload) -> NewSession:
    return NewSession(
        project_id=where.project_id,
        external_session_id=hook.session_id[:500],
        content_session_id=hook.session_id[:500],
        platform_source=hook.platform,
        cwd=hook.cwd,
        home_id=where.home_id,
        branch=where.branch,
        part=where.part,
    )
