"""What a key and its team may use: exactly that much passes, and who is refused is told why."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from claudemem.api import admission
from claudemem.api.calls import Needs
from observations import counters, keys, quotas
from observations.keys import Principal
from observations.models import DailyUsage, MonthlyUsage, Project, RateCount, Team
from queueing import direct
from tests.claudemem.api.conftest import Api, RawKey, Server, refused, told
from tests.claudemem.api.test_routes import CLOSED
from tests.postgres import database_of, on_postgresql

MORNING = datetime(2026, 3, 31, 23, 59, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_respite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission._Respite, "until", float("-inf"))


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The moment that it is for the door: no minute and no month ends within a test by itself."""
    moments = [MORNING]
    monkeypatch.setattr(admission.direct, "now", lambda: moments[-1])
    return moments


def used(kind: str) -> int:
    """What the ledger has of a kind."""
    return sum(DailyUsage.objects.filter(kind=kind).values_list("quantity", flat=True))


def in_month(kind: str) -> int:
    """What caps are held against."""
    return sum(MonthlyUsage.objects.filter(kind=kind).values_list("quantity", flat=True))


@override_settings(RATE_LIMIT_PER_MIN=2)
def test_a_key_passes_so_often_in_a_minute_and_is_told_how_it_stands(
    api: Api, at: list[datetime]
) -> None:
    first, second, third = (api.get("/v1/jobs") for _ in range(3))
    reset = str(int((MORNING + timedelta(seconds=30)).timestamp()))
    for answer, left in ((first, "1"), (second, "0"), (third, "0")):
        assert answer["X-RateLimit-Limit"] == "2"
        assert answer["X-RateLimit-Remaining"] == left
        assert answer["X-RateLimit-Reset"] == reset
    told(first, 200)
    told(second, 200)
    assert refused(third, 429, "rate_limited") == "Rate limit exceeded (2 requests / 60s)"
    assert third["Retry-After"] == "30"
    assert "Retry-After" not in second
    at.append(MORNING + timedelta(seconds=30))
    told(api.get("/v1/jobs"), 200)
    assert RateCount.objects.get().count == 1


@override_settings(RATE_LIMIT_PER_MIN=1)
def test_each_key_has_a_rate_of_its_own(raw_key: RawKey) -> None:
    one, other = Api(raw_key()), Api(raw_key())
    assert [each.get("/v1/jobs").status_code for each in (one, other, one)] == [200, 200, 429]


@override_settings(RATE_LIMIT_PER_MIN=1, MONTHLY_REQUEST_CAP=1, USAGE_METERING=True)
def test_who_has_no_right_to_call_is_refused_before_anything_is_counted(
    api: Api, raw_key: RawKey
) -> None:
    for caller in (Api(), Api("cmem_unknown"), Api(raw_key("memories:read"))):
        assert caller.post("/v1/events", {}).status_code in (401, 403)
    assert not RateCount.objects.exists()
    assert in_month("request") == used("request") == 0
    broken = api.post("/v1/events", {})
    assert (broken.status_code, broken["X-RateLimit-Remaining"]) == (400, "0")
    assert refused(api.post("/v1/events", {}), 429, "rate_limited")


@override_settings(RATE_LIMIT_PER_MIN=9, MONTHLY_REQUEST_CAP=2)
def test_a_team_passes_up_to_its_cap_of_requests_without_metering(
    api: Api, raw_key: RawKey, at: list[datetime]
) -> None:
    other = Api(raw_key())
    assert [each.get("/v1/jobs").status_code for each in (api, other)] == [200, 200]
    answer = api.get("/v1/jobs")
    body = told(answer, 402)
    assert body == {
        "error": "quota_exceeded", "message": "Monthly request quota reached (2)",
        "used": 2, "cap": 2,
    }  # fmt: skip
    assert list(body) == ["error", "message", "used", "cap"]
    assert answer["X-RateLimit-Remaining"] == "7"
    assert (in_month("request"), used("request")) == (2, 0)
    at.append(MORNING + timedelta(minutes=1))  # in April
    told(api.get("/v1/jobs"), 200)


@override_settings(MONTHLY_REQUEST_CAP=1)
def test_another_teams_requests_are_its_own(api: Api, raw_key: RawKey) -> None:
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    assert [each.get("/v1/jobs").status_code for each in (api, stranger, api)] == [200, 200, 402]


