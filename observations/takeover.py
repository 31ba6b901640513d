"""The memory of claude-mem taken over: its sessions, observations, summaries, prompts and queue.

Every row has a key made of what it is, so that whatever was taken over before is known again.
Sessions come first: the rest names them. A portion is a transaction.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction

from observations import (
    agents,
    audit,
    claude_mem_rows,
    deliveries,
    entries,
    identity,
    projects,
    sessions,
)
from observations.arriving import Written, hook_delivery, observation_job, stored
from observations.claude_mem_file import ClaudeMem
from observations.claude_mem_rows import ADAPTER, Row, asked, moment, text, unfit, unfit_message
from observations.deliveries import Delivery
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import digest
from observations.models import Event, Observation, Session, new_id
from observations.places import UNKNOWN
from observations.privacy import scrub, scrub_name
from observations.projects import Belonging
from observations.search.terms import parts
from observations.sessions import NewSession
from queueing import direct, kinds, outbox
from queueing.outbox import NewJob

# So many rows share a transaction.
AT_ONCE = 250
END_REASON = "imported"
# What is taken over, in this order.
TABLES = ("sdk_sessions", "observations", "session_summaries", "user_prompts", "pending_messages")


@dataclass(slots=True)
class Tally:
    """What became of a table's rows. `left_out` counts those that were not taken, by reason."""

    table: str
    rows: int = 0
    taken: int = 0
    known: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Takeover:
    """A database of claude-mem on its way into a team's memory."""

    source: ClaudeMem
    team_id: str
    origin: dict[str, Any]
    _projects: dict[str, Belonging] = field(default_factory=dict)
    # Our session and its project: by claude-mem's two names of it, and by its number there.
    _by_memory: dict[str, tuple[str, str]] = field(default_factory=dict)
    _by_number: dict[int, Session] = field(default_factory=dict)
    _by_name: dict[str, Session] = field(default_factory=dict)
    _merged: dict[str, str] = field(default_factory=dict)

    def run(self, moved: Callable[[int], None] = lambda _: None) -> list[Tally]:
        """Take everything over; `moved` is told of rows that are done with.

        It may be broken off and run again. Raises InvalidInput for a file that is damaged: what
        was moved by then is stored.
        """
        self._merged = self._merges()
        steps: tuple[Callable[[Sequence[Row], Tally], None], ...] = (
            self._sessions, self._observations, self._summaries, self._prompts, self._pending,
        )  # fmt: skip
        tallies = []
        for table, take in zip(TABLES, steps, strict=True):
            tally = Tally(table)
            for rows in self.source.rows(table, AT_ONCE):
                tally.rows += len(rows)
                take(rows, tally)
                moved(len(rows))
            tallies.append(tally)
        return tallies

    def _merges(self) -> dict[str, str]:
        """The projects that sessions of worktrees were joined to, as their observations say."""
        found = {}
        for rows in self.source.rows("observations", AT_ONCE):
            for row in rows:
                if merged := text(row, "merged_into_project"):
                    found[text(row, "memory_session_id")] = merged
        return found

    def _project(self, name: str) -> Belonging:
        if name not in self._projects:
            kept = scrub_name(name.strip())[: projects.LONGEST_NAME]
            self._projects[name] = projects.named(self.team_id, kept or UNKNOWN)
        return self._projects[name]

    # --- sessions -------------------------------------------------------------------------------

    def _sessions(self, rows: Sequence[Row], tally: Tally) -> None:
        fit = []
        for row in rows:
            if reason := unfit(claude_mem_rows.begun(row), text(row, "content_session_id")):
                tally.left_out[reason] += 1
            else:
                fit.append(row)
        known = self._known([_named(row)[0] for row in fit])
        made: dict[tuple[str, str | None], Session] = {}
        for row in fit:
            name = _named(row)
            if name not in known and name not in made:
                made[name] = self._session(row, *name)
        known |= self._made(made)
        for row in fit:
            session = known[_named(row)]
            self._by_number[int(row["id"])] = session
            self._by_name.setdefault(session.content_session_id or "", session)
            if memory := text(row, "memory_session_id"):
                self._by_memory[memory] = session.id, session.project_id
        tally.taken += len(made)
        tally.known += len(fit) - len(made)

    def _made(self, new: Mapping[tuple[str, str | None], Session]) -> dict[Any, Session]:
        """Write the sessions; those that somebody else has just made are theirs."""
        keys = {session.identity_key: name for name, session in new.items()}
        with transaction.atomic():
            Session.objects.bulk_create(new.values(), ignore_conflicts=True)
            rows = list(Session.objects.filter(identity_key__in=list(keys)))
            ours = {session.id for session in new.values()} & {row.id for row in rows}
            audit.write(
                entries.session(entries.SESSION_WRITE, row, self.origin)
                for row in rows
                if row.id in ours
            )
        return {keys[row.identity_key]: row for row in rows}

    def _known(self, names: Sequence[str]) -> dict[tuple[str, str | None], Session]:
        rows = Session.objects.filter(team_id=self.team_id, content_session_id__in=names)
        return {
            (row.content_session_id or "", row.platform_source): row
            for row in rows.order_by("started_at")
        }

    def _session(self, row: Row, name: str, platform: str | None) -> Session:
        at = moment(row, "started_at") or direct.now()
        project = self._merged.get(text(row, "memory_session_id")) or text(row, "project")
        where = self._project(project)
        new = NewSession(
            where.project_id, external_session_id=name, content_session_id=name,
            platform_source=platform, home_id=where.home_id,
        )  # fmt: skip
        title = text(row, "custom_title")
        said = scrub({"title": title} if title else {}).value
        ended = moment(row, "completed_at") or at
        session = Session(
            team_id=self.team_id,
            project_id=new.project_id,
            home_id=new.home_id,
            identity_key=sessions.key_of(self.team_id, new),
            external_session_id=new.external_session_id,
            content_session_id=new.content_session_id,
            platform_source=platform,
            metadata={"importedFrom": ADAPTER, **(said if isinstance(said, dict) else {})},
            started_at=at,
            last_event_at=ended,
            # Nothing is to be made of it any more: what there is was made by claude-mem.
            ended_at=ended,
            end_reason=END_REASON,
            created_at=direct.now(),
            updated_at=direct.now(),
        )
        session.lane_key = identity.lane_key(
            new.home_id or new.project_id,
            new.content_session_id,
            new.external_session_id,
            session.id,
        )
        return session

    # --- observations and summaries -------------------------------------------------------------

    def _observations(self, rows: Sequence[Row], tally: Tally) -> None:
        self._memories("observations", rows, tally, claude_mem_rows.observation)

    def _summaries(self, rows: Sequence[Row], tally: Tally) -> None:
        self._memories("session_summaries", rows, tally, claude_mem_rows.summary)

    def _memories(
        self,
        table: str,
        rows: Sequence[Row],
        tally: Tally,
        told: Callable[[Row], dict[str, Any] | None],
    ) -> None:
        keyed = {self._key(table, row): row for row in rows}
        found = Observation.objects.filter(generation_key__in=list(keyed))
        known = set(found.values_list("generation_key", flat=True))
        fresh = []
        for key, row in keyed.items():
            if key in known:
                continue
            at, fields = moment(row), told(row)
            if reason := unfit(row, fields["content"] if fields else ""):
                tally.left_out[reason] += 1
            elif at and fields:
                fresh.append(self._memory(key, row, at, fields))
        with transaction.atomic():
            Observation.objects.bulk_create(fresh, ignore_conflicts=True)
            audit.write(entries.imported(self.team_id, fresh, self.origin))
        tally.taken += len(fresh)
        tally.known += len(known)

    def _memory(self, key: str, row: Row, at: datetime, fields: dict[str, Any]) -> Observation:
        where = self._project(text(row, "merged_into_project") or text(row, "project"))
        project = where.project_id
        session, place = self._by_memory.get(text(row, "memory_session_id"), (None, None))
        now = direct.now()
        return Observation(
            **fields,
            id=new_id(),
            team_id=self.team_id,
            project_id=project,
            # A session is of one project; what it remembered of others stands there alone.
            session_id=session if place == project else None,
            parts=parts(
                fields["title"], fields["narrative"] or fields["content"], *fields["facts"],
                *fields["files_read"], *fields["files_modified"],
            ),
            generation_key=key,
            occurred_at=at,
            created_at=now,
            updated_at=now,
        )  # fmt: skip

    def _key(self, table: str, row: Row) -> str:
        """The same for a row wherever it was copied to, and for no other of the team."""
        number = text(row, "origin_local_id") if row.get("origin_device_id") else ""
        place = text(row, "memory_session_id") or text(row, "content_session_id")
        told: list[JSON] = [self.team_id, table, place, number or text(row, "id")]
        return f"{ADAPTER}:v1:{digest([*told, text(row, 'created_at_epoch')])}"

    # --- prompts and what waits -----------------------------------------------------------------

    def _prompts(self, rows: Sequence[Row], tally: Tally) -> None:
        found = []
        for row in rows:
            at, session = moment(row), self._session_of(row)
            if reason := unfit(row, text(row, "prompt_text"), named=session is not None):
                tally.left_out[reason] += 1
            elif at and session:
                told = claude_mem_rows.prompt(row, _called(session), at)
                own_id = self._key("user_prompts", row)
                found += self._delivery(tally, session, told, own_id)
        ours = self._asked_here({one.session.id for one in found if one.session})
        late = [one for one in found if asked(one.event.payload) not in ours.get(_of(one), ())]
        tally.known += len(found) - len(late)
        self._write(late, {}, tally)

    def _asked_here(self, ids: set[str]) -> dict[str, set[str]]:
        """What hooks captured of the prompts of these sessions."""
        rows = Event.objects.filter(session__in=ids, event_type="UserPromptSubmit")
        ours: dict[str, set[str]] = {}
        for session_id, payload in rows.exclude(source_adapter=ADAPTER).values_list(
            "session_id", "payload"
        ):
            ours.setdefault(session_id or "", set()).add(asked(payload))
        return ours

    def _pending(self, rows: Sequence[Row], tally: Tally) -> None:
        found: list[Delivery] = []
        jobs: dict[str, bool] = {}
        for row in rows:
            at, session = moment(row), self._session_of(row)
            if reason := unfit_message(row, named=session is not None):
                tally.left_out[reason] += 1
            elif at and session:
                told = claude_mem_rows.payload(row, _called(session), at)
                for one in self._delivery(tally, session, told):
                    jobs[one.key] = text(row, "message_type") == "summarize"
                    found.append(one)
        self._write(found, jobs, tally)

    def _session_of(self, row: Row) -> Session | None:
        number = row.get("session_db_id")
        if isinstance(number, int) and number in self._by_number:
            return self._by_number[number]
        return self._by_name.get(sessions.clean_name(text(row, "content_session_id")) or "")

    def _delivery(
        self, tally: Tally, session: Session, payload: dict[str, JSON], own_id: str | None = None
    ) -> list[Delivery]:
        """The payload's delivery; none if it cannot be stored, which is counted."""
        try:
            scrubbed = scrub(payload)
            hook = agents.CLAUDE_CODE.understand(scrubbed.value)
            given: dict[str, Any] = {"platform": session.platform_source or hook.platform}
            if own_id:
                given |= {"own_id": own_id, "adapter": ADAPTER}
            where, hook = Belonging(session.project_id, session.home_id), replace(hook, **given)
            one = hook_delivery(self.team_id, where, hook, scrubbed.removed, direct.now())
        except InvalidInput as error:
            tally.left_out[f"cannot be stored: {error}"] += 1
            return []
        one.session, one.reopens, one.is_news = session, False, own_id is None
        return [one]

    def _write(self, found: Sequence[Delivery], asks: Mapping[str, bool], tally: Tally) -> None:
        """Write those that are not known; `asks` says of which a job is made, and if a summary."""

        def write() -> Written:
            known = deliveries.known(found)
            fresh = {one.key: one for one in found if one.key not in known}
            deliveries.write(fresh.values())
            _date(fresh.values())
            rows = outbox.enqueue(list(self._jobs(fresh.values(), asks)))
            audit.write(
                entries.batch_captured([one.event for one in fresh.values()], rows, self.origin)
            )
            events = tuple(known.get(one.key) or fresh[one.key].event for one in found)
            return Written(events, frozenset(event.id for event in known.values()), rows)

        done = stored(lambda: write) if found else ()
        again = sum(one.duplicate for one in done)
        tally.known += again
        tally.taken += len(done) - again

    def _jobs(self, fresh: Iterable[Delivery], asks: Mapping[str, bool]) -> Iterator[NewJob]:
        for one in fresh:
            if one.key not in asks:
                continue
            if not asks[one.key]:
                yield observation_job(one, kinds.EVENT_BATCH, self.origin)
            elif one.session and sessions.has_news(one.session):
                yield sessions.summary(one.session, self.origin, one.event.id)


def _date(fresh: Iterable[Delivery]) -> None:
    """Leave the sessions that were taken over at their own time, at which this was said."""
    touched = {}
    for one in fresh:
        if (session := one.session) and session.end_reason == END_REASON:
            session.last_event_at = max(session.last_event_at, one.event.occurred_at)
            session.ended_at = max(session.ended_at or session.started_at, session.last_event_at)
            touched[session.id] = session
    Session.objects.bulk_update(touched.values(), ["last_event_at", "ended_at"])


def _named(row: Row) -> tuple[str, str | None]:
    """What its agent and platform call a session."""
    name = sessions.clean_name(text(row, "content_session_id")) or ""
    platform = text(row, "platform_source") or agents.CLAUDE_CODE.platform
    return name[:500], identity.platform(platform)


def _called(session: Session) -> str:
    return session.content_session_id or session.id


def _of(one: Delivery) -> str:
    return one.session.id if one.session else ""
