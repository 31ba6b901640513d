"""Memories that are made, changed and forgotten by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from observations import audit, entries, sessions
from observations.drafts import JSON
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Forbidden, InvalidInput, NotFound, Outdated
from observations.identity import compact
from observations.models import Observation
from observations.privacy import scrub, scrub_text
from observations.search.terms import parts
from observations.sessions import require_project

MANUAL = "manual"
MAX_KIND = 100
MAX_CONCEPTS = 50
# What a worker keeps in the metadata of the words that it writes below a title.
_WORDS = frozenset({
    "subtitle", "narrative", "facts",
    "request", "investigated", "learned", "completed", "next_steps", "notes",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Revision:
    """What is to become of an observation; None stays as it is.

    `content` takes the place of all of its words but the title. Of `metadata` each key is set, or
    taken away where it is None.
    """

    content: str | None = None
    title: str | None = None
    kind: str | None = None
    concepts: tuple[str, ...] | None = None
    metadata: Mapping[str, JSON] | None = None
    project_id: str | None = None


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
        project_id = require_project(team_id, project_id)
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


def revise(
    team_id: str,
    project_id: str | None,
    observation_id: str,
    revision: Revision,
    *,
    unless: Callable[[Observation], bool] = lambda _: False,
    origin: Origin = BY_PROGRAM,
) -> Observation:
    """Change an observation, without what is private or secret; it is found by its new words.

    With a project only if it is that project's. `origin` is who asks. Nothing is written where
    nothing would differ. Raises NotFound; Outdated where `unless` says so of the row as it is;
    InvalidInput for another project, and for what `remember` does not take.
    """
    with transaction.atomic():
        ours = Observation.objects.filter(team_id=team_id, id=observation_id)
        rows = ours.select_for_update(no_key=True)
        row = rows.filter(project_id=project_id).first() if project_id else rows.first()
        if row is None:
            raise NotFound("Observation not found")
        if unless(row):
            raise Outdated("It was changed meanwhile: read it again")
        if changed := _revised(row, revision):
            row.updated_at = timezone.now()
            row.parts = _parts(row)
            row.save(update_fields=[*changed, "parts", "updated_at"])
            entry = entries.memory(entries.OBSERVATION_UPDATED, row, origin, fields=changed)
            audit.write([entry])
        return row


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
        # Before what hangs on it: a worker that is about to link something to it waits or is first.
        memory = rows.only("id", "team_id", "project_id").select_for_update().first()
        if memory is None:
            return False
        memory.delete()
        audit.write([entries.memory(entries.OBSERVATION_DELETED, memory, origin)])
        return True


def _revised(row: Observation, revision: Revision) -> list[str]:
    """Change the row in memory; the fields that differ then."""
    if revision.project_id not in (None, row.project_id):
        raise InvalidInput("projectId cannot be changed", ("projectId",))
    before = {name: getattr(row, name) for name in _REVISED}
    if revision.title is not None:
        _entitle(row, scrub_text(revision.title).strip())
    if revision.content is not None:
        _reword(row, _content(revision.content))
    if revision.kind is not None:
        row.kind = _kind(revision.kind)
    if revision.concepts is not None:
        row.concepts = [scrub_text(each) for each in revision.concepts]
        if "concepts" in row.metadata:
            row.metadata = {**row.metadata, "concepts": row.concepts}
    if revision.metadata is not None:
        row.metadata = _merged(row.metadata, _metadata(dict(revision.metadata)))
    return [name for name in _REVISED if getattr(row, name) != before[name]]


_REVISED = (
    "kind", "title", "subtitle", "narrative", "facts", "concepts", "content", "metadata",
)  # fmt: skip


def _entitle(row: Observation, title: str) -> None:
    """A content that begins with the title begins with the new one."""
    head, gap, rest = row.content.partition("\n\n")
    if row.title and head == row.title:
        row.content = f"{title}{gap}{rest}" if title else rest or row.content
    row.title = title
    if "title" in row.metadata:
        row.metadata = {**row.metadata, "title": title}


def _reword(row: Observation, content: str) -> None:
    """Nothing of the words that were there stays behind, in the metadata of a worker either."""
    if content == row.content:
        return
    row.content, row.subtitle, row.narrative, row.facts = content, "", "", []
    if row.generation_key is not None:
        row.metadata = {name: value for name, value in row.metadata.items() if name not in _WORDS}


def _merged(metadata: dict[str, JSON], given: JSON) -> dict[str, JSON]:
    assert isinstance(given, dict)
    gone = {name for name, value in given.items() if value is None}
    return {name: value for name, value in (metadata | given).items() if name not in gone}


def _parts(row: Observation) -> str:
    return parts(
        row.title, row.narrative or row.content, *row.facts, *row.files_read, *row.files_modified
    )


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
    if session_id is not None and not sessions.stays(session_id, project_id):
        raise Forbidden("server_session_id must belong to project_id and team_id")
