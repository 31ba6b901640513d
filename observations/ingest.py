"""Writes events that come by a door: one transaction for session, event, job and lane; a nudge.

A batch is the normal case, one event is a list of one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError

from observations import (
    agents,
    audit,
    deliveries,
    entries,
    hook_calls,
    hook_facts,
    links,
    ordinary,
    projects,
    sessions,
)
from observations.agents import Agent, HookPayload
from observations.arriving import Written, hook_delivery, hook_session, observation_job, stored
from observations.captured import Captured, jobs_of
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.entries import Entry
from observations.hook_calls import HookCall
from observations.hook_facts import HookFacts
from observations.identity import fingerprint, platform
from observations.links import Links, NewEvent, SessionRef
from observations.models import Event, Session
from observations.ordinary import Ordinary
from observations.privacy import scrub, scrub_text
from observations.projects import Belonging
from queueing import direct, kinds, outbox, retention
from queueing.kinds import Kind
from queueing.outbox import SKIPPED, Enqueued, NewJob

__all__ = ["NewEvent", "SessionRef", "capture", "capture_call", "capture_hook"]


def capture(
    team_id: str, events: Sequence[NewEvent], *, origin: dict[str, Any], kind: Kind
) -> tuple[Captured, ...]:
    """Store `events`, all or none, each with its job; the answers are in their order.

    Raises Forbidden for a project or session of another tenant, InvalidInput for a payload that
    cannot be stored.
    """
    clean = [_scrubbed(new) for new in events]
    if kind is kinds.EVENT and len(clean) == 1:
        home, session = links.alone(team_id, clean[0])
        written = _ordinary_event(team_id, home, session, origin)
        if written:
            return (written,)
        clean = [home]
    else:
        clean = links.at_home(team_id, clean)
    return stored(lambda: _arrived(team_id, clean, origin, kind))


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
    return stored(arrived)[0]


def _ordinary_event(
    team_id: str, new: NewEvent, session: Session | None, origin: dict[str, Any]
) -> Captured | None:
    """The event, if it was ordinary enough to be written with those of others."""
    delivery = _delivery(team_id, new, session, direct.now())
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
    delivery = hook_delivery(team_id, where, hook, removed, direct.now())
    key = sessions.key_of(team_id, hook_session(where, hook))
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
    job = observation_job(delivery, kind, origin) if observed else None
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


def _scrubbed(new: NewEvent) -> NewEvent:
    payload, metadata = scrub(new.payload), scrub(new.metadata)
    assert isinstance(metadata.value, dict)
    content = sessions.clean_name(new.session.content_session_id)
    session = new.session
    if content != session.content_session_id:
        session = replace(session, content_session_id=content)
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
        session=session,
    )


def _arrived(
    team_id: str, news: list[NewEvent], origin: dict[str, Any], kind: Kind
) -> Callable[[], Written]:
    links, now = Links(team_id, news), direct.now()
    asked = [_delivery(team_id, new, links.find(new), now) for new in news]
    silent = {one.key for one, new in zip(asked, news, strict=True) if not new.generate}

    def write() -> Written:
        found = deliveries.known(asked)
        fresh = {one.key: one for one in asked if one.key not in found}
        jobs = {
            one.key: observation_job(one, kind, origin)
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
        again_told = [(found[one.key], one.event) for one in asked if one.key in found]
        # Each is locked: two batches that have the same in another order must not wait crosswise.
        for known, event in sorted(again_told, key=lambda pair: pair[0].pk):
            deliveries.add(known, event)
        events = tuple(found.get(one.key) or fresh[one.key].event for one in asked)
        return Written(events, frozenset(event.id for event in found.values()), rows)

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
    return [observation_job(one, kind, origin) for one in found.values()]


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


def _arrived_hook(
    team_id: str,
    where: Belonging,
    hook: HookPayload,
    removed: dict[str, int],
    origin: dict[str, Any],
    kind: Kind,
) -> Callable[[], Written]:
    now = direct.now()
    new = hook_session(where, hook)
    session = sessions.known(team_id, new)
    if session is None and (moved := projects.of_moved(team_id, where, hook)):
        return _arrived_hook(team_id, moved, hook, removed, origin, kind)
    delivery = hook_delivery(team_id, where, hook, removed, now)

    def write() -> Written:
        delivery.session = session or sessions.found_or_made(team_id, new, now, origin)[0]
        earlier = deliveries.known([delivery]).get(delivery.key)
        if earlier := earlier or deliveries.known_after_end(delivery):
            return Written((earlier,), frozenset([earlier.id]), ())
        deliveries.write([delivery])
        rows = outbox.enqueue(_hook_jobs(hook, delivery, delivery.session, origin, kind))
        audit.write(_hook_entries(delivery, delivery.session, rows, origin))
        return Written((delivery.event,), frozenset(), rows)

    return write


def _hook_jobs(
    hook: HookPayload, delivery: Delivery, session: Session, origin: dict[str, Any], kind: Kind
) -> list[NewJob]:
    if hook.makes == "observation":
        return [observation_job(delivery, kind, origin)]
    if hook.makes == "summary" and sessions.has_news(session):
        return [sessions.summary(session, origin, delivery.event.id)]
    return []


def _hook_entries(
    delivery: Delivery, session: Session, rows: Sequence[Enqueued], origin: dict[str, Any]
) -> list[Entry]:
    ended = [entries.session(entries.SESSION_END, session, origin)] if delivery.ends else []
    return [*entries.captured([delivery.event], rows, origin), *ended]
