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

from observations import (
    agents,
    audit,
    completeness,
    deliveries,
    entries,
    hook_calls,
    hook_policies,
    projects,
    sessions,
    switches,
)
from observations.arriving import (
    CHARACTERS_A_TOKEN,
    Written,
    hook_delivery,
    hook_session,
    observation_job,
    stored,
)
from observations.completeness import Completeness, Fact, Told
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.hook_calls import HookCall
from observations.hook_facts import HookFacts
from observations.hook_policies import ALL_ON, Switches
from observations.models import Session
from observations.places import Place
from observations.privacy import scrub_text
from observations.projects import Belonging
from observations.sessions import NewSession
from observations.transcript_files import Reading, Transcript
from observations.transcripts import Counts
from queueing import direct, kinds, outbox

AGENT = agents.CLAUDE_CODE
# So many events share a transaction: live captures wait for none longer than that.
AT_ONCE = 100
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
    """What became of a plan: events that were stored, known after all, or could not be.

    `kept_out`: its project's captures are switched off.
    """

    stored: int = 0
    known: int = 0
    kept_out: int = 0
    refused: list[str] = field(default_factory=list)


def session_of(team_id: str, session_id: str) -> Session | None:
    """The team's session that its agent calls so; of several the first, as hooks have it."""
    rows = Session.objects.filter(
        team_id=team_id, content_session_id=session_id, platform_source=AGENT.platform
    )
    return rows.select_related("project").order_by("started_at", "id").first()


def read(transcript: Transcript, session: Session | None = None) -> Read:
    """Read the whole transcript but for what is not to be captured. Raises OSError."""
    reading = Reading(transcript, settings.SESSION_IDLE_SECONDS)
    facts: list[Fact] = []
    sizes: list[int] = []
    cwd = ""
    for payload in _wanted(reading, session):
        cwd = cwd or str(payload.get("cwd", ""))
        facts.append(_told(payload))
        sizes.append(_size(payload))
    told = Told(tuple(facts), frozenset(reading.uses))
    return Read(told, tuple(sizes), cwd, reading.counts)


def plan(team_id: str, transcript: Transcript) -> Plan:
    """Read the transcript and see what of it is missing. Raises OSError."""
    session = session_of(team_id, transcript.session_id)
    found = read(transcript, session)
    facts = found.told.facts
    lost = completeness.missing(facts, captured(session) if session else [])
    observed = [place for place in lost if facts[place].event_type in _OBSERVED]
    return Plan(
        transcript,
        found.cwd,
        len(facts),
        frozenset(lost),
        len(observed),
        sum(found.sizes[place] for place in observed) // CHARACTERS_A_TOKEN,
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


def take(
    team_id: str,
    found: Plan,
    *,
    origin: dict[str, Any],
    look: Callable[[str], Place | None] | None = None,
) -> Iterator[Taken]:
    """Capture what is missing, portion by portion; says after each what became of it.

    `look` reads the place of a directory of this machine. Raises OSError, and what storing raises;
    what was said to be stored is stored then.
    """
    session = session_of(team_id, found.transcript.session_id)
    reading = Reading(found.transcript, settings.SESSION_IDLE_SECONDS)
    payloads = enumerate(_wanted(reading, session))
    wanted = (one for place, one in payloads if place in found.missing)
    left = len(found.missing)
    while portion := list(islice(wanted, AT_ONCE)):
        left -= len(portion)
        facts = HookFacts(look=look, entrypoint=reading.entrypoint)
        yield _portion(team_id, portion, facts, last=left <= 0, origin=origin)


def _wanted(reading: Reading, session: Session | None) -> Iterator[dict[str, JSON]]:
    """What the transcript tells, but for what settings and switches keep out."""
    switched = switches.of(session.project_id) if session else ALL_ON
    for payload in reading.payloads():
        facts = HookFacts(entrypoint=reading.entrypoint)
        try:
            call = HookCall(AGENT, AGENT.understand(payload), {}, facts)
        except InvalidInput:
            yield payload  # why not is told when it is to be stored
            continue
        if _is_stored(call, switched):
            yield payload


def _is_stored(call: HookCall, switched: Switches) -> bool:
    return hook_policies.verdict(call, settings.HOOK_POLICIES, switched).store


def _portion(
    team_id: str,
    portion: Sequence[dict[str, JSON]],
    facts: HookFacts,
    *,
    last: bool,
    origin: dict[str, Any],
) -> Taken:
    taken = Taken()
    where: Belonging | None = None
    found: list[tuple[HookCall, Delivery]] = []
    for payload in portion:
        try:
            call = hook_calls.understood(payload, AGENT, facts)
            where = where or projects.of_hook(team_id, None, call)
            if not _is_stored(call, switches.of(where.project_id)):
                taken.kept_out += 1
                continue
            one = hook_delivery(team_id, where, call.hook, call.removed, direct.now())
            found.append((call, one))
        except InvalidInput as error:
            taken.refused.append(str(error))
    if where and found:
        new = hook_session(where, found[0][0].hook)
        done = stored(lambda: _arrival(team_id, new, found, last, origin))
        taken.known = sum(one.duplicate for one in done)
        taken.stored = len(done) - taken.known
    return taken


def _arrival(
    team_id: str,
    new: NewSession,
    calls: Sequence[tuple[HookCall, Delivery]],
    last: bool,
    origin: dict[str, Any],
) -> Callable[[], Written]:
    first = calls[0][1].event.occurred_at

    def write() -> Written:
        session = sessions.found_or_made(team_id, new, first, origin)[0]
        before = Session.objects.select_for_update(no_key=True).get(pk=session.pk)
        for _, one in calls:
            # What is told late opens nothing again.
            one.session, one.reopens = session, False
        known = deliveries.known([one for _, one in calls])
        fresh = {one.key: (call, one) for call, one in reversed(calls) if one.key not in known}
        written = [one for _, one in reversed(fresh.values())]
        deliveries.write(written)
        ended = _dated(before, written)
        jobs = [
            observation_job(one, kinds.EVENT_BATCH, origin)
            for one in written
            if fresh[one.key][0].hook.makes == "observation"
        ]
        if last and ended and sessions.has_news(session):
            jobs.append(sessions.summary(session, origin))
        rows = outbox.enqueue(jobs)
        audit.write(entries.batch_captured([one.event for one in written], rows, origin))
        if any(one.ends for one in written):
            audit.write([entries.session(entries.SESSION_END, session, origin)])
        events = tuple(known.get(one.key) or fresh[one.key][1].event for _, one in calls)
        return Written(events, frozenset(event.id for event in known.values()), rows)

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
