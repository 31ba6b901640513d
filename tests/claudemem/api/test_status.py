import socket
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import F
from django.utils import timezone

from claudemem import condition, health
from queueing import broker, canaries, depths
from queueing.errors import QueueStoreAway
from queueing.models import Canary, GenerationJob
from tests.claudemem.api.conftest import Api, told
from tests.postgres import on_postgresql

LANE_KEYS = [
    "kind", "name", "waiting", "active", "completed", "failed", "delayed", "stalled", "unavailable",
]  # fmt: skip


NO_MESSAGES = {"event": 0, "summary": 0, "event-batch": 0, "upkeep": 0}


pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def counted_anew(asked_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that another test has counted or asked is told."""
    depths.forget()
    monkeypatch.setattr(depths, "FREE_SECONDS", 1_000.0)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A queue store that answers: the messages in its queues."""
    waiting = dict(NO_MESSAGES)
    monkeypatch.setattr(broker, "depths", lambda: waiting)
    return waiting


@pytest.fixture
def reachable(db: None, messages: dict[str, int]) -> dict[str, int]:
    """The same, and a worker to which a canary came in each queue a moment ago."""
    canaries_seen(0.5)
    return messages


def canaries_seen(seconds: float) -> None:
    """All canaries were sent and seen so long ago."""
    at = timezone.now() - timedelta(seconds=seconds)
    for queue in canaries.QUEUES:
        Canary.objects.update_or_create(queue=queue, defaults={"sent_at": at, "seen_at": at})


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise QueueStoreAway("the queue store did not answer")

    monkeypatch.setattr(broker, "depths", away)


@pytest.fixture
def blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that does not answer: locked even for readers, or a server that stands still."""
    if on_postgresql():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
            monkeypatch.setitem(connection.settings_dict, "PORT", silent.getsockname()[1])
            yield
        return
    path = tmp_path / "locked.sqlite3"
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("CREATE TABLE t (a)")
    lock.execute("BEGIN EXCLUSIVE")
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    yield
    lock.execute("ROLLBACK")
    lock.close()


def _boundaries(api: Api) -> dict[str, Any]:
    answer: dict[str, Any] = told(api.get("/v1/info"), 200)["boundaries"]
    return answer


def test_alive_asks_nobody(django_assert_num_queries: Any, db: None, unreachable: None) -> None:
    with django_assert_num_queries(0):
        assert told(Api().get("/healthz"), 200) == {"status": "ok", "runtime": "server-beta"}


def test_ready_means_that_the_database_answers_and_is_migrated(
    db: None, unreachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(Api().get("/api/readiness"), 200) == {"status": "ready", "mcpReady": True}
    expected = condition._migrations() | {("observations", "9999_from_the_future")}
    monkeypatch.setattr(condition, "_migrations", lambda: expected)
    answer = told(Api().get("/api/readiness"), 503)
    assert answer["status"] == "initializing"


@pytest.mark.usefixtures("db", "reachable", "blocked")
def test_a_locked_database_delays_no_answer() -> None:
    started = time.monotonic()
    told(Api().get("/api/readiness"), 503)
    # PostgreSQL's client library waits for a connection for two seconds at least.
    assert time.monotonic() - started < (3 if on_postgresql() else 2)


@pytest.mark.usefixtures("db", "reachable")
def test_a_database_that_is_away_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "nowhere" if on_postgresql() else str(tmp_path)
    monkeypatch.setitem(connection.settings_dict, "NAME", place)
    answer = told(Api().get("/api/health"), 503)
    assert (answer["status"], answer["initialized"]) == ("degraded", False)
    assert "does not answer" in answer["dependencies"]["statuses"][0]["message"]
    assert told(Api().get("/v1/info"), 200)["postgres"]["initialized"] is False


@pytest.mark.usefixtures("db", "reachable")
def test_health_has_what_clients_look_for() -> None:
    answer = told(Api().get("/api/health"), 200)
    assert list(answer) == [
        "status", "runtime", "version", "workerPath", "uptime", "managed", "hasIpc", "platform",
        "pid", "initialized", "mcpReady", "ai", "dependencies", "rateLimits", "queue",
    ]  # fmt: skip
    assert (answer["status"], answer["runtime"]) == ("ok", "server-beta")
    assert (answer["queue"]["engine"], answer["queue"]["transport"]) == ("bullmq", "celery")
    assert answer["queue"]["redis"]["status"] == "ok"
    assert [lane["kind"] for lane in answer["queue"]["lanes"]] == [
        "event",
        "summary",
        "event-batch",
    ]
    assert list(answer["queue"]["lanes"][0]) == LANE_KEYS


@pytest.mark.usefixtures("db", "unreachable")
def test_a_queue_store_that_is_away_degrades_health_but_not_readiness() -> None:
    answer = told(Api().get("/api/health"), 503)
    assert (answer["status"], answer["queue"]["redis"]["status"]) == ("degraded", "error")
    told(Api().get("/api/readiness"), 200)
    boundaries = _boundaries(Api())
    assert boundaries["queueManager"]["status"] == "errored"
    assert boundaries["generationWorkerManager"]["status"] == "errored"


@pytest.mark.usefixtures("db", "unreachable")
def test_with_the_database_engine_no_store_is_looked_for_or_told_of(
    settings: LazySettings,
) -> None:
    settings.QUEUE_ENGINE = "database"
    answer = told(Api().get("/api/health"), 200)
    assert (answer["queue"]["engine"], answer["queue"]["transport"]) == ("database", "database")
    assert list(answer["queue"]) == ["engine", "transport", "lanes"]
    assert [each["name"] for each in answer["dependencies"]["statuses"]] == ["database"]
    part = _boundaries(Api())["queueManager"]
    assert part["status"] == "active"
    assert list(part["details"]) == ["engine", "transport", "lanes"]


@pytest.mark.usefixtures("db", "blocked")
def test_with_the_database_engine_a_locked_database_is_told_of_soon(
    settings: LazySettings,
) -> None:
    settings.QUEUE_ENGINE = "database"
    started = time.monotonic()
    part = health.queue(condition.database(), None)
    assert part.status == "errored"
    assert time.monotonic() - started < 5


def test_with_the_database_engine_only_work_that_nobody_takes_shows_that_no_worker_runs(
    api: Api, event: dict[str, Any], reachable: dict[str, float | None], settings: LazySettings
) -> None:
    settings.QUEUE_ENGINE = "database"
    reachable["since"] = None
    assert _boundaries(api)["generationWorkerManager"]["status"] == "active"
    told(api.post("/v1/events", event), 201)
    GenerationJob.objects.update(due_at=timezone.now() - timedelta(seconds=20))
    part = _boundaries(api)["generationWorkerManager"]
    assert part["status"] == "errored"
    assert "nobody takes it" in part["reason"]


@pytest.mark.usefixtures("db", "reachable")
def test_info_says_of_each_part_how_it_is_and_why() -> None:
    answer = told(Api().get("/v1/info"), 200)
    assert list(answer) == [
        "name", "runtime", "authMode", "postgres", "boundaries", "queueLanes",
    ]  # fmt: skip
    assert (answer["name"], answer["runtime"]) == ("claude-mem-server", "server-beta")
    assert answer["postgres"]["initialized"] is True
    assert answer["postgres"]["schemaVersion"] >= 2
    boundaries = answer["boundaries"]
    assert {name: part["status"] for name, part in boundaries.items()} == {
        "queueManager": "active",
        "generationWorkerManager": "active",
        "providerRegistry": "active",
        "eventBroadcaster": "active",
    }
    assert all(part["reason"] for part in boundaries.values())
    assert list(boundaries["queueManager"]["details"]) == [
        "engine", "transport", "mode", "host", "port", "prefix", "lanes",
    ]  # fmt: skip
    assert boundaries["generationWorkerManager"]["details"]["provider"] == "offline"
    assert boundaries["providerRegistry"]["details"]["model"]


def test_the_address_of_the_store_is_told_without_its_password(
    db: None, reachable: None, settings: LazySettings
) -> None:
    settings.STORE_MODE = "external"
    settings.QUEUE_STORE_URL = "redis://user:correct-horse@store.example:6390/2"
    answer = Api().get("/v1/info")
    details = _boundaries(Api())["queueManager"]["details"]
    assert (details["mode"], details["host"], details["port"]) == (
        "external",
        "store.example",
        6390,
    )
    assert b"correct-horse" not in answer.content


def test_jobs_that_nobody_takes_show_that_no_worker_runs(
    api: Api, event: dict[str, Any], reachable: dict[str, int]
) -> None:
    told(api.post("/v1/events", event), 201)
    assert _boundaries(api)["generationWorkerManager"]["status"] == "active"
    long_ago = timezone.now() - timedelta(seconds=20)
    GenerationJob.objects.update(due_at=long_ago)
    part = _boundaries(api)["generationWorkerManager"]
    assert part["status"] == "errored"
    assert "nobody takes it" in part["reason"]
    later = timezone.now() + timedelta(seconds=5)
    GenerationJob.objects.update(state="processing", lease_until=later)
    assert _boundaries(api)["generationWorkerManager"]["status"] == "active"


def test_a_job_behind_one_that_awaits_its_retry_is_not_overdue(
    api: Api, event: dict[str, Any], reachable: dict[str, int]
) -> None:
    batch = [event | {"contentSessionId": "c-1", "payload": {"n": n}} for n in range(2)]
    told(api.post("/v1/events/batch", batch), 201)
    GenerationJob.objects.update(due_at=timezone.now() - timedelta(seconds=20))
    retried_at = timezone.now() + timedelta(minutes=1)
    GenerationJob.objects.filter(seq=F("lane__head")).update(due_at=retried_at)
    assert _boundaries(api)["generationWorkerManager"]["status"] == "active"


def test_a_worker_that_stopped_reporting_shows_even_without_work(
    db: None, reachable: dict[str, int], settings: LazySettings
) -> None:
    canaries_seen(60)
    part = _boundaries(Api())["generationWorkerManager"]
    assert part["status"] == "errored"
    assert "see beat" in part["reason"]
    # Beat goes on, and nobody takes what it sends.
    reachable["upkeep"] = 30
    part = _boundaries(Api())["generationWorkerManager"]
    assert part["status"] == "errored"
    assert "claudemem worker start" in part["reason"]
    settings.GENERATION_DISABLED = True
    assert _boundaries(Api())["generationWorkerManager"]["status"] == "disabled"


@pytest.mark.usefixtures("db", "reachable")
def test_a_provider_that_does_not_exist_is_named(settings: LazySettings) -> None:
    settings.PROVIDER = "oracle"
    part = _boundaries(Api())["providerRegistry"]
    assert part["status"] == "errored"
    assert "oracle" in part["reason"]


@pytest.mark.usefixtures("reachable")
def test_jobs_are_counted_by_kind_and_state(api: Api, event: dict[str, Any]) -> None:
    batch = [event | {"payload": {"n": n}} for n in range(6)]
    told(api.post("/v1/events/batch", batch), 201)
    now = timezone.now()
    later, earlier = now + timedelta(minutes=1), now - timedelta(minutes=1)
    changes: list[dict[str, Any]] = [
        {"state": "processing", "lease_until": later},
        {"state": "processing", "lease_until": earlier},
        {"state": "completed"},
        {"state": "failed"},
        {"due_at": later},
    ]
    ids = list(GenerationJob.objects.order_by("id").values_list("id", flat=True))
    for job_id, change in zip(ids, changes, strict=False):
        GenerationJob.objects.filter(pk=job_id).update(**change)
    lanes = {lane["kind"]: lane for lane in told(Api().get("/v1/info"), 200)["queueLanes"]}
    bulk = lanes["event-batch"]
    assert {state: bulk[state] for state in LANE_KEYS[2:8]} == {
        "waiting": 1,
        "active": 1,
        "completed": 1,
        "failed": 1,
        "delayed": 1,
        "stalled": 1,
    }
    assert lanes["event"]["waiting"] == 0
    assert "being worked" in _boundaries(Api())["generationWorkerManager"]["reason"]


def test_under_the_database_engine_no_store_is_told_of(
    db: None, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUEUE_ENGINE = "database"
    monkeypatch.delattr(broker, "depths")
    canaries_seen(0.5)
    answer = told(Api().get("/api/health"), 200)
    assert (answer["queue"]["engine"], answer["queue"]["transport"]) == ("database", "database")
    assert "redis" not in answer["queue"]
    assert [each["name"] for each in answer["dependencies"]["statuses"]] == ["database"]
    parts = _boundaries(Api())
    assert parts["queueManager"]["status"] == "active"
    assert parts["generationWorkerManager"]["status"] == "active"
    canaries_seen(60)
    assert _boundaries(Api())["generationWorkerManager"]["status"] == "errored"


def test_older_clients_are_told_the_version_that_they_expect(settings: LazySettings) -> None:
    assert told(Api().get("/api/version"), 200) == {"version": health.version()}
    settings.WORKER_VERSION = "13.15.3"
    assert told(Api().get("/api/version"), 200) == {"version": "13.15.3"}
    assert health.summary()["version"] == "13.15.3"
