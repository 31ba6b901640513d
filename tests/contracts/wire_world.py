"""Two teams with projects and keys of every sort, made at once in a running server's database.

    python -m tests.contracts.wire_world

is such a program: it prints what `World` holds, as JSON. Settings say which database.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

HOOK_SCOPES = ("events:write", "sessions:write", "observations:read", "jobs:read")
READ_ONLY = ("observations:read", "jobs:read", "memories:read")
READ_WRITE = ("memories:read", "memories:write")


@dataclass(frozen=True, slots=True)
class World:
    """Ids by name: projects `one` and `two` of team `home`, `far` of `away`, `quiet` of `still`.

    The work of the team `still` is paused: its jobs wait. A key that has the name of a project or
    team reads and writes there; `reader` and `hooks` and `admin` are of project one, as are
    `revoked` and `expired`; `nobody` has no team.
    """

    teams: dict[str, str]
    projects: dict[str, str]
    keys: dict[str, str]
    key_ids: dict[str, str]


def made() -> World:
    """Make it in the database that Django is set up with. Made anew, its names are others'."""
    from observations import keys
    from observations.models import Project, Team
    from queueing import pauses

    teams = {name: Team.objects.create(name=_own(name)) for name in ("home", "away", "still")}
    projects = {
        name: Project.objects.create(team=teams[team], name=_own(name))
        for name, team in (
            ("one", "home"),
            ("two", "home"),
            ("far", "away"),
            ("quiet", "still"),
        )
    }
    past = datetime(2020, 1, 1, tzinfo=UTC)

    def key(name: str, held: tuple[str, ...], of: str, **options: Any) -> Any:
        project = projects.get(of)
        team = project.team if project else teams.get(of)
        return keys.create(name, held, team=team, project=project, **options)

    minted = {name: key(name, READ_WRITE, name) for name in (*projects, *teams)}
    minted |= {
        "reader": key("reader", READ_ONLY, "one"),
        "hooks": key("hooks", HOOK_SCOPES, "one"),
        "admin": key("admin", (*READ_WRITE, "memories:admin"), "one"),
        "revoked": key("revoked", READ_WRITE, "one"),
        "expired": key("expired", READ_WRITE, "one", expires_at=past),
        "nobody": key("nobody", READ_WRITE, ""),
    }
    keys.revoke(minted["revoked"].key.id)
    pauses.hold(pauses.Subject.parse(f"team:{teams['still'].id}"), "nobody works here")
    return World(
        {name: row.id for name, row in teams.items()},
        {name: row.id for name, row in projects.items()},
        {name: one.raw for name, one in minted.items()},
        {name: one.key.id for name, one in minted.items()},
    )


def _own(name: str) -> str:
    from uuid import uuid4

    return f"{name}-{uuid4().hex[:8]}"


if __name__ == "__main__":
    import django

    django.setup()
    world = made()
    print(json.dumps({name: getattr(world, name) for name in World.__slots__}))
