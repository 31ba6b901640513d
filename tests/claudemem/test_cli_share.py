"""`claudemem share`: what teams and projects have of the workers."""

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from claudemem.cli import cli
from observations.models import AuditEntry, Project, Team
from queueing.models import Share

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["share", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture
def web() -> Project:
    return Project.objects.create(team=Team.objects.create(name="acme"), name="web")


def test_what_is_set_is_listed_and_what_is_not_named_stays(web: Project) -> None:
    assert told("set", "--team", "acme", "--weight", "3")["maxInFlight"] is None
    made = told("set", "--team", web.team_id, "--max-in-flight", "4")
    assert made == {"teamId": web.team_id, "team": "acme", "projectId": None, "project": None,
                    "weight": 3, "maxInFlight": 4}  # fmt: skip
    ours = told("set", "--team", "acme", "--project", "web", "--max-in-flight", "1")
    assert (ours["project"], ours["weight"], ours["maxInFlight"]) == ("web", 1, 1)
    assert told("list") == {"count": 2, "shares": [made, ours]}
    assert "acme / web: weight 1, 1 at once" in run("list").stdout


def test_a_limit_is_taken_away_and_all_is_cleared(web: Project) -> None:
    told("set", "--team", "acme", "--weight", "2", "--max-in-flight", "1")
    assert told("set", "--team", "acme", "--max-in-flight", "0")["maxInFlight"] is None
    assert told("clear", "--team", "acme")["weight"] == 1
    assert not Share.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["set", "--team", "acme"], "say what to set"),
        (["set", "--team", "acme", "--weight", "0"], "1<=x<=1000"),
        (["set", "--team", "nobody", "--weight", "2"], "There is no team nobody; there is acme."),
        (["clear", "--team", "acme", "--project", "x"], "of the team acme; there is web."),
    ],
)
def test_what_cannot_be_set_is_said(web: Project, arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code != 0
    assert says in result.stderr
    assert not Share.objects.exists()


def test_who_set_and_cleared_a_share_is_in_the_audit(web: Project) -> None:
    told("set", "--team", "acme", "--project", "web", "--max-in-flight", "4")
    told("clear", "--team", "acme", "--project", "web")
    told("clear", "--team", "acme", "--project", "web")
    made, gone = AuditEntry.objects.order_by("id")
    assert (made.action, made.resource_type, made.resource_id, made.team_id, made.actor_id) == (
        "share.set_by_operator", "project", web.pk, web.team_id, "system:server-cli",
    )  # fmt: skip
    assert made.details == {"weight": 1, "maxInFlight": 4, "source": "cli_operator"}
    assert (gone.action, gone.resource_id) == ("share.cleared_by_operator", web.pk)
