"""`/v1/health`, `/readyz` and `/api/processing-status`."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import LazySettings
from django.db import DEFAULT_DB_ALIAS, connection, connections

from claudemem import condition, monitor
from observations.models import Project, Team
from queueing import broker, canaries, pauses
from queueing.errors import QueueStoreAway
from queueing.models import GenerationJob
from queueing.pauses import Subject
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.postgres import on_postgresql
from tests.servers import serving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("asked_anew")]

PARTS = [
    "database", "queueStore", "lag", "lastSuccess", "beat", "workers", "canaries", "queues",
    "provider", "pauses",
]  # fmt: skip
QUEUES = ["event", "summary", "event-batch"]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """A queue store that answers, and a worker that took all canaries just now."""
    waiting = dict.fromkeys(canaries.QUEUES, 0)
    monkeypatch.setattr(broker, "depths", lambda: waiting)
    monkeypatch.setattr(broker, "send_canary", lambda *canary: canaries.see(*canary, "host:1"))
    canaries.send()
    return waiting


def checks(status: str = "ok") -> dict[str, Any]:
    body = told(Api().get("/v1/health"), 200)
    assert list(body) == ["status", "checkedAtEpoch", "engine", "checks"]
    assert body["status"] == status, body
    found: dict[str, Any] = body["checks"]
    return found


def test_health_tells_every_part_with_its_limit_and_verdict(messages: dict[str, int]) -> None:
    parts = checks()
    assert list(parts) == PARTS
    one = parts["lag"]
    assert one == {"verdict": "ok", "reason": "nothing waits", "seconds": 0.0, "limit": 300.0}
    assert [each["queue"] for each in parts["canaries"]] == list(canaries.QUEUES)
    canary = parts["canaries"][0]
    assert list(canary) == [
        "verdict", "reason", "seconds", "limit", "queue", "sentAtEpoch", "seenAtEpoch",
    ]  # fmt: skip
    assert canary["seenAtEpoch"] >= canary["sentAtEpoch"] > 1_700_000_000_000
    assert [each["queue"] for each in parts["queues"]] == QUEUES


def test_health_counts_what_waits_and_names_nobody(
    api: Api, event: dict[str, Any], messages: dict[str, int]
) -> None:
    for n in range(3):
        told(api.post("/v1/events", event | {"payload": {"n": n}}), 201)
    messages["event"] = 3
    parts = checks()
    assert parts["queues"][0] | {"reason": ""} == {
        "verdict": "ok", "reason": "", "jobs": 3, "limit": 10_000, "queue": "event",
        "rows": {"queued": 3}, "heads": 3, "paused": 0, "messages": 3, "missing": 0,
    }  # fmt: skip
    assert parts["lag"]["seconds"] > 0
    body = Api().get("/v1/health").content
    for name in ("host:1", event["projectId"], GenerationJob.objects.all()[0].id):
        assert name.encode() not in body


def test_a_store_that_is_away_fails_and_events_are_accepted_all_the_same(
    messages: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise QueueStoreAway("the queue store did not answer")

    monkeypatch.setattr(broker, "depths", away)
    assert checks("failed")["queueStore"]["verdict"] == "failed"
    assert told(Api().get("/readyz"), 200) == {"status": "ready"}


def test_why_a_store_is_away_names_no_place(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    def away() -> None:
        raise QueueStoreAway("cannot be reached (Error 111 to 10.1.2.3:6379)", "cannot be reached")

    monkeypatch.setattr(broker, "depths", away)
    assert checks("failed")["queueStore"]["reason"] == "cannot be reached"
    for path in ("/v1/health", "/v1/info", "/api/health"):
        assert b"10.1.2.3" not in Api().get(path).content


def test_a_policy_that_somebody_changed_while_it_runs_is_told_and_names_no_place(
    tmp_path: Path, messages: dict[str, int], settings: LazySettings
) -> None:
    with serving(tmp_path, "--appendonly", "yes") as url, redis.Redis.from_url(url) as client:
        settings.QUEUE_ENGINE, settings.QUEUE_STORE_URL = "celery", url
        assert checks()["queueStore"]["verdict"] == "ok"
        client.config_set("maxmemory-policy", "allkeys-lru")
        part = checks("failed")["queueStore"]
        assert (part["verdict"], "maxmemory-policy is allkeys-lru" in part["reason"]) == (
            "failed", True,
        )  # fmt: skip
        assert "127.0.0.1" not in part["reason"]
        client.config_set("maxmemory-policy", "noeviction")
        assert checks()["queueStore"]["verdict"] == "ok"


def test_whether_a_store_may_be_used_is_not_asked_by_everybody(
    messages: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(broker, "faults", lambda: tuple(asked.append(1) or ()))
    monkeypatch.setattr(monitor._fitness, "_keep", monitor.FITNESS_SECONDS)
    for _ in range(5):
        checks()
    assert len(asked) == 1


def test_a_paused_provider_is_late_and_events_are_accepted_all_the_same(
    messages: dict[str, int],
) -> None:
    pauses.pause("the key sk-1 was refused", "auth_invalid", probing=False)
    assert checks("late")["provider"]["verdict"] == "late"
    assert b"sk-1" not in Api().get("/v1/health").content
    assert told(Api().get("/readyz"), 200) == {"status": "ready"}


def test_what_an_operator_paused_is_no_fault_and_nobodys_words_are_told(
    messages: dict[str, int], team: Team
) -> None:
    pauses.hold(pauses.PROVIDER, "sk-1 is changed")
    pauses.hold(Subject("team", team.pk), "for acme")
    parts = checks("ok")
    assert (parts["provider"]["verdict"], parts["pauses"]["verdict"]) == ("off", "off")
    assert parts["pauses"]["reason"] == "paused by an operator: provider, 1 team"
    provider = told(Api().get("/v1/info"), 200)["boundaries"]["providerRegistry"]
    assert provider["status"] == "disabled"
    for path in ("/v1/health", "/v1/info", "/api/health"):
        said = Api().get(path).content.decode()
        assert not [each for each in ("sk-1", "acme", team.pk) if each in said]


def test_the_limits_are_settings(
    api: Api, event: dict[str, Any], messages: dict[str, int], settings: LazySettings
) -> None:
    settings.HEALTH_LAG_SECONDS = 0.000001
    settings.HEALTH_DEPTH = 1
    for n in range(2):
        told(api.post("/v1/events", event | {"payload": {"n": n}}), 201)
    messages["event"] = 2
    parts = checks("late")
    assert (parts["lag"]["verdict"], parts["queues"][0]["verdict"]) == ("late", "late")


def test_under_the_database_engine_there_is_no_store_to_be_asked(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUEUE_ENGINE = "database"
    monkeypatch.delattr(broker, "depths")
    canaries.send()
    canaries.answer(canaries.QUEUES, "host:1")
    parts = checks()
    assert (parts["queueStore"]["verdict"], parts["beat"]["verdict"]) == ("off", "off")
    assert parts["queues"][0]["messages"] is None


@pytest.fixture
def silent_database(asked_anew: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that does not answer: one that is locked, or a server that stands still."""
    asked = (monitor._table, monitor._open, monitor._jobs, condition._known)
    for question in (*asked, condition._accepting):
        monkeypatch.setattr(question, "_patience", 0.1)
    answer = threading.Event()

    def silence() -> Any:
        answer.wait(60)
        return None

    for question in (*asked, condition._accepting):
        monkeypatch.setattr(question, "_ask", silence)
    yield
    answer.set()


