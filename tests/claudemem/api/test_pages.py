"""Cursors lead on in the list that they came from, and nowhere else."""

import base64
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.api import pages
from claudemem.api.pages import PageQuery
from observations.errors import InvalidInput
from observations.models import Project, Team
from tests.claudemem.api.conftest import Api, RawKey, refused, told

HERE = ["a list", "team", None, {"kind": "decision"}]
SORTS = (int, str)
PLACES = st.tuples(
    st.integers(0, 2**57),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
)


def walked(api: Api, path: str, noun: str, **asked: Any) -> list[list[Any]]:
    """The pages of a list, followed to its end."""
    found, cursor = [], None
    while True:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        more = f"&cursor={cursor}" if cursor else ""
        page = told(api.get(f"{path}?{query}{more}"), 200)
        found.append(page[noun])
        cursor = page["nextCursor"]
        if cursor is None:
            return found
        assert len(found) < 50


@given(PLACES)
def test_a_cursor_leads_back_to_its_place(place: tuple[int, str]) -> None:
    cursor = pages.cursor(place, HERE)
    assert pages.opened(cursor, HERE, SORTS) == place


@given(PLACES, st.data())
def test_a_cursor_in_which_anything_was_changed_is_refused(
    place: tuple[int, str], data: st.DataObject
) -> None:
    cursor = pages.cursor(place, HERE)
    assert cursor
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("AZaz09-_=!é").filter(lambda char: char != cursor[at]))
    found = None
    with suppress(InvalidInput):
        found = pages.opened(cursor[:at] + other + cursor[at + 1 :], HERE, SORTS)
    # The last letter may have bits that say nothing.
    assert found in (None, place)


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_rubbish_is_no_cursor(given: str | bytes) -> None:
    text = given if isinstance(given, str) else base64.urlsafe_b64encode(given).decode()
    with pytest.raises(InvalidInput):
        pages.opened(text, HERE, SORTS)


@pytest.mark.parametrize(
    "elsewhere",
    [
        ["another list", *HERE[1:]],
        [HERE[0], "another team", *HERE[2:]],
        [*HERE[:3], {"kind": "bugfix"}],
        [*HERE[:3], {}],
    ],
)
def test_a_cursor_of_another_list_or_other_filters_is_refused(elsewhere: list[Any]) -> None:
    cursor = pages.cursor((1, "a"), HERE)
    with pytest.raises(InvalidInput):
        pages.opened(cursor, elsewhere, SORTS)


@pytest.mark.parametrize(
    "place",
    [(1,), ("a", "1"), (1, "a", "b"), (1, "a\0"), (2**63, "a"), (True, "a"), (-(2**62), "")],
)
def test_a_forged_place_does_not_reach_the_database(place: Sequence[Any]) -> None:
    seal = pages.digest([*HERE, *place])[:16]
    forged = base64.urlsafe_b64encode(orjson.dumps([seal, *place])).decode()
    with pytest.raises(InvalidInput):
        pages.opened(forged, HERE, SORTS)


def test_without_a_place_there_is_no_cursor() -> None:
    assert pages.cursor(None, HERE) is None
    assert pages.opened(None, HERE, SORTS) is None


def test_a_page_is_of_fifty_unless_said() -> None:
    assert PageQuery().limit == 50


LISTS = ["observations", "memories", "events", "sessions", "projects", "audit"]


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=x", "cursor"),
        ("cursor=W10", "cursor"),
        (f"cursor={'x' * 1001}", "cursor"),
    ],
)
def test_a_wrong_page_is_refused_in_every_list(
    api: Api, project: Project, noun: str, asked: str, field: str
) -> None:
    answer = api.get(f"/v1/{noun}?projectId={project.id}&{asked}")
    assert refused(answer, 400, "ValidationError") == field


@pytest.mark.parametrize("noun", ["observations", "memories", "events", "sessions", "audit"])
@pytest.mark.parametrize(
    "when", ["yesterday", "99999999999999999999", "2026-13-01", "-1", "1e3", "0001-01-01T00:00+23"]
)
def test_a_time_that_is_none_is_refused(api: Api, project: Project, noun: str, when: str) -> None:
    for field in ("since", "until"):
        answer = api.get(f"/v1/{noun}?projectId={project.id}&{field}={when}")
        assert refused(answer, 400, "ValidationError") == field


@pytest.mark.parametrize("noun", ["observations", "memories", "events", "sessions"])
def test_a_teams_key_names_the_project_and_a_projects_key_need_not(
    api: Api, raw_key: RawKey, team: Team, project: Project, noun: str
) -> None:
    assert refused(api.get(f"/v1/{noun}"), 400, "ValidationError") == "projectId"
    own = Api(raw_key(project=project))
    assert told(own.get(f"/v1/{noun}"), 200) == {noun: [], "nextCursor": None}
    other = Project.objects.create(team=team, name="other")
    strange = Project.objects.create(team=Team.objects.create(name="strangers"), name="strange")
    message = "API key is scoped to a different project"
    assert refused(own.get(f"/v1/{noun}?projectId={other.id}"), 403, "Forbidden") == message
    message = "project_id must belong to team_id"
    assert refused(api.get(f"/v1/{noun}?projectId={strange.id}"), 403, "Forbidden") == message


def test_a_cursor_is_not_taken_with_another_key_or_filter(
    api: Api, project: Project, team: Team
) -> None:
    for number in range(3):
        body = {"projectId": project.id, "content": f"memory {number}"}
        told(api.post("/v1/observations", body), 201)
    path = f"/v1/observations?projectId={project.id}&limit=1"
    cursor = told(api.get(path), 200)["nextCursor"]
    told(api.get(f"{path}&cursor={cursor}"), 200)
    told(api.get(f"/v1/observations?projectId={project.id}&limit=2&cursor={cursor}"), 200)
    other = Project.objects.create(team=team, name="other")
    for elsewhere in (
        f"{path}&kind=manual",
        f"{path}&q=memory",
        f"/v1/observations?projectId={other.id}",
        f"/v1/events?projectId={project.id}",
    ):
        answer = api.get(f"{elsewhere}&cursor={cursor}")
        assert refused(answer, 400, "ValidationError") == "cursor", elsewhere
    assert json.loads(api.get(path).content)["nextCursor"] == cursor
