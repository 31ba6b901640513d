"""Sessions: started, ended, closed when idle. The one place that decides when a summary is due."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from observations import audit, entries, identity
from observations.drafts import JSON
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Forbidden, NotFound, StorageAway
from observations.models import Session
from observations.privacy import scrub, scrub_name
from queueing import direct, kinds, outbox
from queueing.models import GenerationJob
from queueing.outbox import NewJob

IDLE = "idle"
BY_SILENCE: dict[str, Any] = {"source": IDLE}
OTHER_PROJECT = "project_id must belong to team_id"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# So often at most a session is deleted that was just found.
_MOST_COLLISIONS = 5
# So much of what is no id is said again.
_MOST_SAID = 100


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session as its client names it; `platform_source` as sent, not yet canonical.

    `home_id` is the project by whose id it is known, where that was put into `project_id`.
    """

    project_id: str
    external_session_id: str | None = None
    content_session_id: str | None = None
    agent_id: str | None = None
    agent_type: str | None = None
    platform_source: str | None = None
    cwd: str = ""
    metadata: dict[str, JSON] = field(default_factory=dict)
    home_id: str | None = None
    branch: str = ""
    part: str = ""


def start(team_id: str, new: NewSession, *, origin: Origin = BY_PROGRAM) -> tuple[Session, bool]:
    """The session that `new` names, and whether it was made now.

    A session that had ended is open again: agents resume. What is said of one that is known is
    added to its metadata. `origin` is who asks. Raises Forbidden for a project of another team,
    StorageAway where others keep making and deleting that session.
    """
    new = _clean(new, require_project(team_id, new.project_id))
    for _ in range(_MOST_COLLISIONS):
        with suppress(IntegrityError), transaction.atomic():
            found, created = found_or_made(team_id, new, direct.now(), origin)
            # One that is deleted since it was found is made anew.
            session = found if created else _gone_on(found, new, origin)
            if session:
                return session, created
    raise StorageAway("the session is just being made and deleted by others: start it again")


def _gone_on(found: Session, new: NewSession, origin: Origin) -> Session | None:
    """All of a session that is known, with what is said of it now; None if it is gone."""
    rows = Session.objects.filter(pk=found.pk)
    if not (found.ended_at or new.metadata):
        return rows.first()
    session = rows.select_for_update(no_key=True).first()
    if session and (changed := [*_reopened(session), *_told(session, new.metadata)]):
        session.updated_at = direct.now()
        session.save(update_fields=[*changed, "updated_at"])
        audit.write([entries.session(entries.SESSION_WRITE, session, origin)])
    return session


def _reopened(session: Session) -> list[str]:
    """Open the session again, if it had ended; the columns that differ then."""
    if not session.ended_at:
        return []
    session.ended_at, session.end_reason = None, ""
    # Silence is counted from now.
    session.last_event_at = direct.now()
    return ["ended_at", "end_reason", "last_event_at"]


def _told(session: Session, metadata: dict[str, JSON]) -> list[str]:
    """Add to what is known of the session; the columns that differ then."""
    if not metadata:
        return []
    before, said = session.metadata, scrub(metadata).value
    assert isinstance(said, dict)
    session.metadata = {**before, **said}
    return ["metadata"] if session.metadata != before else []


def _clean(new: NewSession, project_id: str) -> NewSession:
    return replace(
        new,
        project_id=project_id,
        home_id=new.project_id if project_id != new.project_id else None,
        external_session_id=clean_name(new.external_session_id),
        content_session_id=clean_name(new.content_session_id),
        agent_id=clean_name(new.agent_id),
        agent_type=clean_name(new.agent_type),
        platform_source=clean_name(new.platform_source),
    )


def clean_name(value: str | None) -> str | None:
    """A name that a client gave, without secrets; None stays None."""
    return None if value is None else scrub_name(value)


# By `project_id` and `team_id`: every event asks this.
_OURS = """
    SELECT coalesce(merged_into_id, id) FROM observations_project WHERE id = %s AND team_id = %s"""


def require_project(team_id: str, project_id: str) -> str:
    """The project that is meant: itself, or the one that it was merged into.

    Raises Forbidden unless it is the team's.
    """
    for (meant,) in direct.fetch(_OURS, [project_id, team_id]):
        return str(meant)
    raise foreign(project_id, OTHER_PROJECT)


