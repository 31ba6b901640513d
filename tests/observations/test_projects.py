"""Which project a session is of: decided once, by what is known of its place."""

from itertools import count
from typing import Any

import pytest

from observations import agents, hook_calls, ingest, places, projects
from observations.errors import InvalidInput
from observations.hook_facts import HookFacts
from observations.models import Event, Project, ProjectAlias, Session, Team
from queueing import broker

pytestmark = pytest.mark.django_db

SHOP = {"remote": "git@github.com:acme/shop.git", "root": "/src/shop", "common": "/src/shop/.git",
        "born": "17", "branch": "main"}  # fmt: skip
_numbers = count()


@pytest.fixture(autouse=True)
def _unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda *_: None)


def start(
    team: Team, facts: dict[str, str] | None = None, *, session: str = "", cwd: str = "",
    bound: str | None = None, name: str = "SessionStart",
) -> Session:  # fmt: skip
    """What a hook makes of a session: `facts` of its place, or none."""
    place = None if facts is None else places.of(facts)
    payload: dict[str, Any] = {
        "hook_event_name": name, "session_id": session or f"s{next(_numbers)}",
        "cwd": cwd or (facts or {}).get("root", ""), "source": "startup",
    }  # fmt: skip
    captured = ingest.capture_hook(
        team.id, bound, payload, origin={"source": "test"}, facts=HookFacts(place=place)
    )
    row = Event.objects.get(pk=captured.event.id)
    session_row: Session = Session.objects.get(pk=row.session_id)
    assert row.project_id == session_row.project_id
    return session_row


def called(session: Session) -> str:
    return session.project.name


def test_worktrees_and_clones_of_a_repository_are_one_project(team: Team) -> None:
    main = start(team, SHOP)
    tree = start(team, {**SHOP, "root": "/trees/fix", "branch": "fix"})
    clone = start(team, {"remote": "https://x@github.com/Acme/Shop", "root": "/else/where",
                         "common": "/else/where/.git"})  # fmt: skip

    assert main.project_id == tree.project_id == clone.project_id
    assert called(main) == "shop"
    assert [each.branch for each in (main, tree, clone)] == ["main", "fix", None]


def test_two_repositories_in_directories_of_one_name_are_two_projects(team: Team) -> None:
    one = start(team, {"remote": "https://github.com/acme/app", "root": "/a/app"})
    other = start(team, {"remote": "https://github.com/else/app", "root": "/b/app"})
    third = start(team, {"common": "/c/app/.git", "root": "/c/app"})
    fourth = start(team, {"root": "/d/app"})

    names = [called(each) for each in (one, other, third, fourth)]
    assert names == ["app", "else/app", "c/app", "d/app"]


def test_a_name_that_is_taken_in_all_lengths_gets_a_number(team: Team) -> None:
    for name in ("app", "else/app", "github.com/else/app"):
        ProjectAlias.objects.create(
            team=team, project=Project.objects.create(team=team, name=name), sort="disk", key=name
        )

    assert called(start(team, {"remote": "https://github.com/else/app"})) == "app (2)"


def test_a_project_that_was_known_by_its_directory_alone_goes_to_the_first_repository(
    team: Team,
) -> None:
    by_name = start(team, None, cwd="/a/app")
    known = start(team, {"remote": "https://github.com/acme/shop", "root": "/a/app"})
    other = start(team, {"remote": "https://github.com/else/shop", "root": "/b/app"})

    assert by_name.project_id == known.project_id != other.project_id
    assert Project.objects.count() == 2


def test_a_remote_that_changes_stays_the_project_of_its_clone(team: Team) -> None:
    before = start(team, {key: SHOP[key] for key in ("root", "common", "born")})
    after = start(team, SHOP)
    renamed = start(team, {**SHOP, "remote": "https://gitlab.com/acme/store"})
    elsewhere = start(team, {"remote": "https://gitlab.com/acme/store", "root": "/x"})

    assert {s.project_id for s in (before, after, renamed, elsewhere)} == {before.project_id}


def test_another_repository_at_the_same_path_is_another_project(team: Team) -> None:
    one = start(team, {**SHOP, "root": "/workspace", "common": "/workspace/.git"})
    other = start(team, {"remote": "https://github.com/else/lib", "root": "/workspace",
                         "common": "/workspace/.git", "born": "18"})  # fmt: skip

    assert one.project_id != other.project_id


