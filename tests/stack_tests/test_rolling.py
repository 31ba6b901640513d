"""Rolling restarts under load; the large run is `python -m tests.benchmarks.rolling`."""

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.benchmarks import rolling
from tests.stack import CROSSED, ENGINES, Stack, stack
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module", params=CROSSED)
def server(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with stack({"CLAUDE_MEM_SERVER_ADMIN": "1"}, engine=request.param) as running:
        running.http.close()  # it keeps a connection, for which each web that retires would wait
        yield running


def test_no_hook_is_refused_lost_repeated_or_unheard_of_while_all_is_replaced(
    server: Stack,
) -> None:
    senders = rolling.clients(server, rate=30)
    with rolling.watched(server, senders) as wrong:
        took = rolling.roll_under_load(server, senders, rolls=1)
    assert wrong == []
    assert rolling.report(server, senders, took) == []


def test_a_setting_that_cannot_be_is_refused_before_anything_is_replaced(server: Stack) -> None:
    before = server.pids()
    for setting, said in {
        "CLAUDE_MEM_LEASE_SECONDS": "not longer than three heartbeats",
        "CLAUDE_MEM_GRACE_SECONDS": "CLAUDE_MEM_GRACE_SECONDS: a rolling restart cannot change",
        "CLAUDE_MEM_SERVER_PROVIDER": "nothing is replaced: There is no provider '1'",
        "CLAUDE_MEM_MODE": "nothing is replaced: ",
    }.items():
        kept = server.data / "settings.json"
        kept.write_text(json.dumps({setting: "1"}))
        with pytest.raises(subprocess.CalledProcessError) as refused:
            server.cli("restart", "--rolling")
        kept.unlink()
        assert refused.value.returncode == 1
        assert said in refused.value.stderr
    server.settings["CLAUDE_MEM_WEB_THREADS"] = "3"  # of the shell, and not of the server
    with pytest.raises(subprocess.CalledProcessError) as refused:
        server.cli("restart", "--rolling")
    del server.settings["CLAUDE_MEM_WEB_THREADS"]
    assert "CLAUDE_MEM_WEB_THREADS: a rolling restart takes what is in" in refused.value.stderr
    assert server.pids() == before


@pytest.mark.once  # what is ordered is what the tests above show on either
@pytest.mark.parametrize("server", ENGINES[:1], indirect=True)
def test_an_order_to_restart_replaces_the_processes_and_ends_nothing(server: Stack) -> None:
    before = server.pids()
    answer = httpx.post(f"{server.url}/api/admin/restart", trust_env=False, timeout=30.0)
    assert (answer.status_code, answer.json()) == (200, {"status": "restarting"})
    until(lambda: not set(before.values()) & set(_replaceable(server).values()))
    assert httpx.get(f"{server.url}/healthz", trust_env=False, timeout=30.0).status_code == 200


def _replaceable(server: Stack) -> dict[str, int]:
    """Of the processes those that a rolling restart replaces."""
    return {role: pid for role, pid in server.pids().items() if role in ("web", "worker", "beat")}