@override_settings(MONTHLY_TOKEN_CAP=100, USAGE_METERING=True)
def test_who_spent_the_tokens_may_read_but_not_write_and_what_is_refused_is_not_metered(
    api: Api, team: Team, event: dict[str, Any]
) -> None:
    counters.add(team.pk, "tokens", 99, direct.now())
    told(api.post("/v1/events", event), 201)
    counters.add(team.pk, "tokens", 2, direct.now())
    for path in ("/v1/events", "/v1/memories", "/v1/sessions/start"):
        body = told(api.post(path, {}), 402)
        assert body["message"] == "Monthly tokens quota reached (100)"
        assert (body["used"], body["cap"]) == (101, 100)
    assert used("request") == in_month("request") == 1
    told(api.get("/v1/jobs"), 200)
    assert used("request") == in_month("request") == 2


@override_settings(MONTHLY_TOKEN_CAP=100, MONTHLY_REQUEST_CAP=1)
def test_of_two_caps_that_are_reached_the_one_of_requests_is_told(api: Api, team: Team) -> None:
    counters.add(team.pk, "tokens", 100, direct.now())
    assert told(api.post("/v1/memories", {}), 402)["message"] == (
        "Monthly tokens quota reached (100)"
    )
    told(api.get("/v1/jobs"), 200)
    for answer in (api.post("/v1/memories", {}), api.get("/v1/jobs")):
        assert told(answer, 402)["message"] == "Monthly request quota reached (1)"


@override_settings(USAGE_METERING=True)
def test_metering_enters_each_call_by_day_project_and_key(
    raw_key: RawKey, project: Project, at: list[datetime]
) -> None:
    whole, narrow = Api(raw_key()), Api(raw_key(project=project))
    for caller in (whole, narrow, narrow):
        told(caller.get("/v1/jobs"), 200)
    at.append(MORNING + timedelta(minutes=1))
    told(narrow.get("/v1/jobs"), 200)
    rows = DailyUsage.objects.order_by("id").values_list("day", "project_id", "quantity")
    assert [(str(day), where, quantity) for day, where, quantity in rows] == [
        ("2026-03-31", "", 1), ("2026-03-31", project.pk, 2), ("2026-04-01", project.pk, 1),
    ]  # fmt: skip
    assert in_month("request") == 4
    assert not RateCount.objects.exists()


def test_without_limits_a_call_asks_nothing_of_the_database_for_them(api: Api) -> None:
    principal = principal_of(api)
    with CaptureQueriesContext(connection) as queries, _statements() as direct_ones:
        assert admission.admit(principal, writes=True) is admission.FREELY
    assert (len(queries), direct_ones) == (0, [])
    assert "X-RateLimit-Limit" not in api.get("/v1/jobs")


@pytest.mark.parametrize("writes", [True, False])
@override_settings(
    RATE_LIMIT_PER_MIN=9, MONTHLY_REQUEST_CAP=9, MONTHLY_TOKEN_CAP=9, USAGE_METERING=True
)
def test_all_limits_together_are_one_statement_on_postgresql(api: Api, writes: bool) -> None:
    principal = principal_of(api)
    direct.now()
    with _statements() as asked:
        admission.admit(principal, writes=writes)
    assert len(asked) == (1 if connection.vendor == "postgresql" else 4)


@override_settings(RATE_LIMIT_PER_MIN=3)
def test_a_clock_that_is_behind_begins_no_minute_anew_and_one_put_back_ends_it(
    api: Api, at: list[datetime]
) -> None:
    for seconds, count in ((30, 1), (29, 2), (31, 3)):
        at.append(MORNING + timedelta(seconds=seconds))
        told(api.get("/v1/jobs"), 200)
        assert RateCount.objects.get().count == count
    assert api.get("/v1/jobs").status_code == 429
    at.append(MORNING - timedelta(hours=1))
    told(api.get("/v1/jobs"), 200)


@override_settings(RATE_LIMIT_PER_MIN=1)
def test_who_has_no_key_is_held_to_no_rate(team: Team) -> None:
    nobody = Principal(None, team.pk, None, frozenset("*"))
    assert admission.admit(nobody, writes=False).headers == {}
    assert admission.admit(nobody, writes=False).headers == {}