def test_a_directory_becomes_a_repository_once(team: Team) -> None:
    plain = start(team, {"root": "/workspace"})
    first = start(team, {**SHOP, "root": "/workspace", "common": "/workspace/.git"})
    second = start(team, {"remote": "https://github.com/else/lib", "root": "/workspace"})

    assert plain.project_id == first.project_id != second.project_id


API = {"remote": "https://github.com/acme/api", "root": "/src/api"}


def test_a_name_in_the_file_decides_alone_in_the_places_that_may_say_it(team: Team) -> None:
    shop = start(team, {**SHOP, "project": "Acme"})
    clone = start(team, {"remote": SHOP["remote"], "root": "/else", "project": "Acme"})
    projects.allow(team.id, places.of({**API, "project": "Acme"}))
    api = start(team, {**API, "root": "/elsewhere/api", "project": "Acme"})

    assert called(shop) == called(clone) == called(api) == "Acme"
    assert Project.objects.filter(team=team).count() == 1


def test_a_name_in_a_file_leads_nobody_to_what_another_place_remembers(team: Team) -> None:
    shop, told = start(team, {**SHOP, "project": "Acme"}), start(team, {"root": "/src/store"})
    forged = [
        {"remote": "https://github.com/mallory/shop", "root": "/src/clone", "project": "Acme"},
        {"root": "/downloads/archive", "project": "Acme"},
        {**API, "project": "store"},
    ]
    for facts in forged:
        call = hook_calls.understood(
            {"hook_event_name": "Stop", "session_id": "x", "cwd": facts["root"]},
            facts=HookFacts(place=places.of(facts)),
        )
        assert projects.known_to(team.id, call) is None
        assert start(team, facts).project_id not in (shop.project_id, told.project_id)
        assert projects.known_to(team.id, call) not in (None, shop.project_id, told.project_id)


def test_a_repository_may_say_the_name_of_its_own_project(team: Team) -> None:
    plain = start(team, SHOP)
    assert start(team, {**SHOP, "project": "shop"}).project_id == plain.project_id
    Project.objects.filter(pk=plain.project_id).update(name="Renamed")
    assert start(team, {**SHOP, "project": "shop"}).project_id == plain.project_id


def test_a_name_of_a_project_that_remembers_nothing_is_heeded(team: Team, project: Project) -> None:
    session = start(team, {**API, "project": project.name})
    assert session.project_id == project.id
    assert start(team, {**SHOP, "project": project.name}).project_id != project.id


@pytest.mark.parametrize("facts", [SHOP, {**SHOP, "project": "shop"}, {"root": "/src/shop"}])
def test_a_project_that_was_emptied_keeps_its_places(team: Team, facts: dict[str, str]) -> None:
    shop = start(team, facts).project
    Event.objects.all().delete()
    assert start(team, {**API, "project": "shop"}).project_id != shop.id
    assert start(team, {**facts, "project": "shop"}).project_id == shop.id
    projects.allow(team.id, places.of({**API, "project": "shop"}))
    assert start(team, {**API, "project": "shop"}).project_id == shop.id


def test_a_project_that_was_emptied_keeps_the_places_of_what_was_merged_into_it(
    team: Team, project: Project
) -> None:
    shop = start(team, SHOP).project
    Project.objects.filter(pk=shop.pk).update(merged_into=project)
    Event.objects.all().delete()
    assert start(team, {**API, "project": project.name}).project_id != project.id


def test_a_place_that_was_let_names_the_project_it_is_merged_into(team: Team) -> None:
    shop, api = start(team, {**SHOP, "project": "Acme"}), start(team, API)
    Project.objects.filter(pk=shop.project_id).update(merged_into=api.project_id)
    assert start(team, {**SHOP, "project": "Acme"}).project_id == api.project_id
    assert start(team, {**API, "project": "Acme"}).project_id == api.project_id


def test_one_repository_may_name_several_projects(team: Team) -> None:
    names = ["front", "back", "front"]
    found = [start(team, {**SHOP, "project": name}) for name in names]
    assert [called(each) for each in found] == names


def test_a_place_whose_file_names_another_project_is_not_let_name_this_one(
    team: Team, project: Project
) -> None:
    shop = start(team, {**SHOP, "project": "Acme"})
    with pytest.raises(InvalidInput, match=f"name of another project .{shop.project_id}"):
        projects.allow(team.id, places.of({**API, "project": "Acme"}), project)
    projects.allow(team.id, places.of({**API, "project": "Fresh"}), project)
    assert start(team, {**API, "project": "Fresh"}).project_id == project.id


