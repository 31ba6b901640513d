"""`claudemem projects`: what projects are known by, and two of them made one."""

import json

import pytest
from click.testing import CliRunner, Result

from claudemem.cli import cli
from observations.models import AuditEntry, Project, ProjectAlias, Team

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str, said: str = "") -> Result:
    return CliRunner().invoke(cli, ["projects", *arguments], input=said)


@pytest.fixture
def shop() -> Project:
    team = Team.objects.create(name="acme")
    Project.objects.create(team=team, name="store")
    made: Project = Project.objects.create(team=team, name="shop")
    ProjectAlias.objects.create(team=team, project=made, sort="remote", key="h/shop")
    return made


def test_projects_are_listed_with_what_they_are_known_by(shop: Project) -> None:
    assert "acme / shop: known by h/shop\n" in run("list").stdout
    told = json.loads(run("list", "--team", "acme", "--json").stdout)
    assert told["count"] == 2
    assert told["projects"][0]["aliases"] == [{"sort": "remote", "key": "h/shop"}]


def test_a_project_is_merged_once_confirmed_and_brought_back(shop: Project) -> None:
    assert run("merge", "shop", "--into", "store", said="n\n").exit_code == 1
    assert not Project.objects.filter(merged_into__isnull=False).exists()

    done = run("merge", "shop", "--into", "store", said="y\n")
    assert done.exit_code == 0, done.stderr
    assert "0 sessions" in done.stdout
    assert "shop: known by h/shop, merged into store" in run("list").stdout
    again = run("merge", "shop", "--into", "store", "--yes")
    assert (again.exit_code, "is merged into another" in again.stderr) == (1, True)

    assert run("undo", "shop", "--team", "acme").exit_code == 0
    twice = run("undo", "shop")
    assert (twice.exit_code, "is not merged" in twice.stderr) == (1, True)
    assert AuditEntry.objects.filter(action__startswith="project.merge").count() == 2


def test_what_is_not_there_is_said(shop: Project) -> None:
    result = run("merge", "nowhere", "--into", "shop", "--yes")
    assert result.exit_code == 1
    assert "There is no project nowhere; there are shop, store." in result.stderr
