"""What a transcript tells of a session and no hook brought, captured as if one had.

It may be broken off anywhere and begun again: what is stored is known again by the same keys under
which hooks store, so nothing is stored twice, whichever came first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from django.conf import settings
from django.db.models.fields.json import KT

from observations import agents, audit, completeness, deliveries, entries, sessions
from observations.agents import HookPayload
from observations.completeness import Completeness, Fact, Told
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.ingest import (
    _hook_delivery,
    _hook_session,
    _observation_job,
    _project_named,
    _stored,
    _Written,
)
from observations.models import Session
from observations.privacy import scrub, scrub_text
from observations.transcript_files import Reading, Transcript
from observations.transcripts import Counts
from queueing import direct, kinds, outbox

AGENT = agents.CLAUDE_CODE
# So many events share a transaction: live captures wait for none longer than that.
AT_ONCE = 100
_CHARACTERS_A_TOKEN = 4
# What the door keeps of a string at most, and so what a payload of one long string is about.
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Read:
    """What a transcript tells: its facts with their sizes in characters, and what was left out."""

    told: Told
    sizes: tuple[int, ...]
    cwd: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be captured of a transcript: the places of its payloads, and what they cost.

    `cwd` is where the session began. `events` is how many payloads there are, `observed` how many
    of the missing ones a provider is to be asked about, `tokens` an estimate of what it is shown.
    """

    transcript: Transcript
    cwd: str
    events: int
    missing: frozenset[int]
    observed: int
    tokens: int
    counts: Counts


@dataclass(slots=True)
class Taken:
    """What became of a plan: events that were stored, known after all, or could not be."""

    stored: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


def session_of(team_id: str, session_id: str) -> Session | None:
    """The team's session that its agent calls so, the latest if there are several."""
    rows = Session.objects.filter(
        team_id=team_id, content_session_id=session_id, platform_source=AGENT.platform
    )
    return rows.select_related("project").order_by("-started_at").first()


def read(transcript: Transcript) -> Read:
    """Read the whole transcript. Raises OSError."""
    reading = Reading(transcript, settings.SESSION_IDLE_SECONDS)
    facts: list[Fact] = []
    sizes: list[int] = []
    cwd = ""
    for payload in reading.payloads():
        cwd = cwd or str(payload.get("cwd", ""))
        facts.append(_told(payload))
        sizes.append(_size(payload))
    told = Told(tuple(facts), frozenset(reading.uses))
    return Read(told, tuple(sizes), cwd, reading.counts)


def plan(team_id: str, transcript: Transcript) -> Plan:
    """Read the transcript and see what of it is missing. Raises OSError."""
    found, session = read(transcript), session_of(team_id, transcript.session_id)
    facts = found.told.facts
    lost = completeness.missing(facts, captured(session) if session else [])
    observed = [place for place in lost if facts[place].event_type in _OBSERVED]
    return Plan(
        transcript,
        found.cwd,
        len(facts),
        frozenset(lost),
        len(observed),
        sum(found.sizes[place] for place in observed) // _CHARACTERS_A_TOKEN,
        found.counts,
    )


_OBSERVED = completeness.RESULTS | {completeness.AGENT_STOP}


def captured(session: Session) -> list[Fact]:
    """The facts of the session's events, in their order."""
    fields = {name: KT(f"payload__{name}") for name in completeness.FIELDS}
    rows = session.events.order_by("number").values_list(
        "event_type", "occurred_at", *fields.values()
    )
    return [
        completeness.fact(kind, dict(zip(fields, values, strict=True)), at.timestamp())
        for kind, at, *values in rows.iterator()
    ]


def completeness_of(session: Session, told: Told | None) -> Completeness:
    """What of the session was captured and what is missing, also by its transcript if `told`."""
    return completeness.completeness(captured(session), told)


