"""What a team used is told by kind, day and project, with what is left of its caps."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings

from observations import counters, usage
from observations.models import Project, Team
from tests.claudemem.api.conftest import Api, RawKey, refused, told

AT = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _march(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "this_month", lambda: AT.date().replace(day=1))


def entered(project: Project, day: int, kind: str, quantity: int) -> None:
    with transaction.atomic():
        at = AT.replace(day=day)
        counters.add(project.team_id, kind.removeprefix("input_"), quantity, at)
        counters.enter(project.team_id, project.id, "", kind, quantity, at)


def asked(api: Api, query: str = "") -> dict[str, Any]:
    body: dict[str, Any] = told(api.get(f"/v1/usage{query}"), 200)
    return body


def test_totals_are_those_of_the_callers_team_since_the_first_of_the_month(
    api: Api, project: Project
) -> None:
    other = Project.objects.create(team=Team.objects.create(name="others"), name="elsewhere")
    for where, day, kind, quantity in (
        (project, 30, "request", 2), (project, 31, "request", 3), (other, 31, "request", 4),
        (project, 31, "input_tokens", 100), (project, 31, "observation", 1),
    ):  # fmt: skip
        entered(where, day, kind, quantity)
    body = asked(api)
    assert list(body)[:2] == ["since", "usage"]
    assert body["since"] == "2026-03-01T00:00:00.000Z"
    assert body["until"] == "2026-04-01T00:00:00.000Z"
    totals = {"request": 5, "tokens": 100, "input_tokens": 100, "observation": 1}
    assert body["usage"] == totals
    assert body["days"] == [
        {"day": "2026-03-30", "usage": {"request": 2}},
        {"day": "2026-03-31", "usage": {**totals, "request": 3}},
    ]
    assert body["projects"] == [{"projectId": project.id, "usage": totals}]
    assert (body["metering"], body["requestsPerMinute"]) == (False, None)
    assert body["caps"] == {"request": None, "tokens": None}


def test_what_was_not_counted_is_not_there(api: Api) -> None:
    body = asked(api)
    assert (body["usage"], body["days"], body["projects"]) == ({}, [], [])


@override_settings(MONTHLY_REQUEST_CAP=5, MONTHLY_TOKEN_CAP=7, RATE_LIMIT_PER_MIN=9)
def test_what_is_left_of_caps_is_told(api: Api, project: Project) -> None:
    entered(project, 30, "request", 2)
    entered(project, 30, "tokens", 8)
    body = asked(api)
    assert body["caps"] == {
        "request": {"cap": 5, "used": 2, "left": 3}, "tokens": {"cap": 7, "used": 8, "left": 0},
    }  # fmt: skip
    assert body["requestsPerMinute"] == 9


def test_a_key_of_a_project_sees_no_other_project(raw_key: RawKey, project: Project) -> None:
    other = Project.objects.create(team=project.team, name="other")
    entered(project, 30, "request", 2)
    entered(other, 30, "request", 3)
    body = asked(Api(raw_key("memories:read", project=project)))
    assert body["usage"] == {"request": 5}
    assert [each["projectId"] for each in body["projects"]] == [project.id]


def test_another_month_can_be_asked_for(api: Api, project: Project) -> None:
    entered(project, 30, "request", 2)
    assert asked(api, "?month=2026-03")["usage"] == {"request": 2}
    other = asked(api, "?month=2025-12")
    assert (other["usage"], other["until"]) == ({}, "2026-01-01T00:00:00.000Z")
    assert asked(api, "?month=2099-12")["until"] == "2100-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    "query", ["month=", "month=2026-13", "month=2026-3", "month=2026-03&month=2026-04", "month=ü"]
)
def test_what_is_no_month_is_refused(api: Api, query: str) -> None:
    assert refused(api.get(f"/v1/usage?{query}"), 400, "ValidationError") == "month"


def test_it_takes_a_key_that_reads(raw_key: RawKey) -> None:
    told(Api(raw_key("memories:read")).get("/v1/usage"), 200)
    assert Api(raw_key("memories:write")).get("/v1/usage").status_code == 403
