"""`claudemem projects`: what projects are known by, and two of them made one."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from claudemem.cli import cli
from claudemem.commands.projects import _Telling
from observations import emptying, memories, portions
from observations.models import (
    AuditEntry,
    Clearance,
    Observation,
    Project,
    ProjectAlias,
    Team,
)
from queueing import retention

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


def test_a_directory_and_a_repository_are_let_name_a_project(shop: Project, tmp_path: Path) -> None:
    (tmp_path / ".claude-mem.toml").write_text('project = "shop"\n')
    done = run("allow", str(tmp_path))
    assert (done.exit_code, done.stdout) == (
        0, f"{tmp_path} may name the project shop in its .claude-mem.toml\n",
    )  # fmt: skip
    assert run("allow", "git@github.com:acme/api.git", "--project", "shop").exit_code == 0
    assert [row.key for row in shop.aliases.filter(sort="says").order_by("key")] == [
        f"{tmp_path} says shop", "github.com/acme/api says shop",
    ]  # fmt: skip
    assert "known by h/shop, shop\n" in run("list").stdout


def test_what_cannot_be_let_name_a_project_is_said(shop: Project, tmp_path: Path) -> None:
    for arguments, why in (
        ([str(tmp_path)], "it names no project"),
        (["nowhere"], "no directory here, and no address"),
    ):
        result = run("allow", *arguments)
        assert (result.exit_code != 0, why in result.stderr) == (True, True)
    Team.objects.create(name="else")
    assert "name it with --team" in run("allow", str(tmp_path)).stderr


def test_a_project_is_emptied_once_confirmed(shop: Project) -> None:
    memories.remember(shop.team_id, shop.id, content="Weasels live in the hills")
    assert run("empty", "shop", said="n\n").exit_code == 1
    assert Observation.objects.exists()
    asked = run("empty", "shop", said="y\n")
    assert "(0 sessions, 0 events, 1 observations) for good?" in asked.stdout
    assert "shop is empty: 0 jobs, 1 observations" in asked.stdout
    again = json.loads(run("empty", "shop", "--yes", "--json").stdout)
    assert (again["action"], set(again["counts"].values())) == ("empty", {0})
    assert AuditEntry.objects.filter(action="project.memory_purged").count() == 2


def test_an_emptying_that_is_under_way_is_told_and_takes_what_came_since_along(
    shop: Project,
) -> None:
    spent = retention.budget(0.0)
    asked = emptying.empty(shop.team_id, shop.pk, allowed=spent).asked_at
    memories.remember(shop.team_id, shop.pk, content="Weasels live in the hills")
    done = run("empty", "shop", "--yes")
    assert f"since {asked:%Y-%m-%d %H:%M:%S} UTC shop is being emptied: 0 jobs" in done.stderr
    assert not Observation.objects.exists()


def test_an_emptying_that_is_stopped_leaves_the_rest(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(_: object) -> None:
        raise KeyboardInterrupt

    for n in range(3):
        memories.remember(shop.team_id, shop.id, content=f"Weasel {n} lives in the hills")
    monkeypatch.setattr(portions, "AT_ONCE", 1)
    with monkeypatch.context() as operator:
        operator.setattr(_Telling, "__call__", lambda self, counts: stopped(counts))
        result = run("empty", "shop", "--yes")
    assert (result.exit_code, "run it again to go on" in result.stderr) == (1, True)
    assert Observation.objects.count() == 2
    assert Clearance.objects.get().given_up_at
    rest = run("empty", "shop", "--yes", "--json")
    assert "emptying shop was stopped, begun at" in rest.stderr
    assert "1 observations, 0 events and 0 sessions are gone, and the rest stayed" in rest.stderr
    assert json.loads(rest.stdout)["counts"]["observations"] == 2


def test_a_name_from_an_agent_moves_no_cursor(shop: Project) -> None:
    Project.objects.filter(pk=shop.pk).update(name="\x1b[2Jsh\nop")
    assert "acme /  [2Jsh op: known by h/shop\n" in run("list").stdout
