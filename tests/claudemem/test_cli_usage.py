"""`claudemem usage`: what was used in a month, by whom, and what is left."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.db import transaction
from django.test import override_settings

from claudemem.cli import cli
from observations import counters, usage
from observations.models import Project, Team

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["usage", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose team used something in March, which it is; so did another team."""
    monkeypatch.setattr(usage, "this_month", lambda: date(2026, 3, 1))
    web = Project.objects.create(team=Team.objects.create(name="acme"), name="web")
    other = Project.objects.create(team=Team.objects.create(name="others"), name="elsewhere")
    with transaction.atomic():
        for project, quantity in ((web, 3), (other, 4)):
            counters.add(project.team_id, "request", quantity, AT)
            counters.enter(project.team_id, project.id, "", "request", quantity, AT)
    return web


def test_a_teams_use_is_told_by_day_and_by_project(web: Project) -> None:
    used = {"request": 3}
    assert told("--team", "acme") == {
        "month": "2026-03", "usage": used, "days": [{"day": "2026-03-31", "usage": used}],
        "projects": [{"projectId": web.id, "project": "web", "usage": used}],
    }  # fmt: skip
    assert told("--project", "web")["usage"] == used
    assert told("--team", "acme", "--month", "2026-02")["usage"] == {}
    said = run("--team", "acme").stdout
    assert said.startswith("the month of the team acme, 2026-03 in UTC:\n  requests")
    assert [line.split() for line in said.splitlines()[-1:]] == [["web", "3", "0", "0"]]


def test_what_is_left_of_a_teams_caps_is_told(web: Project) -> None:
    with override_settings(MONTHLY_REQUEST_CAP=5):
        said = run("--team", "acme").stdout
    assert "of 5 requests that may be used in a month, 2 are left" in said


def test_who_names_nobody_must_be_an_operator_of_all_teams(web: Project) -> None:
    refused = run()
    assert refused.exit_code == 1
    assert "Refusing to run unscoped" in refused.stderr
    with override_settings(SERVER_ADMIN=True):
        assert told()["usage"] == {"request": 7}
        assert "the month of all teams, 2026-03" in run().stdout


def test_nothing_counted_is_said_and_what_is_no_month_is_refused(web: Project) -> None:
    assert "nothing was counted" in run("--team", "acme", "--month", "2026-01").stdout
    wrong = run("--team", "acme", "--month", "March")
    assert wrong.exit_code == 1
    assert "expected a month" in wrong.stderr
