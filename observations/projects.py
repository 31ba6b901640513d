"""Projects that somebody makes by name; hooks make theirs as they come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction

from observations import audit, entries
from observations.drafts import JSON
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Conflict, InvalidInput
from observations.identity import compact
from observations.models import Project
from observations.privacy import scrub, scrub_text

LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project as somebody names it, where it lies on their machine, and what else they say."""

    name: str
    root_path: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)


def create(team_id: str, new: NewProject, *, origin: Origin = BY_PROGRAM) -> Project:
    """Make the team a project, without what is private or secret in what is said of it.

    `origin` is who asks. Raises InvalidInput for a name that cannot be one and for metadata that
    cannot be stored, Conflict where the team has a project of that name.
    """
    name = _name(new.name)
    root = None if new.root_path is None else scrub_text(new.root_path)
    said = _metadata(new.metadata)
    try:
        with transaction.atomic():
            project = Project.objects.create(
                team_id=team_id, name=name, root_path=root, metadata=said
            )
            told = entries.project(
                entries.PROJECT_CREATE, project.id, team_id, origin, {"name": name}
            )
            audit.write([told])
    except IntegrityError:
        known = Project.objects.filter(team_id=team_id, name=name).first()
        if known is None:
            raise
        raise Conflict(f"There is a project {name} already: {known.id}") from None
    return project


def _name(given: str) -> str:
    name = scrub_text(given).strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"a name has 1 to {LONGEST_NAME} printable characters", ("name",))
    return name


def _metadata(given: Mapping[str, JSON]) -> JSON:
    kept = scrub(dict(given)).value
    try:
        compact(kept)
    except InvalidInput as error:
        raise InvalidInput(error.message, ("metadata",)) from error
    return kept
