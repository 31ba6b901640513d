"""A whole server of which parts stand still: its health says which, and nobody waits for them."""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.backlog import send_wide, tool_calls
from tests.stack import CELERY, CROSSED, HOOK, SHORT_LEASES, Stack, environment, stack
from tests.waiting import until

pytestmark = pytest.mark.stack

CANARIES = {
    "CLAUDE_MEM_CANARY_SECONDS": "1",
    "CLAUDE_MEM_HEALTH_CANARY_SECONDS": "4",
    "CLAUDE_MEM_WEB_THREADS": "8",
    "CLAUDE_MEM_WORKER_THREADS": "4",
    "CLAUDE_MEM_PROVIDER_DELAY_MS": "100",
}


@pytest.fixture(scope="module", params=CROSSED)
def watched_over(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with stack({**CANARIES, **SHORT_LEASES}, engine=request.param) as running:
        yield running


@pytest.fixture
def server(watched_over: Stack) -> Iterator[Stack]:
    """The server with nothing amiss, and so it is again afterwards."""
    until(lambda: health(watched_over)["status"] == "ok", 60)
    yield watched_over
    watched_over.wait_complete()
    until(lambda: health(watched_over)["status"] == "ok", 60)


@pytest.fixture
def with_store(watched_over: Stack, request: pytest.FixtureRequest) -> Stack:
    """The same, for what is about beat and the queue store."""
    if watched_over.engine != CELERY:
        pytest.skip("about beat and the queue store, and this engine has none")
    found: Stack = request.getfixturevalue("server")
    return found


def health(server: Stack) -> dict[str, Any]:
    answer = server.get("/v1/health")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def verdicts(server: Stack) -> dict[str, str]:
    return {
        name: part["verdict"]
        for name, part in health(server)["checks"].items()
        if isinstance(part, dict)
    }


def status(server: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        server._command("status", *options), capture_output=True, text=True, check=False,
        env=environment(server.settings),
    )  # fmt: skip


def status_of_what_is_well(server: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    """The same once all is well: on a busy machine a canary may just be late."""
    told = []

    def is_well() -> bool:
        told.append(status(server, *options))
        return told[-1].returncode == 0

    until(is_well)
    return told[-1]


def test_status_tells_what_runs_and_how_on_lines_that_fit(server: Stack) -> None:
    told = status_of_what_is_well(server)
    lines = told.stdout.splitlines()
    assert lines[0] == "Server is running"
    assert {"  PID", "  Port", "  Runtime"} <= {line.partition(":")[0] for line in lines[1:5]}
    assert f"  Port: {server.port}" in lines
    assert "  Runtime: server-beta" in lines
    own = [line for line in lines if str(server.data) not in line]
    assert max(len(line) for line in own) <= 80, told.stdout
    begins = [line.split()[0] for line in lines if line]
    for name in (
        "data", "web", "engine", "store", "database", "provider", "lag", "beat", "workers",
        "lanes", "queue", "event", "summary", "event-batch", "upkeep", "supervisor", "worker",
    ):  # fmt: skip
        assert name in begins, told.stdout
    report = json.loads(status_of_what_is_well(server, "--json").stdout)
    assert report["server"]["running"]
    assert report["engine"] == server.engine
    assert [each["name"] for each in report["queues"]] == [
        "event", "summary", "event-batch", "upkeep",
    ]  # fmt: skip
    assert {each["verdict"] for each in report["queues"]} == {"ok"}


def test_status_tells_of_the_store_and_not_its_password(with_store: Stack) -> None:
    told = status(with_store).stdout
    begins = [line.split()[0] for line in told.splitlines() if line]
    assert {"persistence", "policy"} <= set(begins), told
    report = json.loads(status(with_store, "--json").stdout)
    assert report["store"]["policy"] == "noeviction"
    assert report["store"]["product"] == "Valkey"
    assert with_store.store_access().password not in told + json.dumps(report)


def test_a_worker_that_stands_still_is_noticed_and_beat_is_not_blamed(server: Stack) -> None:
    with server.frozen("worker"):
        others = "ok" if server.engine == CELERY else "off"
        well = {"beat": others, "queueStore": others, "database": "ok"}
        until(lambda: _if(verdicts(server), workers="failed", **well), 60)
        told = status(server)
        assert told.returncode == 1
        assert "no worker takes anything" in told.stdout
        # At most one waits in each queue, however long nobody comes.
        queues = health(server)["checks"]["queues"]
        assert server.engine != CELERY or max(each["messages"] for each in queues) <= 1
        until(lambda: server.get("/readyz").is_success)
        assert server.post(HOOK, tool_calls(1)[0]).status_code == 200
    server.wait_settled()


def test_beat_that_stands_still_is_noticed(with_store: Stack) -> None:
    with with_store.frozen("beat"):
        until(lambda: _if(verdicts(with_store), beat="failed"), 60)
        until(lambda: verdicts(with_store)["workers"] in ("unknown", "ok"), 60)


def test_a_worker_with_its_hands_full_is_busy_and_not_dead(server: Stack) -> None:
    """Four threads, each in a call that lasts, and more calls to come: nothing else is taken."""
    until(lambda: _told_amid_work(server))
    server.wait_settled()


def _told_amid_work(server: Stack) -> bool:
    """See that a busy worker is told of as one; whether it was busy all the while."""
    lease = "lease_until IS NOT NULL"
    send_wide(server, 200)
    until(lambda: server.jobs(lease))
    info = server.get("/v1/info").json()["boundaries"]["generationWorkerManager"]
    told = verdicts(server)
    # Where not, a canary that is late on a busy machine tells of one that does nothing.
    if not server.jobs(lease):
        return False
    assert info["status"] == "active"
    assert told["workers"] in ("ok", "late")
    return True


def test_fifty_who_ask_for_health_while_the_store_is_a_black_hole_keep_no_capture_out(
    with_store: Stack,
) -> None:
    calls = tool_calls(20)
    everyone = httpx.Client(base_url=with_store.url, timeout=30.0, trust_env=False)
    with with_store.frozen("store"), everyone, ThreadPoolExecutor(50) as pool:
        asked = [pool.submit(_timed, everyone, "/v1/health") for _ in range(50)]
        started = time.monotonic()
        captured = [with_store.post(HOOK, call) for call in calls]
        took = time.monotonic() - started
        answers = [each.result() for each in asked]
        assert {answer.status_code for answer in captured} == {200}
        assert {answer.status_code for _, answer in answers} == {200}
        # Each waits for half a second at most, all that come together for the same.
        assert took < 10
        assert max(seconds for seconds, _ in answers) < 10
        until(lambda: _if(verdicts(with_store), queueStore="failed", database="ok"))
        until(lambda: with_store.get("/readyz").is_success)
        assert with_store.get("/api/health").status_code == 503
    with_store.wait_settled()


def _if(told: dict[str, str], **wanted: str) -> dict[str, str]:
    return told if wanted.items() <= told.items() else {}


def _timed(client: httpx.Client, path: str) -> tuple[float, httpx.Response]:
    started = time.monotonic()
    answer = client.get(path)
    return time.monotonic() - started, answer