def foreign(project_id: str, said: str) -> Forbidden:
    """The refusal of a project that is not the caller's, in the words `said`.

    What cannot be anybody's id is a name, say: that is told, and where ids are. Of an id nothing
    is, so that nobody learns which there are.
    """
    if _ID.fullmatch(project_id):
        return Forbidden(said)
    named = project_id[:_MOST_SAID]
    return Forbidden(f"{said}: {named!r} is no id of a project; GET /v1/projects tells the ids")


def found_or_made(
    team_id: str, new: NewSession, at: datetime, origin: Origin
) -> tuple[Session, bool]:
    """The session row for `new`, and whether this call made it; two callers get the same one.

    Must be called inside a transaction. Raises IntegrityError where another that has just made it
    has deleted it too.
    """
    key = key_of(team_id, new)
    if key and (session := _found(key)):
        return session, False
    try:
        with transaction.atomic():
            session = _made(team_id, new, key, at)
            audit.write([entries.session(entries.SESSION_WRITE, session, origin)])
            return session, True
    except IntegrityError:
        # Another caller made it between our look and our insert.
        session = _found(key) if key else None
        if session is None:
            raise
        return session, False


# Whether a session is there, until the transaction ends.
_STAYS = """
    SELECT 1 FROM observations_session WHERE id = %s AND project_id = coalesce(%s, project_id)"""


def stays(session_id: str, project_id: str | None = None) -> bool:
    """Whether there is the session, which is that project's if one is named.

    It stays until the transaction ends: who deletes it waits, or is waited for.
    """
    locked = " FOR KEY SHARE" if direct.vendor() == "postgresql" else ""
    return bool(direct.fetch(_STAYS + locked, [session_id, project_id]))


_KNOWN = (
    "id", "team_id", "project_id", "lane_key", "last_number", "news_number", "summarised_number",
    "ended_at", "end_reason",
)  # fmt: skip
_FIND = f"SELECT {', '.join(_KNOWN)} FROM observations_session WHERE identity_key = %s"  # noqa: S608
_LINKED = (
    "id", "team_id", "project_id", "home_id", "identity_key", "lane_key", "content_session_id",
    "platform_source", "last_number", "news_number", "summarised_number", "ended_at", "end_reason",
)  # fmt: skip
_OF_CONTENT = f"""
    SELECT {", ".join(_LINKED)} FROM observations_session
    WHERE team_id = %s AND content_session_id = %s ORDER BY started_at DESC"""  # noqa: S608
# Both at once, for events that come alone: of a project without such sessions, itself.
_AT_HOME = f"""
    SELECT coalesce(project.merged_into_id, project.id),
        {", ".join(f"session.{name}" for name in _LINKED)}
    FROM observations_project AS project LEFT JOIN observations_session AS session
        ON session.team_id = project.team_id AND session.content_session_id = %s
    WHERE project.id = %s AND project.team_id = %s ORDER BY session.started_at DESC"""  # noqa: S608


def known(team_id: str, new: NewSession) -> Session | None:
    """The session that `new` names, if it was made before."""
    key = key_of(team_id, new)
    return _found(key) if key else None


def key_of(team_id: str, new: NewSession) -> str | None:
    """The identity key of the session that `new` names; None if it names none."""
    return identity.session_key(
        team_id,
        new.home_id or new.project_id,
        external=new.external_session_id,
        content=new.content_session_id,
        agent_id=new.agent_id,
        agent_type=new.agent_type,
        platform_source=identity.platform(new.platform_source),
    )


def _found(key: str) -> Session | None:
    """The session of that identity; fields that captures do not need are loaded when asked for.

    Every capture asks this, and a bare statement costs a tenth of what the ORM's would.
    """
    for row in direct.fetch(_FIND, [key]):
        return _read(_KNOWN, *row)
    return None


def of_content(team_id: str, content_session_id: str) -> list[Session]:
    """The team's sessions with that content id, newest first; the rest of each loads when asked."""
    rows = direct.fetch(_OF_CONTENT, [team_id, content_session_id])
    return [_read(_LINKED, *row) for row in rows]


def at_home(team_id: str, project_id: str, content_session_id: str) -> tuple[str, list[Session]]:
    """What `require_project` and `of_content` return, in one statement. Raises Forbidden."""
    rows = direct.fetch(_AT_HOME, [content_session_id, project_id, team_id])
    if not rows:
        raise foreign(project_id, OTHER_PROJECT)
    return rows[0][0], [_read(_LINKED, *row) for _, *row in rows if row[0] is not None]


def _read(names: Sequence[str], *row: Any) -> Session:
    columns = dict(zip(names, row, strict=True))
    if ended_at := columns["ended_at"]:
        columns["ended_at"] = direct.moment(ended_at)
    return direct.stored_row(Session, columns)


