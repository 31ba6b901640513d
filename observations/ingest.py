"""The only writer of events: one transaction for session, event, job and lane; then a nudge.

A batch is the normal case, one event is a list of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from observations import commits, deliveries, hook_payloads, sessions
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.errors import Forbidden
from observations.hook_payloads import HookPayload
from observations.identity import compact, lane_key, platform
from observations.models import Event, Project, Session
from observations.privacy import scrub, scrub_text
from observations.sessions import NewSession
from queueing import kinds, outbox
from queueing.kinds import Kind
from queueing.models import GenerationJob
from queueing.outbox import SKIPPED, Enqueued, NewJob

# An estimate: how many characters of JSON make a token.
_CHARACTERS_A_TOKEN = 4

_OF_EVENTS = (kinds.EVENT, kinds.EVENT_BATCH)


@dataclass(frozen=True, slots=True)
class SessionRef:
    """How an event names its session: by our id, or by the client's content id.

    `platform_given`: the client said which platform (even None), so only its sessions match.
    """

    server_session_id: str | None = None
    content_session_id: str | None = None
    platform_given: bool = False


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as a client reports it. `occurred_at` None means now."""

    project_id: str
    event_type: str
    source_adapter: str
    payload: JSON
    occurred_at: datetime | None = None
    session: SessionRef = SessionRef()
    platform_source: str | None = None
    source_event_id: str | None = None
    metadata: dict[str, JSON] = field(default_factory=dict)
    generate: bool = True
    removed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Captured:
    """What became of one delivery; a duplicate has the event and job of the first."""

    event: Event
    job: GenerationJob | None
    transport: str
    duplicate: bool


def capture(
    team_id: str, events: Sequence[NewEvent], *, origin: dict[str, Any], kind: Kind
) -> tuple[Captured, ...]:
    """Store `events`, all or none, each with its job; the answers are in their order.

    Raises Forbidden for a project or session of another tenant, InvalidInput for a payload that
    cannot be stored.
    """
    clean = [_scrubbed(new) for new in events]
    return _stored(lambda: _capture(team_id, clean, origin, kind))


def capture_hook(
    team_id: str, project_id: str | None, payload: JSON, *, origin: dict[str, Any]
) -> Captured:
    """Store a Claude Code hook payload, with its session, and the job that it calls for.

    Without `project_id` the project is the one of the team that is named like the last part of
    the payload's `cwd`; it is made if need be. Raises InvalidInput naming the unusable field.
    """
    scrubbed = scrub(payload)
    hook = hook_payloads.understand(scrubbed.value)
    return _stored(lambda: _capture_hook(team_id, project_id, hook, scrubbed.removed, origin))[0]


def _stored(write: Any) -> tuple[Captured, ...]:
    """Commit what `write` writes, and publish what it enqueued.

    Two equal deliveries at once collide in a unique key; the second then finds the first's rows.
    """
    try:
        return _committed(write)
    except IntegrityError:
        return _committed(write)


def _committed(write: Any) -> tuple[Captured, ...]:
    captured, enqueued = commits.shared.run(write)
    transport = outbox.publish_enqueued(enqueued)
    fresh = {row.id for row in enqueued}
    return tuple(
        replace(one, transport=transport) if one.job and one.job.id in fresh else one
        for one in captured
    )


def _scrubbed(new: NewEvent) -> NewEvent:
    payload, metadata = scrub(new.payload), scrub(new.metadata)
    assert isinstance(metadata.value, dict)
    return replace(
        new,
        payload=payload.value,
        metadata=metadata.value,
        removed={**metadata.removed, **payload.removed},
        event_type=scrub_text(new.event_type),
        platform_source=platform(new.platform_source),
    )


Written = tuple[list[Captured], tuple[Enqueued, ...]]


def _capture(team_id: str, news: list[NewEvent], origin: dict[str, Any], kind: Kind) -> Written:
    for project_id in sorted({new.project_id for new in news}):
        sessions.require_project(team_id, project_id)
    links, now = _Links(team_id), timezone.now()
    asked = [_delivery(new, links.find(new), now) for new in news]
    keyed = [(delivery, delivery.keys()) for delivery in asked]
    found = deliveries.known(keyed)
    fresh = {keys[0]: (d, new) for (d, keys), new in zip(keyed, news, strict=True)
             if keys[0] not in found}  # fmt: skip
    numbered = deliveries.numbered(delivery for delivery, _ in fresh.values())
    events = deliveries.insert(team_id, numbered, fresh)
    rows = outbox.enqueue([
        _observation_job(event, delivery, kind, origin)
        for event, delivery, (_, new) in zip(events, numbered, fresh.values(), strict=True)
        if new.generate
    ])  # fmt: skip
    made = dict(zip(fresh, events, strict=True))
    return _answers([keys[0] for _, keys in keyed], found, made, rows), rows


def _delivery(new: NewEvent, session: Session | None, now: datetime) -> Delivery:
    return Delivery(
        project_id=new.project_id,
        event_type=new.event_type,
        source_adapter=new.source_adapter,
        payload=new.payload,
        payload_text=compact(new.payload),
        occurred_at=new.occurred_at or now,
        received_at=now,
        own_id=new.source_event_id or _tool_use_id(new.payload),
        content_session_id=new.session.content_session_id,
        session=session,
        platform_source=new.platform_source,
        source_event_id=new.source_event_id,
        metadata=new.metadata,
        removed=new.removed,
    )


def _tool_use_id(payload: JSON) -> str | None:
    for name in ("tool_use_id", "toolUseId"):
        value = payload.get(name) if isinstance(payload, dict) else None
        if isinstance(value, str) and value:
            return value
    return None


