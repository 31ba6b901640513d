"""`claudemem projects …`: what they are known by, two of them made one, and one forgotten."""

import json
import os
import time
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django
from claudemem.commands.plain import plain

if TYPE_CHECKING:
    from observations.emptying import Emptied
    from observations.models import Project
    from observations.places import Place
    from observations.portions import Counts

_TELL_SECONDS = 5.0
_TEAM = click.option("--team", help="Its id or its name, where several have such a project.")
_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group
def projects() -> None:
    """See what projects are known by, merge two, empty one."""


@projects.command("list")
@_TEAM
@_JSON
def list_projects(team: str | None, as_json: bool) -> None:
    """List projects with what they are known by, and those that were merged."""
    load_django(existing=True)
    from observations import tenants
    from observations.models import Project

    rows = Project.objects.select_related("team", "merged_into").prefetch_related("aliases")
    rows = rows.filter(team=tenants.team(team)) if team else rows
    found = [_entry(row) for row in rows.order_by("team__name", "name")]
    if as_json:
        click.echo(json.dumps({"count": len(found), "projects": found}, indent=2))
        return
    for entry in found:
        click.echo(_line(entry))


@projects.command("merge")
@click.argument("project")
@click.option("--into", required=True, help="The id or the name of the project that it is.")
@_TEAM
@click.option("--yes", is_flag=True, help="Do not ask.")
def merge_projects(project: str, into: str, team: str | None, yes: bool) -> None:
    """Put all that a project has into another; `undo` brings it back."""
    load_django(existing=True)
    from observations import merging

    source, target = _named(project, team), _named(into, team)
    found = merging.contents(source.pk)
    moved = f"{found.sessions} sessions, {found.events} events, {found.observations} observations"
    if not yes:
        click.confirm(f"Put {source} ({moved}) into {target}?", abort=True)
    merging.merge(source.team_id, source.pk, target.pk, origin=BY_OPERATOR)
    click.echo(f"{source} is merged into {target}: {moved}")


@projects.command("undo")
@click.argument("project")
@_TEAM
def undo_merge(project: str, team: str | None) -> None:
    """Bring a project back that was merged into another."""
    load_django(existing=True)
    from observations import merging
    from observations.errors import Conflict
    from observations.models import ProjectMerge

    source = _named(project, team)
    made = ProjectMerge.objects.filter(source=source, undone_at__isnull=True).first()
    if made is None:
        raise Conflict(f"{source} is not merged into another project")
    merging.undo(source.team_id, made.pk, origin=BY_OPERATOR)
    click.echo(f"{source} is a project of its own again")


@projects.command("empty", short_help="Forget all that a project remembers.")
@click.argument("project")
@_TEAM
@click.option("--yes", is_flag=True, help="Do not ask.")
@_JSON
def empty_project(project: str, team: str | None, yes: bool, as_json: bool) -> None:
    """Delete a project's sessions, events, observations and jobs for good; it stays with its keys.

    In small portions, so that captures go on meanwhile. What is interrupted with Ctrl-C stays as it
    is; run it again to go on. Where one that was asked for before is under way, what came since
    goes with it.
    """
    load_django(existing=True)
    from observations import emptying, merging

    meant = _named(project, team)
    has = merging.contents(meant.pk)
    if last := emptying.last(meant.pk):
        click.echo(_last(str(meant), last), err=True)
    if not yes:
        what = f"{has.sessions} sessions, {has.events} events, {has.observations} observations"
        click.confirm(f"Delete all that {meant} remembers ({what}) for good?", abort=True)
    telling = _Telling()
    try:
        counts = emptying.empty(
            meant.team_id, meant.pk, origin=BY_OPERATOR, tell=telling, anew=True
        ).counts
    except KeyboardInterrupt:
        emptying.give_up(meant.pk)
        raise click.ClickException(
            f"stopped: {telling.told}, and the rest stays; run it again to go on"
        ) from None
    told = {"projectId": meant.pk, "action": "empty", "counts": counts.told}
    click.echo(json.dumps(told, indent=2) if as_json else f"{meant} is empty: {_gone(counts)}")


def _last(project: str, last: "Emptied") -> str:
    """How far the emptying is that is under way, or that was stopped last."""
    since = f"{last.asked_at:%Y-%m-%d %H:%M:%S} UTC"
    if at := last.given_up_at:
        stopped = f"at {at:%Y-%m-%d %H:%M:%S} UTC emptying {project} was stopped, begun at {since}"
        return f"{stopped}: {_gone(last.counts)}, and the rest stayed"
    return f"since {since} {project} is being emptied: {_gone(last.counts)}"


class _Telling:
    """Tells every few seconds how much went."""

    def __init__(self) -> None:
        self.told = "nothing is gone"
        self._next = time.monotonic() + _TELL_SECONDS

    def __call__(self, counts: "Counts") -> None:
        self.told = _gone(counts)
        if time.monotonic() >= self._next:
            click.echo(self.told, err=True)
            self._next = time.monotonic() + _TELL_SECONDS


def _gone(counts: "Counts") -> str:
    return (
        f"{counts.jobs} jobs, {counts.observations} observations, {counts.events} events and "
        f"{counts.sessions} sessions are gone"
    )


@projects.command("allow")
@click.argument("place", default=".")
@click.option("--project", help="Its id or its name; else the one that the place's file names.")
@_TEAM
def allow_place(place: str, project: str | None, team: str | None) -> None:
    """Let the file .claude-mem.toml of a directory, or of a repository's clones, name a project."""
    load_django(existing=True)
    from observations import projects

    named = _named(project, team) if project else None
    facts = _facts(place)
    allowed = projects.allow(named.team_id if named else _team(team), facts, named)
    where = facts.remote or facts.common or facts.root
    click.echo(f"{where} may name the project {allowed} in its .claude-mem.toml")


def _team(which: str | None) -> str:
    """The id of that team, or of the one team that there is."""
    from observations import tenants
    from observations.models import Team

    if which:
        return str(tenants.team(which).pk)
    found = list(Team.objects.values_list("pk", flat=True)[:2])
    if len(found) != 1:
        raise click.UsageError("There is not one team alone: name it with --team.")
    return str(found[0])


def _facts(place: str) -> "Place":
    """What is known of a directory here, or of an address of a repository."""
    from claudemem.hook.place import place as look
    from observations import places

    if os.path.isdir(place):
        return places.of(look(os.path.abspath(place)))
    if not places.normalised(place):
        raise click.UsageError(f"{place} is no directory here, and no address of a repository")
    return places.of({"remote": place})


def _named(which: str, team: str | None) -> "Project":
    """The project of that id or name itself, merged or not."""
    from observations import tenants

    return tenants.project(which, team)


def _entry(row: "Project") -> dict[str, Any]:
    return {
        "id": row.pk,
        "team": row.team.name,
        "name": row.name,
        "aliases": [{"sort": each.sort, "key": each.key} for each in row.aliases.all()],
        "mergedInto": row.merged_into_id,
        "into": row.merged_into.name if row.merged_into else None,
    }


def _line(entry: dict[str, Any]) -> str:
    known = [each["key"].partition("#")[0] for each in entry["aliases"] if each["sort"] != "says"]
    merged = f", merged into {entry['into']}" if entry["into"] else ""
    names = ", ".join(known) or "its name"
    return plain(f"{entry['team']} / {entry['name']}: known by {names}{merged}")