@pytest.mark.usefixtures("silent_database")
def test_a_silent_database_is_told_of_and_not_waited_for(messages: dict[str, int]) -> None:
    parts = checks("failed")
    assert (parts["database"]["verdict"], parts["lag"]["verdict"]) == ("failed", "unknown")
    assert "did not answer" in told(Api().get("/readyz"), 503)["message"]
    told(Api().get("/api/readiness"), 503)
    assert told(Api().get("/api/health"), 503)["queue"]["lanes"][0]["unavailable"]
    info = told(Api().get("/v1/info"), 200)
    assert "no database" in info["boundaries"]["generationWorkerManager"]["reason"]
    refused(Api().get("/api/processing-status"), 503, "ServiceUnavailable")


def test_a_database_that_takes_no_writes_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    if on_postgresql():
        options = connection.settings_dict["OPTIONS"]
        read_only = f"{options.get('options', '')} -c default_transaction_read_only=on"
        monkeypatch.setitem(options, "options", read_only)
        assert "read-only" in told(Api().get("/readyz"), 503)["message"]
        return
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        assert "does not answer" in told(Api().get("/readyz"), 503)["message"]
        cursor.execute("ROLLBACK")
    assert told(Api().get("/readyz"), 200) == {"status": "ready"}


def test_a_database_without_its_migrations_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = condition._migrations() | {("observations", "9999_from_the_future")}
    monkeypatch.setattr(condition, "_migrations", lambda: expected)
    assert "claudemem migrate" in told(Api().get("/readyz"), 503)["message"]


def test_what_is_processed_is_counted_over_all_or_within_a_keys_reach(
    api: Api, raw_key: RawKey, event: dict[str, Any], team: Team, project: Project
) -> None:
    nothing = {"queued": 0, "processing": 0}
    empty = {"isProcessing": False, "queueDepth": 0, "kinds": dict.fromkeys(QUEUES, nothing)}
    assert told(Api().get("/api/processing-status"), 200) == empty
    told(api.post("/v1/events/batch", [event | {"payload": {"n": n}} for n in range(3)]), 201)
    GenerationJob.objects.filter(pk=GenerationJob.objects.all()[0].pk).update(state="completed")
    two = {"isProcessing": True, "queueDepth": 2,
           "kinds": {**empty["kinds"], "event-batch": {"queued": 2, "processing": 0}}}  # fmt: skip
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for caller in (Api(), api, Api(raw_key(project=project))):
        assert told(caller.get("/api/processing-status"), 200) == two
    for caller in (sibling, stranger):
        assert told(caller.get("/api/processing-status"), 200) == empty
    wrong = Api("cmem_" + "0" * 48).get("/api/processing-status")
    refused(wrong, 403, "Forbidden")


@pytest.mark.skipif(not on_postgresql(), reason="about PostgreSQL alone")
def test_looking_often_takes_no_connection_from_those_who_work(messages: dict[str, int]) -> None:
    """Those of the pool that a look had taken and not given back would be gone for good."""
    pool: Any = getattr(connections[DEFAULT_DB_ALIAS], "pool", None)
    connection.ensure_connection()
    for _ in range(5):
        for path in ("/v1/health", "/readyz", "/api/readiness", "/api/health", "/v1/info"):
            assert Api().get(path).status_code == 200
    connection.close()
    stats = pool.get_stats()
    assert stats["pool_size"] == stats["pool_available"], stats
