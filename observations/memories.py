"""Memories that are made and forgotten by hand."""

from collections.abc import Mapping

from django.db import transaction
from django.utils import timezone

from observations.drafts import JSON
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
) -> Observation:
    """Store a memory as it is told, without what is private or secret in it.

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
        return Observation.objects.create(
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


def forget(team_id: str, project_id: str | None, observation_id: str) -> bool:
    """Delete an observation, its sources and its place in the index. Whether there was one.

    With a project only if it is that project's.
    """
    rows = Observation.objects.filter(team_id=team_id, id=observation_id)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    with transaction.atomic():
        return rows.delete()[1].get(Observation._meta.label, 0) > 0


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