def take(team_id: str, found: Plan, *, origin: dict[str, Any]) -> Iterator[Taken]:
    """Capture what is missing, portion by portion; says after each what became of it.

    Raises OSError, and what storing raises; what was said to be stored is stored then.
    """
    session = session_of(team_id, found.transcript.session_id)
    project = (
        session.project_id if session else _project_named(team_id, agents.project_name(found.cwd))
    )
    reading = Reading(found.transcript, settings.SESSION_IDLE_SECONDS)
    wanted = (one for place, one in enumerate(reading.payloads()) if place in found.missing)
    left = len(found.missing)
    while portion := list(islice(wanted, AT_ONCE)):
        left -= len(portion)
        yield _portion(team_id, project, portion, last=left <= 0, origin=origin)


def _portion(
    team_id: str,
    project_id: str,
    portion: Sequence[dict[str, JSON]],
    *,
    last: bool,
    origin: dict[str, Any],
) -> Taken:
    taken = Taken()
    hooks = []
    for payload in portion:
        try:
            scrubbed = scrub(payload)
            hook = AGENT.understand(scrubbed.value)
            removed = scrubbed.removed
            one = _hook_delivery(team_id, project_id, hook, removed, direct.now())
            hooks.append((hook, one))
        except InvalidInput as error:
            taken.refused.append(str(error))
    done = _stored(lambda: _arrival(team_id, project_id, hooks, last, origin)) if hooks else ()
    taken.known = sum(one.duplicate for one in done)
    taken.stored = len(done) - taken.known
    return taken


def _arrival(
    team_id: str,
    project_id: str,
    hooks: Sequence[tuple[HookPayload, Delivery]],
    last: bool,
    origin: dict[str, Any],
) -> Callable[[], _Written]:
    new = _hook_session(project_id, hooks[0][0])
    first = hooks[0][1].event.occurred_at

    def write() -> _Written:
        session = sessions.found_or_made(team_id, new, first, origin)[0]
        before = Session.objects.select_for_update().get(pk=session.pk)
        for _, one in hooks:
            # What is told late opens nothing again.
            one.session, one.reopens = session, False
        found = deliveries.known([one for _, one in hooks])
        fresh = {one.key: (hook, one) for hook, one in reversed(hooks) if one.key not in found}
        written = [one for _, one in reversed(fresh.values())]
        deliveries.write(written)
        ended = _dated(before, written)
        jobs = [
            _observation_job(one, kinds.EVENT_BATCH, origin)
            for one in written
            if fresh[one.key][0].makes == "observation"
        ]
        if last and ended and sessions.has_news(session):
            jobs.append(sessions.summary(session, origin))
        rows = outbox.enqueue(jobs)
        audit.write(entries.batch_captured([one.event for one in written], rows, origin))
        events = tuple(found.get(one.key) or fresh[one.key][1].event for _, one in hooks)
        return _Written(events, frozenset(event.id for event in found.values()), rows)

    return write


def _dated(before: Session, fresh: Sequence[Delivery]) -> bool:
    """Give the session the times at which all this happened; whether it has ended.

    `before` is its row before anything of it was written here.
    """
    moments = [one.event.occurred_at for one in fresh]
    ends = [one.event.occurred_at for one in fresh if one.ends]
    if not fresh:
        return before.ended_at is not None
    # A session that was made for these has had no event yet.
    latest = [before.last_event_at] if before.last_number else []
    times: dict[str, datetime] = {
        "started_at": min(before.started_at, *moments),
        "last_event_at": max([*latest, *moments]),
    }
    if ends:
        times["ended_at"] = max([*ends, *([before.ended_at] if before.ended_at else [])])
    Session.objects.filter(pk=before.pk).update(**times)
    return bool(ends) or before.ended_at is not None


def _told(payload: dict[str, JSON]) -> Fact:
    """The fact of a payload, in the words that the door would leave of it."""
    told = {name: payload.get(name) for name in completeness.FIELDS}
    for name in ("prompt", "last_assistant_message"):
        if isinstance(said := told[name], str):
            told[name] = scrub_text(said)
    at = payload["timestamp"]
    return completeness.fact(
        str(payload["hook_event_name"]), told, at if isinstance(at, float) else 0.0
    )


def _size(payload: dict[str, JSON]) -> int:
    try:
        return min(len(orjson.dumps(payload)), _LONGEST)
    except orjson.JSONEncodeError:
        return 0  # nested too deep to be stored: it will be told then
