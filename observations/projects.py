"""Projects: made by name, or found and made as hooks come."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from observations import agents, audit, entries, places
from observations.agents import HookPayload
from observations.drafts import JSON
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Conflict, InvalidInput, StorageAway
from observations.hook_calls import HookCall
from observations.identity import compact
from observations.models import Event, Observation, Project, ProjectAlias
from observations.places import Identity, Key, Place
from observations.privacy import scrub, scrub_text
from queueing import direct

log = logging.getLogger(__name__)

LONGEST_NAME = 200
# So often at most others take the name or the key that we were about to take.
_MOST_COLLISIONS = 5

_SESSION = """
    SELECT project_id, home_id FROM observations_session
    WHERE content_session_id = %s AND team_id = %s AND platform_source = %s
        AND external_session_id = content_session_id
    ORDER BY started_at, id LIMIT 1"""
_NAMED = """
    SELECT coalesce(merged_into_id, id), id FROM observations_project
    WHERE team_id = %s AND name = %s"""


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


@dataclass(frozen=True, slots=True)
class Belonging:
    """Where a hook's event belongs; `branch` and `part` for its session, should that be made.

    `home_id` is the project by whose id it is known again, where that was put into `project_id`.
    `bound`: a key said so.
    """

    project_id: str
    home_id: str | None = None
    branch: str = ""
    part: str = ""
    bound: bool = False


def of_hook(team_id: str, bound: str | None, call: HookCall) -> Belonging:
    """Where the event of a hook belongs: with `bound`, the project of its key, there.

    Else a session's project is decided once: an event of one that is known belongs where that is.
    That of another belongs to the project of its place, which is made if need be, or where nothing
    is known of that to the one that is named like its directory. Raises StorageAway where others
    keep taking the names that it would have.
    """
    facts, hook = call.facts, call.hook
    if bound:
        told = facts.place or places.NOWHERE
        return Belonging(bound, None, told.branch, told.part, bound=True)
    if known := _of_session(team_id, hook.session_id, hook.platform):
        return known
    place = _place_of(call)
    for _ in range(_MOST_COLLISIONS):
        with suppress(IntegrityError):
            if place:
                return _of_place(team_id, place, hook.cwd)
            return _named(team_id, agents.project_name(hook.cwd))
    raise StorageAway("projects are just being made by others: send it again")


def named(team_id: str, name: str) -> Belonging:
    """Where what belongs to the project of this name belongs; it is made if need be.

    Raises StorageAway where others keep taking the name.
    """
    for _ in range(_MOST_COLLISIONS):
        with suppress(IntegrityError):
            return _named(team_id, name)
    raise StorageAway("projects are just being made by others: run it again")


def known_to(team_id: str, call: HookCall) -> str | None:
    """The project in which `of_hook` would put the event of a hook, if it is there already."""
    if found := _of_session(team_id, call.hook.session_id, call.hook.platform):
        return found.project_id
    place = _place_of(call)
    if place is None:
        named = direct.fetch(_NAMED, [team_id, agents.project_name(call.hook.cwd)])
        return str(named[0][0]) if named else None
    identity = _identity(team_id, place, call.hook.cwd)
    known = _first_of(identity, _known(team_id, identity))
    project = known or _taken_over(Project.objects.filter(team_id=team_id), identity)
    return (project.merged_into_id or project.id) if project else None


def _place_of(call: HookCall) -> Place | None:
    facts, cwd = call.facts, call.hook.cwd
    return facts.place or (facts.look(cwd) if facts.look and cwd else None)


def of_moved(team_id: str, where: Belonging, hook: HookPayload) -> Belonging | None:
    """Where the event belongs if its session was in another project before that was merged.

    Its keys are made by that one's id, which a key that is bound to the project does not know.
    """
    found = _of_session(team_id, hook.session_id, hook.platform) if where.bound else None
    return found if found and found.home_id and found.project_id == where.project_id else None


def _of_session(team_id: str, session_id: str, platform: str) -> Belonging | None:
    # Every event asks this: one step in an index. The first counts: a key that is bound to another
    # project has a session of that name there, and must not draw to it what comes for this one.
    for project_id, home_id in direct.fetch(_SESSION, [session_id[:500], team_id, platform]):
        return Belonging(project_id, home_id)
    return None


def _named(team_id: str, name: str) -> Belonging:
    for project_id, own_id in direct.fetch(_NAMED, [team_id, name]):
        return Belonging(project_id, own_id if own_id != project_id else None)
    with transaction.atomic():
        return Belonging(Project.objects.create(team_id=team_id, name=name).id)


def _of_place(team_id: str, place: Place, cwd: str) -> Belonging:
    with transaction.atomic():
        identity = _identity(team_id, place, cwd)
        known = _known(team_id, identity)
        ours = Project.objects.select_for_update(no_key=True).filter(team_id=team_id)
        project = _first_of(identity, known) or _taken_over(ours, identity)
        project = project or _made(team_id, identity)
        _keep(team_id, project, [key for key in identity.kept if key not in known])
    meant = project.merged_into_id
    home_id = project.id if meant else None
    return Belonging(meant or project.id, home_id, identity.branch, identity.part)


def allow(team_id: str, place: Place, project: Project | None = None) -> Project:
    """Let what lies at a place name a project: the one that its file names, or `project`.

    Raises InvalidInput where the place says nothing by which it is known, where no name is said,
    and where its file says that of another project than `project`.
    """
    name = place.project or (project.name if project else "")
    identity = places.project_of(replace(place, project=name), place.root)
    if not name or len(identity.keys) < 2:
        raise InvalidInput("nothing is known of that place, or it names no project")
    with transaction.atomic():
        known = _known(team_id, identity)
        named = _first_named(team_id, identity)
        if project and named and _meant(named) != _meant(project):
            raise InvalidInput(
                f"{name} is the name of another project ({named.pk}): let the file say one of "
                f"{project}'s, or merge the two"
            )
        meant = project or named or _made(team_id, identity)
        ProjectAlias.objects.filter(
            team_id=team_id, key__in=[key.text for key in identity.keys[1:]], sort="says"
        ).delete()
        fresh = identity.keys if identity.keys[0] not in known else identity.keys[1:]
        _keep(team_id, meant, fresh)
    return meant


def _keep(team_id: str, project: Project, keys: Iterable[Key]) -> None:
    """Let the project be known by these keys, which none is known by."""
    ProjectAlias.objects.bulk_create(
        [ProjectAlias(team_id=team_id, project=project, sort=key.sort, key=key.text)
         for key in keys]
    )  # fmt: skip


def _identity(team_id: str, place: Place, cwd: str) -> Identity:
    """Which project a place is: by the name in its file only if that may lead there from here.

    Else whoever wrote what an agent works in would choose what the agent is told.
    """
    said = places.project_of(place, cwd)
    if not place.project:
        return said
    own = places.of_its_own(place, cwd)
    named = _first_named(team_id, said)
    if named is None or _may_name(team_id, named, said, own):
        return said
    log.warning(
        "a directory names the project %s in .claude-mem.toml and is not known to be its: "
        "claudemem projects allow", named.pk,
    )  # fmt: skip
    return own


def _first_named(team_id: str, said: Identity) -> Project | None:
    by_key = _known(team_id, said).get(said.keys[0])
    return by_key or Project.objects.filter(team_id=team_id, name=said.called).first()


def _may_name(team_id: str, named: Project, said: Identity, own: Identity) -> bool:
    """Whether the place was let, is the project's by itself, or the project is nobody's yet."""
    meant = _meant(named)
    let = [project for key, project in _known(team_id, said).items() if key.sort == "says"]
    itself = _first_of(own, _known(team_id, own))
    if any(_meant(each) == meant for each in (*let, itself) if each):
        return True
    told = (rows.objects.filter(project_id=meant).exists() for rows in (Event, Observation))
    return not any(told) and not _has_places(meant)


def _has_places(project_id: str) -> bool:
    """Whether places are known to be the project's: one that was emptied keeps them."""
    either = Q(project=project_id) | Q(project__merged_into=project_id)
    return ProjectAlias.objects.filter(either).exclude(sort="explicit").exists()


