"""Memories that are made and forgotten by hand."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from observations import audit, entries
from observations.drafts import JSON
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Forbidden, InvalidInput
from observations.identity import compact
from observations.models import Observation, Session
from observations.privacy import scrub, scrub_text
from observations.search.terms import parts
from observations.sessions import require_project

MANUAL = "manual"
MAX_KIND = 100


def remember(
    team_id: str,
    project_id: str,
    *,
    content: str,
    kind: str = MANUAL,
    title: str | None = None,
    session_id: str | None = None,
    metadata: Mapping[str, JSON] | None = None,
    origin: Origin = BY_PROGRAM,
) -> Observation:
    """Store a memory as it is told, without what is private or secret in it.

    `origin` is who asks.
    Raises Forbidden where the project is not the team's or the session not the project's, and
    InvalidInput for a content of which nothing may be kept, a kind that is too long and metadata
    that cannot be stored.
    """
    kind = _kind(kind)
    kept = _content(content)
    fields = _metadata(dict(metadata or {}))
    name = scrub_text(title or "").strip()
    with transaction.atomic():
        require_project(team_id, project_id)
        _require_session(project_id, session_id)
        now = timezone.now()
        memory = Observation.objects.create(
            team_id=team_id,
            project_id=project_id,
            session_id=session_id,
            kind=kind,
            title=name,
            content=kept,
            parts=parts(name, kept),
            metadata=fields,
            occurred_at=now,
            created_at=now,
            updated_at=now,
        )
        audit.write([entries.memory(entries.MEMORY_WRITE, memory, origin)])
        return memory


def forget(
    team_id: str,
    project_id: str | None,
    observation_id: str,
    *,
    origin: Origin = BY_PROGRAM,
) -> bool:
    """Delete an observation, its sources and its place in the index. Whether there was one.

    With a project only if it is that project's. `origin` is who asks.
    """
    rows = Observation.objects.filter(team_id=team_id, id=observation_id)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    with transaction.atomic():
        memory = rows.only("id", "team_id", "project_id").first()
        if memory is None or not rows.delete()[1].get(Observation._meta.label, 0):
            return False
        audit.write([entries.memory(entries.OBSERVATION_DELETED, memory, origin)])
        return True


def _kind(kind: str) -> str:
    kept = scrub_text(kind)
    if not 0 < len(kept) <= MAX_KIND:
        raise InvalidInput(f"a kind has 1 to {MAX_KIND} characters", ("kind",))
    return kept


def _content(content: str) -> str:
    kept = scrub_text(content)
    if not kept or (content.strip() and not kept.strip()):
        raise InvalidInput("nothing of the content may be kept", ("content",))
    return kept


def _metadata(metadata: dict[str, JSON]) -> JSON:
    kept = scrub(metadata).value
    try:
        compact(kept)
    except InvalidInput as error:
        raise InvalidInput(error.message, ("metadata",)) from error
    return kept


def _require_session(project_id: str, session_id: str | None) -> None:
    ours = Session.objects.filter(pk=session_id, project_id=project_id)
    if session_id is not None and not ours.exists():
        raise Forbidden("server_session_id must belong to project_id and team_id")