@override_settings(RATE_LIMIT_PER_MIN=1)
def test_a_database_that_cannot_count_lets_calls_through_and_is_left_alone_for_a_while(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[object] = []

    def fail(*_: object) -> None:
        asked.append(_)
        raise OperationalError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(counters, "count", fail)
        broken.setattr(admission, "close_old_connections", lambda: None)
        for _ in range(3):
            answer = api.get("/v1/jobs")
            told(answer, 200)
            assert "X-RateLimit-Limit" not in answer
    assert len(asked) == 1
    assert "let through uncounted for 5 s: disk I/O error" in caplog.text
    monkeypatch.setattr(admission._Respite, "until", 0.0)
    assert [api.get("/v1/jobs").status_code for _ in range(2)] == [200, 429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "limits", [quotas.Limits(per_minute=40), quotas.Limits(requests=40, metering=True)], ids=str
)
def test_of_many_callers_at_once_exactly_as_many_pass_as_may(limits: quotas.Limits) -> None:
    call = counters.Call("key", "team", "", True, MORNING)
    together = threading.Barrier(8)
    verdicts: Counter[bool] = Counter()

    def ask() -> None:
        together.wait()
        for _ in range(8):
            counted = counters.count(call, limits)
            refusal = quotas.refusal(limits, counted, writes=True, at=MORNING)
            verdicts[refusal is None] += 1
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    assert verdicts == {True: 40, False: 24}
    if limits.metering:
        assert in_month("request") == used("request") == 40


@override_settings(RATE_LIMIT_PER_MIN=1)
def test_no_route_that_takes_a_key_goes_past_the_limits(raw_key: RawKey) -> None:
    passed = (200, 201, 400, 404)
    for case in CLOSED:
        method, path, operation = case.values
        if not isinstance(operation.auth_callbacks[0], Needs):
            continue
        caller = Api(raw_key())
        got = [caller.call(method, path, b"{", Host="localhost").status_code for _ in range(2)]
        assert got[0] in passed, path
        assert got[1] == 429, path


@pytest.mark.skipif(on_postgresql(), reason="no writer keeps others out there")
@pytest.mark.django_db(transaction=True)
@override_settings(RATE_LIMIT_PER_MIN=1)
@pytest.mark.usefixtures("in_earnest")
def test_a_locked_database_keeps_a_read_waiting_for_half_a_second_once(api: Api) -> None:
    file = connection.settings_dict["NAME"]
    told(api.get("/v1/jobs"), 200)
    with closing(sqlite3.connect(file, uri=str(file).startswith("file:"))) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        assert admission.admit(principal_of(api), writes=False) is admission.FREELY
        assert 0.4 < time.monotonic() - started < 4
        assert admission.admit(principal_of(api), writes=False) is admission.FREELY
        other.rollback()


COUNTING = """
import threading
import django
django.setup()
from datetime import UTC, datetime
from django.db import OperationalError, connection
from observations import counters, quotas
at, passed = datetime(2026, 3, 31, tzinfo=UTC), []
limits = quotas.Limits(per_minute=70, requests=60, metering=True)
def ask():
    for _ in range(20):
        while True:
            try:
                counted = counters.count(counters.Call("of-processes", "t", "", True, at), limits)
                break
            except OperationalError:  # it was not its turn within its patience
                connection.close()
        passed.append(quotas.refusal(limits, counted, writes=True, at=at) is None)
    connection.close()
threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(passed))
"""


def test_processes_count_as_one(server: Server) -> None:
    ours = {"CLAUDE_MEM_DATA_DIR": str(server.data_dir)}
    environment = {
        **os.environ, **database_of(server.data_dir), **ours,
        "DJANGO_SETTINGS_MODULE": "claudemem.settings",
    }  # fmt: skip
    counting = [
        subprocess.Popen(
            [sys.executable, "-c", COUNTING], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    passed = [int(process.communicate(timeout=60)[0]) for process in counting]
    assert sum(passed) == 60


def principal_of(api: Api) -> Principal:
    """Whoever holds the key."""
    principal = keys.authenticate(api.key)
    assert principal
    return principal


class _statements:
    """The statements that go straight to the driver meanwhile."""

    def __enter__(self) -> list[str]:
        self.asked: list[str] = []
        self._fetch = direct.fetch
        direct.fetch = self._noted  # type: ignore[assignment]
        return self.asked

    def __exit__(self, *_: object) -> None:
        direct.fetch = self._fetch

    def _noted(self, text: str, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(text)
        return self._fetch(text, *args, **kwargs)