def _meant(project: Project) -> str:
    return project.merged_into_id or project.pk


def _known(team_id: str, identity: Identity) -> dict[Key, Project]:
    rows = ProjectAlias.objects.filter(team_id=team_id, key__in=[key.text for key in identity.keys])
    return {
        key: row.project
        for row in rows.select_related("project")
        if (key := Key(row.sort, row.key)) in identity.keys
    }


def _first_of(identity: Identity, known: Mapping[Key, Project]) -> Project | None:
    """The project of the weightiest key that one has.

    A directory alone leads none with an address to a project that has another: a repository that
    lay there yesterday is no reason.
    """
    addressed = any(key.sort == "remote" for key in identity.keys)
    for key in identity.keys:
        project = known.get(key) if key.sort != "says" else None
        if project and not (addressed and key.sort == "disk" and _has_address(project)):
            return project
    return None


def _has_address(project: Project) -> bool:
    return ProjectAlias.objects.filter(project=project, sort="remote").exists()


def _taken_over(ours: QuerySet[Project], identity: Identity) -> Project | None:
    """The project that the place was called by, unless it is known to be another's.

    A name that a file says is that project's, whatever else is known of it.
    """
    project = ours.filter(name=identity.called).first()
    if project is None or identity.keys[0].sort == "explicit":
        return project
    return None if project.merged_into_id or project.aliases.exists() else project


def _made(team_id: str, identity: Identity) -> Project:
    taken = Project.objects.filter(team_id=team_id, name__startswith=identity.names[0])
    others = {*taken.values_list("name", flat=True)} | {
        *Project.objects.filter(team_id=team_id, name__in=identity.names)
        .values_list("name", flat=True)
    }  # fmt: skip
    name = next(name for name in _free_names(identity) if name not in others)
    return Project.objects.create(team_id=team_id, name=name)


def _free_names(identity: Identity) -> Iterator[str]:
    yield from identity.names
    for number in count(2):
        yield f"{identity.names[0][: LONGEST_NAME - 8]} ({number})"
