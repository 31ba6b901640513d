"""What was used is told as it was used; who spent too much waits, and loses nothing by it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, transaction
from django.test import override_settings

from observations import counters, generate, ingest, keys, quotas, retention, scopes, tasks, usage
from observations.drafts import Tokens
from observations.models import DailyUsage, MonthlyUsage, Project, RateCount, Team
from observations.providers.openai_compatible import OpenAICompatible
from queueing import broker, direct, kinds, pauses, reconcile, whereabouts
from queueing.models import GenerationJob
from queueing.pauses import Subject
from tests.observations.test_generate import tool, work
from tests.standin import StandIn, running

pytestmark = pytest.mark.django_db(transaction=True)

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
AT = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked."""
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    return waiting


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A model of which each answer costs 100 tokens and 10."""
    with (
        running() as standin,
        closing(OpenAICompatible("openai-compatible", "m", standin.url, "sk")) as provider,
    ):
        monkeypatch.setattr(generate, "provider", lambda: provider)
        yield standin


def capture(project: Project, number: int, session: str = "s", key: str = "") -> None:
    payload = tool(number) | {"session_id": session}
    origin = {"api_key_id": key} if key else {}
    ingest.capture_hook(project.team_id, project.id, payload, origin=origin)


def totals(project: Project) -> dict[str, int]:
    return usage.of_team(project.team_id, usage.this_month()).totals


def states() -> list[tuple[str, int]]:
    rows = GenerationJob.objects.order_by("lane_id", "seq")
    return list(rows.values_list("state", "attempts"))


def held() -> list[str]:
    return [str(hold.subject) for hold in pauses.held()]


@override_settings(USAGE_METERING=True)
def test_a_call_is_entered_with_its_tokens_and_what_came_of_it_by_project_and_key(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    key = keys.create("k", [scopes.MEMORIES_WRITE], team=project.team, project=project).key
    capture(project, 1, key=key.id)
    work(sent)
    assert totals(project) == {
        "tokens": 110, "input_tokens": 100, "output_tokens": 10, "observation": 1,
    }  # fmt: skip
    whose = DailyUsage.objects.values_list("team_id", "project_id", "api_key_id")
    assert set(whose) == {(project.team_id, project.id, key.id)}
    found = usage.of_team(project.team_id, usage.this_month(), project_id=project.id)
    assert found.totals == totals(project)
    assert found.projects == {project.id: found.totals}


@override_settings(USAGE_METERING=True)
def test_summaries_repairs_and_answers_that_cannot_be_read_cost_what_they_cost(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    standin.next = ["prose", "good"]  # repaired
    capture(project, 1)
    work(sent)
    assert totals(project)["tokens"] == 220
    standin.next = ["prose", "prose"]  # and failed for good
    capture(project, 2)
    work(sent)
    assert totals(project)["tokens"] == 440
    stop = {"hook_event_name": "Stop", "session_id": "s", "cwd": "/home/dev/app"}
    ingest.capture_hook(project.team_id, project.id, stop, origin={})
    work(sent)
    assert [state for state, _ in states()] == ["completed", "failed", "completed"]
    assert totals(project)["tokens"] == 550
    assert len(standin.requests) == 5
    assert totals(project)["observation"] == 2


@override_settings(USAGE_METERING=True)
def test_what_was_paid_for_a_job_that_was_cancelled_meanwhile_is_entered(
    project: Project, sent: list[tuple[str, str]], standin: StandIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    capture(project, 1)
    asked = generate.provider().complete

    def complete(*args: Any, **kwargs: Any) -> Any:
        GenerationJob.objects.update(token=99)  # another worker has it
        return asked(*args, **kwargs)

    monkeypatch.setattr(generate.provider(), "complete", complete)
    work(sent)
    assert totals(project) == {"tokens": 110, "input_tokens": 100, "output_tokens": 10}


@override_settings(USAGE_METERING=True)
def test_the_offline_provider_costs_nothing(project: Project, sent: list[tuple[str, str]]) -> None:
    capture(project, 1)
    work(sent)
    assert totals(project) == {"observation": 1}


def test_without_metering_or_a_cap_nothing_is_entered(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    capture(project, 1)
    work(sent)
    assert totals(project) == {}
    assert not DailyUsage.objects.exists()
    assert not MonthlyUsage.objects.exists()


@override_settings(USAGE_METERING=True)
def test_a_ledger_that_cannot_be_written_has_no_work_paid_twice(
    project: Project, sent: list[tuple[str, str]], standin: StandIn,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fail(*_: object) -> None:
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(usage, "spend", fail)
    capture(project, 1)
    work(sent)
    assert states() == [("completed", 1)]
    assert len(standin.requests) == 1
    assert "was not written down: disk I/O error" in caplog.text


@override_settings(MONTHLY_TOKEN_CAP=110)
def test_a_team_that_spent_its_tokens_waits_with_its_attempts_until_it_may_use_more(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    other = Project.objects.create(team=Team.objects.create(name="other"), name="other")
    capture(project, 1)
    work(sent)
    assert held() == [f"quota:{project.team_id}"]
    capture(project, 2)
    capture(other, 3, session="of the other")
    work(sent)
    assert states() == [("completed", 1), ("queued", 0), ("completed", 1)]
    assert len(standin.requests) == 2
    (hold,) = (hold for hold in pauses.held() if hold.subject.name == project.team_id)
    assert hold.reason == f"the 110 tokens of {usage.this_month():%Y-%m} are spent"
    waiting = GenerationJob.objects.get(state="queued", team_id=project.team_id)
    assert whereabouts.find(waiting.pk).waits_for == f"its team's quota: {hold.reason}"
    tasks.review_quotas()
    reconcile.reconcile()
    work(sent)
    assert states()[1] == ("queued", 0)
    with override_settings(MONTHLY_TOKEN_CAP=1000):
        tasks.review_quotas()
        assert held() == []
        work(sent)
    assert states()[1] == ("completed", 1)


@override_settings(MONTHLY_TOKEN_CAP=100)
def test_a_new_month_lets_a_team_go_on(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction.atomic():
        counters.add(project.team_id, quotas.TOKENS, 100, AT)
    monkeypatch.setattr(usage.direct, "now", lambda: AT)
    usage.review()
    assert held() == [f"quota:{project.team_id}"]
    monkeypatch.setattr(usage.direct, "now", lambda: AT + timedelta(minutes=1))
    usage.review()
    assert held() == []


@override_settings(MONTHLY_TOKEN_CAP=100)
def test_a_quota_and_an_operator_hold_a_team_each_for_itself(project: Project) -> None:
    pauses.hold(Subject("team", project.team_id), "holidays")
    with transaction.atomic():
        counters.add(project.team_id, quotas.TOKENS, 100, direct.now())
    usage.review()
    assert held() == [f"quota:{project.team_id}", f"team:{project.team_id}"]
    assert pauses.resume(Subject("team", project.team_id))
    assert held() == [f"quota:{project.team_id}"]


def entered(*days: tuple[str, int]) -> None:
    for day, quantity in days:
        at = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        with transaction.atomic():
            counters.add("t", quotas.REQUEST, quantity, at)
            counters.enter("t", "p", "k", quotas.REQUEST, quantity, at)


def test_a_month_is_told_by_day_and_by_project_and_has_nothing_of_another() -> None:
    entered(("2026-02-28", 1), ("2026-03-01", 2), ("2026-03-31", 3), ("2026-04-01", 4))
    found = usage.of_team("t", MARCH)
    assert found.totals == {"request": 5}
    assert found.days == {MARCH: {"request": 2}, date(2026, 3, 31): {"request": 3}}
    assert found.projects == {"p": {"request": 5}}
    assert usage.of_all(MARCH) == found
    assert usage.of_team("another", MARCH).totals == {}


def test_use_is_pruned_after_its_time_but_never_this_months() -> None:
    entered(("2026-01-31", 1), ("2026-02-01", 2), ("2026-02-28", 3), ("2026-03-01", 4))
    for key, ago in (("old", timedelta(days=2)), ("new", timedelta())):
        RateCount.objects.create(api_key_id=key, started=(AT - ago).timestamp(), count=1)
    before = datetime(2026, 2, 10, tzinfo=UTC)
    with transaction.atomic():
        assert usage.over(before, AT) == 3
        assert usage.prune(before, AT) == 4  # and a minute of long ago
    assert [str(row.day) for row in DailyUsage.objects.order_by("day")] == [
        "2026-02-28", "2026-03-01",
    ]  # fmt: skip
    assert [str(row.month) for row in MonthlyUsage.objects.order_by("month")] == [
        "2026-02-01", "2026-03-01",
    ]  # fmt: skip
    assert RateCount.objects.get().api_key_id == "new"
    with transaction.atomic():
        usage.prune(AT, AT)
    assert DailyUsage.objects.get().quantity == 4
    assert MonthlyUsage.objects.get().quantity == 4


def test_retention_sees_to_what_was_used() -> None:
    entered(("2020-01-31", 1))
    with override_settings(RETAIN_USAGE_DAYS=0):
        assert retention.look().usage == retention.prune().usage == 0
    assert retention.look().usage == retention.prune().usage == 2
    assert retention.look().usage == 0


def test_tokens_of_both_directions_are_summed() -> None:
    assert Tokens(100, 10).total == 110