def _made(team_id: str, new: NewSession, key: str | None, at: datetime) -> Session:
    session = Session(
        team_id=team_id,
        project_id=new.project_id,
        identity_key=key,
        external_session_id=new.external_session_id,
        content_session_id=new.content_session_id,
        agent_id=new.agent_id,
        agent_type=new.agent_type,
        platform_source=identity.platform(new.platform_source),
        cwd=new.cwd,
        home_id=new.home_id,
        branch=new.branch or None,
        part=new.part or None,
        metadata=scrub(new.metadata).value,
        started_at=at,
        last_event_at=at,
        created_at=at,
        updated_at=at,
    )
    home = new.home_id or new.project_id
    session.lane_key = identity.lane_key(
        home, new.content_session_id, new.external_session_id, session.id
    )
    session.save(force_insert=True)
    return session


def end(
    team_id: str, session_id: str, *, project_id: str | None, origin: dict[str, Any]
) -> tuple[Session, GenerationJob, str]:
    """End the session and have it summarised; its summary job and how that was published.

    Where nothing is new since the last summary, that summary's job is the answer. Raises NotFound
    for another team's session, Forbidden for another project's than `project_id`.
    """
    with transaction.atomic():
        ours = Session.objects.filter(pk=session_id, team_id=team_id)
        session = ours.select_for_update(no_key=True).first()
        if session is None:
            raise NotFound("Session not found")
        if project_id not in (None, session.project_id):
            raise Forbidden("API key is scoped to a different project")
        if session.ended_at is None:
            _close(session, direct.now(), "ended")
        latest = _latest_summary(session)
        new = None if latest and not has_news(session) else summary(session, origin)
        rows = outbox.enqueue([new]) if new else ()
        audit.write([entries.session(entries.SESSION_END, session, origin)])
        # By now: the next moment may have forgotten it.
        job = GenerationJob.objects.get(pk=rows[0].id) if rows else latest
    assert job is not None
    return session, job, outbox.publish_enqueued(rows)


def has_news(session: Session) -> bool:
    """Whether something happened that no summary job covers yet."""
    return session.news_number > session.summarised_number


def summary(session: Session, origin: dict[str, Any], asked_by: str = "") -> NewJob:
    """The job that summarises the session up to now; must be enqueued in this transaction.

    `asked_by` is the event that asked for it, if one did. Its identity is the session and the
    newest event that is news, so that it is made once.
    """
    covers = session.last_number
    Session.objects.filter(pk=session.pk).update(summarised_number=F("news_number"))
    session.summarised_number = session.news_number
    return NewJob(
        kind=kinds.SUMMARY,
        lane_key=session.lane_key,
        queue_job_id=kinds.SUMMARY.job_id(session.id, str(session.news_number)),
        source_id=session.id,
        team_id=session.team_id,
        project_id=session.project_id,
        session_id=session.id,
        covers=covers,
        origin=origin,
        asked_by=asked_by,
    )


def close_idle(now: datetime | None = None) -> int:
    """Close the sessions that were silent for the configured time; summarise those with news.

    Returns how many were closed.
    """
    moment = now or direct.now()
    limit = moment - timedelta(seconds=settings.SESSION_IDLE_SECONDS)
    open_ones = Session.objects.filter(ended_at__isnull=True, last_event_at__lt=limit)
    closed = 0
    for pk in list(open_ones.values_list("pk", flat=True)[:500]):
        closed += _close_if_idle(pk, limit, moment)
    return closed


def _close_if_idle(pk: str, limit: datetime, moment: datetime) -> int:
    with transaction.atomic():
        session = (
            Session.objects.select_for_update(no_key=True)
            .filter(pk=pk, ended_at__isnull=True, last_event_at__lt=limit)
            .first()
        )
        if session is None:
            return 0
        _close(session, moment, IDLE)
        news = has_news(session)
        rows = outbox.enqueue([summary(session, BY_SILENCE)]) if news else ()
        audit.write([entries.session(entries.SESSION_END, session, BY_SILENCE)])
    outbox.publish_enqueued(rows)
    return 1


def _close(session: Session, at: datetime, reason: str) -> None:
    session.ended_at, session.end_reason, session.updated_at = at, reason, at
    session.save(update_fields=["ended_at", "end_reason", "updated_at"])


def _latest_summary(session: Session) -> GenerationJob | None:
    jobs = GenerationJob.objects.filter(source_id=session.id, kind=kinds.SUMMARY.name)
    return jobs.order_by("-covers", "-created_at").first()
