"""Whose jobs a command is about. Nobody reaches all teams' by leaving something out."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from claudemem.commands import load_django

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from observations.tenants import Tenant
    from queueing.models import GenerationJob
    from queueing.pauses import Hold

Command = TypeVar("Command", bound=Callable[..., Any])
_UNSCOPED = (
    "Refusing to run unscoped: {what}. Name whose with {options}; an operator of the whole server "
    "sets CLAUDE_MEM_SERVER_ADMIN=1, for this call or in settings.json{known}"
)


def scoped(command: Command) -> Command:
    """Give a command `--team` and `--project`; it is called with the `tenant` that they name."""

    @click.option("--team", metavar="ID|NAME", help="Only this team's jobs.")
    @click.option("--project", metavar="ID|NAME", help="Only this project's jobs.")
    @functools.wraps(command)
    def asked(*args: Any, team: str | None, project: str | None, **kwargs: Any) -> Any:
        return command(*args, tenant=_tenant(team, project), **kwargs)

    return asked  # type: ignore[return-value]


def always_json(command: Command) -> Command:
    """Let a command that answers programs and people alike be asked for JSON as others are."""
    return click.option(
        "--json", is_flag=True, expose_value=False, help="For programs; the answer is JSON anyway."
    )(command)


def allow(what: str, options: str, example: str) -> None:
    """Let nobody on but an operator of the whole server; `what` says what concerns all teams.

    `options` and `example`, which has a place for a team's name, say how one team is named. Raises
    ClickException.
    """
    from django.conf import settings

    if not settings.SERVER_ADMIN:
        known = _only_team(example)
        raise click.ClickException(_UNSCOPED.format(what=what, options=options, known=known))


def told(tenant: "Tenant") -> dict[str, str | None]:
    """The scope, for programs."""
    return {
        "team": tenant.team.id if tenant.team else None,
        "project": tenant.project.id if tenant.project else None,
    }


def jobs_of(tenant: "Tenant") -> "QuerySet[GenerationJob]":
    """The jobs within the scope."""
    from queueing.models import GenerationJob

    return GenerationJob.objects.filter(**tenant.columns)


def concerning(tenant: "Tenant") -> "list[Hold]":
    """What is paused, but for other teams."""
    from queueing import pauses

    team = tenant.team.id if tenant.team else None
    return [hold for hold in pauses.held() if team is None or hold.subject.team_id in (None, team)]


def _tenant(team: str | None, project: str | None) -> "Tenant":
    load_django(existing=True)
    # Celery's app must exist before anything asks the queue store or publishes.
    from claudemem import celery  # noqa: F401
    from observations import tenants

    if not (team or project):
        allow("this concerns the jobs of all teams", "--team or --project", "--team {}")
    return tenants.tenant(team, project)


def _only_team(example: str) -> str:
    """The teams there are, for whoever has only one and never named it."""
    from observations.models import Team

    names = list(Team.objects.order_by("name").values_list("name", flat=True)[:2])
    return f". There is one team here: {example.format(names[0])}" if len(names) == 1 else "."
