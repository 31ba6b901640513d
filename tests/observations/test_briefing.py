"""What is read for a page: whose memory, which of it, and where it is looked for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from observations import briefing, keys, modes
from observations.briefing import Place, place
from observations.context_page import Layout
from observations.errors import NotFound
from observations.models import Event, Observation, Project, Session, Team
from observations.search import Filters

MODE = modes.load("code")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

Make = Callable[..., Observation]


@pytest.fixture
def make(project: Project) -> Make:
    """make(kind="decision", …): an observation that was generated, each a minute after the last."""
    count = 0

    def _make(**fields: Any) -> Observation:
        nonlocal count
        count += 1
        at = NOON + timedelta(minutes=count)
        values = {
            "team_id": project.team_id, "project": project, "kind": "bugfix",
            "title": f"title {count}", "content": f"content {count}", "concepts": ["gotcha"],
            "created_by_job_id": "a job", "occurred_at": at, "created_at": at, "updated_at": at,
        }  # fmt: skip
        return Observation.objects.create(**{**values, **fields})

    return _make


@pytest.fixture
def session(project: Project) -> Callable[..., Session]:
    def _session(**fields: Any) -> Session:
        values = {
            "team_id": project.team_id, "project": project, "lane_key": "lane", "started_at": NOON,
            "last_event_at": NOON, "created_at": NOON, "updated_at": NOON,
        }  # fmt: skip
        return Session.objects.create(**{**values, **fields})

    return _session


def all_of(project: Project) -> Place:
    return Place(project.team_id, (project.id,))


def titles(where: Place, **how: Any) -> list[str]:
    how = {"title": "shop", "mode": MODE, "layout": Layout(), **how}
    return [each.item.title for each in briefing.briefing(where, **how).observations]


def test_the_newest_observations_are_told_and_no_more_than_asked_for(
    make: Make, project: Project
) -> None:
    for _ in range(3):
        make()
    assert titles(all_of(project), layout=Layout(observations=2)) == ["title 3", "title 2"]
    assert len(titles(all_of(project), layout=Layout(observations=2), full=True)) == 3


def test_only_types_and_concepts_of_the_mode_are_told_and_what_was_remembered_by_hand(
    make: Make, project: Project
) -> None:
    make(kind="elsewhere")
    make(concepts=[])
    make(concepts=["gotchas"])
    make(concepts=["other", "trade-off"], title="with one of its concepts")
    make(kind="manual", concepts=[], created_by_job_id=None, title="by hand")
    assert titles(all_of(project)) == ["by hand", "with one of its concepts"]


def test_one_summary_more_than_is_shown_comes_along(make: Make, project: Project) -> None:
    for number in range(4):
        make(kind="summary", metadata={"request": f"asked {number}", "learned": 7})
    told = briefing.briefing(all_of(project), title="shop", mode=MODE, layout=Layout(sessions=2))
    assert [each.request for each in told.summaries] == ["asked 3", "asked 2", "asked 1"]
    assert told.summaries[0].learned == ""
    assert not told.fresh


def test_a_place_is_fresh_only_where_nothing_at_all_is_remembered(
    make: Make, project: Project
) -> None:
    how = {"title": "shop", "mode": MODE, "layout": Layout()}
    assert briefing.briefing(all_of(project), **how).fresh  # type: ignore[arg-type]
    make(kind="elsewhere")
    assert not briefing.briefing(all_of(project), **how).fresh  # type: ignore[arg-type]


def test_what_the_work_cost_is_told(make: Make, project: Project) -> None:
    make(metadata={"discovery_tokens": 1200})
    make(metadata={"discovery_tokens": "many"})
    told = briefing.briefing(all_of(project), title="shop", mode=MODE, layout=Layout())
    assert [each.work_tokens for each in told.observations] == [0, 1200]


def test_what_the_agent_said_last_is_read_where_it_is_asked_for(
    project: Project, session: Callable[..., Session]
) -> None:
    for number, said in enumerate(("first", "last")):
        at = NOON + timedelta(minutes=number)
        Event.objects.create(
            team_id=project.team_id, project=project, session=session(), dedupe_key=said,
            source_adapter="claude-code", event_type="Stop",
            payload={"last_assistant_message": said},
            occurred_at=at, received_at=at, created_at=at,
        )  # fmt: skip
    how = {"title": "shop", "mode": MODE}
    asked = briefing.briefing(all_of(project), layout=Layout(last_message=True), **how)  # type: ignore[arg-type]
    assert asked.said == "last"
    assert briefing.briefing(all_of(project), layout=Layout(), **how).said == ""  # type: ignore[arg-type]


def test_a_bound_project_is_found_whole_by_its_name_or_id(project: Project, team: Team) -> None:
    whole = Place(team.id, (project.id,))
    for names in ([], [project.name], [project.id], ["parent", project.name]):
        assert place(team.id, project.id, names) == whole


def test_by_any_other_name_it_is_the_part_whose_sessions_say_so(
    make: Make, session: Callable[..., Session], project: Project, team: Team
) -> None:
    make(title="said", session=session(metadata={"project": "shop"}))
    make(title="in the directory", session=session(cwd="/home/dev/shop"))
    make(title="elsewhere", session=session(cwd="/home/dev/workshop"))
    make(title="says otherwise", session=session(cwd="/x/shop", metadata={"project": "blog"}))
    make(title="by hand", created_by_job_id=None)
    where = place(team.id, project.id, ["shop"])
    assert titles(where) == ["by hand", "in the directory", "said"]
    assert titles(place(team.id, project.id, ["blog", "shop"])) == [
        "by hand", "says otherwise", "in the directory", "said",
    ]  # fmt: skip


def test_no_name_leads_out_of_the_bound_project_or_the_team(make: Make, project: Project) -> None:
    other = Project.objects.create(team=project.team, name="other")
    foreign = Project.objects.create(team=Team.objects.create(name="them"), name="other")
    make(project=other, title="of the team")
    make(project=foreign, team=foreign.team, title="of them")
    assert titles(place(project.team_id, project.id, ["other"])) == []
    assert titles(place(project.team_id, None, ["other"])) == ["of the team"]
    assert titles(place(project.team_id, None, [foreign.id, "nothing"])) == []


def test_a_platform_is_that_of_the_session_and_what_was_made_by_hand_has_none(
    make: Make, session: Callable[..., Session], project: Project
) -> None:
    make(title="claude", session=session(platform_source="claude"))
    make(title="codex", session=session(platform_source="codex"))
    make(title="of no session")
    make(title="by hand", created_by_job_id=None)
    assert titles(all_of(project), platform_source="Claude Code") == ["by hand", "claude"]


def test_files_are_found_by_any_path_that_ends_alike(make: Make, project: Project) -> None:
    make(title="relative", files_modified=["src/worker.py"])
    make(title="absolute", files_read=["/home/dev/shop/src/worker.py"])
    make(title="another", files_read=["tests/worker.py", "src/coworker.py"])
    make(title="windows", files_read=["src\\worker.py"])

    def found(*paths: str, limit: int = 40) -> list[str]:
        return [row.title for row in briefing.of_files(all_of(project), paths, limit=limit)]

    assert found("/home/dev/shop/src/worker.py", "src/worker.py") == [
        "windows", "absolute", "relative",
    ]  # fmt: skip
    assert found("worker.py", limit=2) == ["windows", "another"]
    assert found('we"ird_%.py', "/", "") == []


def test_a_file_with_a_strange_name_is_found(make: Make, project: Project) -> None:
    make(files_read=['notes/grüße "1".md'])
    assert len(briefing.of_files(all_of(project), ['/x/notes/grüße "1".md'], limit=1)) == 1


def test_neighbours_are_those_of_the_place(
    make: Make, session: Callable[..., Session], project: Project, team: Team
) -> None:
    here = [make(session=session(metadata={"project": "shop"})) for _ in range(4)]
    make(session=session(metadata={"project": "blog"}))
    where = place(team.id, project.id, ["shop"])
    around = briefing.around(where, here[2], before=1, after=5)
    assert around == (here[1], here[2], here[3])
    assert briefing.nearest(where, here[1].occurred_at) == here[1]
    assert briefing.nearest(where, NOON - timedelta(days=1)) == here[0]
    with pytest.raises(NotFound):
        briefing.one(where, here[3].number + 1)


def test_what_matches_no_question_can_be_listed_by_kind_and_time(
    make: Make, project: Project
) -> None:
    first, second = make(), make(kind="decision")
    where = all_of(project)
    assert briefing.listed(where, Filters(kinds=("decision",)), 5) == (second,)
    assert briefing.listed(where, Filters(until=second.occurred_at), 5) == (first,)
    assert briefing.listed(where, Filters(since=second.occurred_at), 5) == (second,)


def test_a_question_is_asked_of_the_last_project(make: Make, team: Team) -> None:
    make(title="exponential backoff", content="exponential backoff")
    bound = keys.tenant("team", "procrastinate")[1]
    assert bound is not None
    where = place(team.id, bound.id, ["anything"])
    assert len(briefing.search(where, "backoff", Filters(), limit=5)) == 1
    assert briefing.search(Place(team.id, ()), "backoff", Filters(), limit=5) == ()