def _answers(
    asked: Sequence[str],
    found: dict[str, Event],
    made: dict[str, Event],
    rows: Sequence[Enqueued],
) -> list[Captured]:
    jobs = _jobs_of([event.id for event in found.values()])
    jobs.update({row.new.source_id: as_job(row) for row in rows})
    answered: set[str] = set()
    answers = []
    for key in asked:
        event = found.get(key) or made[key]
        answers.append(_captured(event, jobs.get(event.id), key in found or key in answered))
        answered.add(key)
    return answers


def _captured(event: Event, job: GenerationJob | None, duplicate: bool) -> Captured:
    return Captured(event, job, outbox.ENQUEUED if job else SKIPPED, duplicate)


def _jobs_of(event_ids: list[str]) -> dict[str, GenerationJob]:
    if not event_ids:
        return {}
    names = [kind.job_id(event_id) for event_id in event_ids for kind in _OF_EVENTS]
    return {job.source_id: job for job in GenerationJob.objects.filter(queue_job_id__in=names)}


class _Links:
    """Finds the sessions that events name; the same question is asked once a batch."""

    def __init__(self, team_id: str) -> None:
        self._team_id = team_id
        self._known: dict[tuple[object, ...], Session | None] = {}

    def find(self, new: NewEvent) -> Session | None:
        ref = new.session
        place = new.platform_source if ref.platform_given else ...
        asked = (new.project_id, ref.server_session_id, ref.content_session_id, place)
        if asked not in self._known:
            self._known[asked] = self._look_up(new)
        return self._known[asked]

    def _look_up(self, new: NewEvent) -> Session | None:
        ours = Session.objects.filter(team_id=self._team_id, project_id=new.project_id)
        if new.session.server_session_id is not None:
            if session := ours.filter(pk=new.session.server_session_id).first():
                return session
            raise Forbidden("server_session_id must belong to project_id and team_id")
        if not new.session.content_session_id:
            return None
        same = ours.filter(content_session_id=new.session.content_session_id)
        if new.session.platform_given:
            same = same.filter(platform_source=new.platform_source)
        return same.order_by("-started_at").first()


def _observation_job(
    event: Event, delivery: Delivery, kind: Kind, origin: dict[str, Any]
) -> NewJob:
    session = delivery.session
    return NewJob(
        kind=kind,
        lane_key=session.lane_key
        if session
        else lane_key(event.project_id, delivery.content_session_id, None, event.id),
        queue_job_id=kind.job_id(event.id),
        source_id=event.id,
        team_id=event.team_id,
        project_id=event.project_id,
        session_id=event.session_id,
        size=len(delivery.payload_text) // _CHARACTERS_A_TOKEN,
        covers=event.number or 0,
        origin=origin,
    )


def _capture_hook(
    team_id: str,
    project_id: str | None,
    hook: HookPayload,
    removed: dict[str, int],
    origin: dict[str, Any],
) -> Written:
    now = timezone.now()
    project = project_id or _project_named(team_id, hook_payloads.project_name(hook.cwd))
    session, _ = sessions.found_or_made(team_id, _hook_session(project, hook), now)
    delivery = _hook_delivery(project, hook, session, removed, now)
    keyed = [(delivery, delivery.keys())]
    earlier = next(iter(deliveries.known(keyed).values()), None)
    if earlier := earlier or deliveries.known_after_end(delivery):
        return [_captured(earlier, _jobs_of([earlier.id]).get(earlier.id), True)], ()
    (numbered,) = deliveries.numbered([delivery])
    (event,) = deliveries.insert(team_id, [numbered], [keyed[0][1][0]])
    rows = outbox.enqueue(_hook_jobs(hook, numbered, event, origin))
    return [_captured(event, as_job(rows[0]) if rows else None, False)], rows


def _hook_delivery(
    project_id: str, hook: HookPayload, session: Session, removed: dict[str, int], now: datetime
) -> Delivery:
    return Delivery(
        project_id=project_id,
        event_type=hook.event_type,
        source_adapter=hook_payloads.ADAPTER,
        payload=hook.body,
        payload_text=compact(hook.body),
        occurred_at=hook.occurred_at or now,
        received_at=now,
        own_id=hook.own_id,
        content_session_id=hook.session_id,
        session=session,
        platform_source=hook_payloads.PLATFORM,
        removed=removed,
        is_news=hook.is_news,
        reopens=hook.reopens_session,
        ends=hook.end_reason,
    )


def _hook_jobs(
    hook: HookPayload, delivery: Delivery, event: Event, origin: dict[str, Any]
) -> list[NewJob]:
    session = delivery.session
    if hook.makes == "observation":
        return [_observation_job(event, delivery, kinds.EVENT, origin)]
    if hook.makes == "summary" and session and sessions.has_news(session):
        return [sessions.summary(session, origin)]
    return []


def _hook_session(project_id: str, hook: HookPayload) -> NewSession:
    return NewSession(
        project_id=project_id,
        external_session_id=hook.session_id[:500],
        content_session_id=hook.session_id[:500],
        platform_source=hook_payloads.PLATFORM,
        cwd=hook.cwd,
    )


def _project_named(team_id: str, name: str) -> str:
    project, _ = Project.objects.get_or_create(team_id=team_id, name=name)
    return project.id


def as_job(row: Enqueued) -> GenerationJob:
    """The job that was just written, as its row, without reading it back."""
    new = row.new
    return GenerationJob(
        id=row.id,
        queue_job_id=new.queue_job_id,
        seq=row.seq,
        kind=new.kind.name,
        max_attempts=new.kind.max_attempts,
        due_at=row.created_at,
        team_id=new.team_id,
        project_id=new.project_id,
        session_id=new.session_id,
        source_type=new.kind.source_type,
        source_id=new.source_id,
        covers=new.covers,
        created_at=row.created_at,
        updated_at=row.created_at,
    )