def test_a_place_is_let_name_another_project_by_its_id_or_none_at_all(
    team: Team, project: Project
) -> None:
    start(team, SHOP, bound=project.id)
    projects.allow(team.id, places.of(API), project)
    projects.allow(team.id, places.of(API), project)
    assert start(team, {**API, "project": project.name}).project_id == project.id
    for nothing in ({"project": "Acme"}, API):
        with pytest.raises(InvalidInput, match="nothing is known"):
            projects.allow(team.id, places.of(nothing))


def test_a_key_that_is_bound_wins(team: Team, project: Project) -> None:
    session = start(team, {**SHOP, "part": "web"}, bound=project.id)

    assert session.project_id == project.id
    assert (session.branch, session.part) == ("main", "web")
    assert not ProjectAlias.objects.exists()


def test_later_events_follow_their_session_wherever_they_are(team: Team) -> None:
    first = start(team, SHOP, session="s")
    for cwd in ("/src/shop/deep", "/else/where"):
        assert start(team, None, session="s", cwd=cwd, name="UserPromptSubmit").pk == first.pk
    assert start(team, {"root": "/else"}, session="s", name="Stop").pk == first.pk
    assert Project.objects.count() == 1


@pytest.mark.parametrize("bound", [False, True])
def test_of_a_long_branch_the_beginning_is_kept(team: Team, project: Project, bound: bool) -> None:
    named = {"branch": "b" * 4_000, "part": "p" * 4_000}
    session = start(team, {**SHOP, **named}, bound=project.id if bound else None)
    assert session.branch is not None
    assert session.part is not None
    assert (session.branch[:9], len(session.branch)) == ("b" * 9, 250)
    assert (session.part[:9], len(session.part)) == ("p" * 9, 250)


def test_a_key_bound_to_another_project_draws_no_session_to_it(team: Team) -> None:
    other = Project.objects.create(team=team, name="other")
    shop = start(team, SHOP, session="s")
    assert start(team, None, session="s", bound=other.id, name="Stop").project == other
    assert start(team, None, session="s", name="Stop") == shop


def test_sessions_of_other_teams_and_platforms_say_nothing(team: Team) -> None:
    start(team, SHOP, session="s")
    other = start(Team.objects.create(name="other"), None, session="s", cwd="/y/elsewhere")

    assert called(other) == "elsewhere"
    codex = agents.BY_NAME["claude-code"]
    assert codex.platform == "claude"


def test_a_place_is_looked_at_only_where_session_and_place_are_unknown(team: Team) -> None:
    asked: list[str] = []

    def look(cwd: str) -> places.Place:
        asked.append(cwd)
        return places.of(SHOP)

    for _ in range(3):
        ingest.capture_hook(
            team.id, None, {"hook_event_name": "Stop", "session_id": "s", "cwd": "/src/shop/x"},
            origin={}, facts=HookFacts(look=look),
        )  # fmt: skip
    assert asked == ["/src/shop/x"]
    assert called(Session.objects.get()) == "shop"


def test_a_later_event_of_a_session_costs_one_statement(
    team: Team, django_assert_num_queries: Any
) -> None:
    start(team, SHOP, session="s")
    call = hook_calls.understood({"hook_event_name": "Stop", "session_id": "s", "cwd": "/z"})
    with django_assert_num_queries(0):  # none of Django's; the one is bare
        assert not projects.of_hook(team.id, None, call).home_id


def test_what_is_known_already_is_told_without_making_anything(team: Team) -> None:
    def told(facts: dict[str, str] | None, cwd: str = "/a/app", session: str = "x") -> str | None:
        place = None if facts is None else places.of(facts)
        payload: dict[str, Any] = {"hook_event_name": "Stop", "session_id": session, "cwd": cwd}
        call = hook_calls.understood(payload, facts=HookFacts(place=place))
        return projects.known_to(team.id, call)

    theirs = {"remote": "https://github.com/acme/app", "root": "/a/app"}
    assert told(theirs) is told(None) is None
    session = start(team, theirs, session="s")
    assert told(theirs) == told(None) == told(None, "/z", "s") == session.project_id
    # Called alike, and another's.
    assert told({"remote": "https://github.com/else/app", "root": "/b/app"}) is None
    assert Project.objects.count() == 1


def test_what_is_known_of_a_place_holds_no_secret(team: Team) -> None:
    start(team, {"remote": "https://me:hunter2@example.org/a/b", "root": "/a/b"})

    assert "hunter2" not in str(
        list(ProjectAlias.objects.values()) + list(Project.objects.values())
    )
