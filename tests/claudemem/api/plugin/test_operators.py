"""Orders to the server from its own machine: who may give them, and what comes of them."""

import os
import signal
from typing import Any

import pytest
from django.conf import LazySettings

from claudemem import operating
from claudemem.api.plugin.operators import ONLY_HERE, SWITCHED_OFF
from claudemem.interrupts import ROLL
from queueing.pids import Mark, mark
from tests.claudemem.api.conftest import Api, refused, told
from tests.claudemem.api.plugin.test_worker import Here

RESTART, SHUTDOWN, DOCTOR = (f"/api/admin/{name}" for name in ("restart", "shutdown", "doctor"))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that our supervisor, or this process, is sent in place of getting them."""
    numbers: list[int] = []

    def signalled(self: Mark, number: int) -> bool:
        numbers.append(number)
        return True

    monkeypatch.setattr(Mark, "signal", signalled)
    monkeypatch.setattr("claudemem.leash._supervisors", [mark(os.getppid())])
    return numbers


@pytest.mark.parametrize("path", [RESTART, SHUTDOWN])
def test_orders_are_taken_only_where_the_server_s_own_settings_say_so(
    heard: list[int], path: str, settings: LazySettings, api: Api
) -> None:
    settings.SERVER_ADMIN = False
    for caller in (Here(), Here(api.key)):
        assert refused(caller.post(path), 403, "Forbidden") == SWITCHED_OFF
    assert heard == []


@pytest.mark.parametrize(
    "sent",
    [
        {"Host": "memory.example"},
        {"X_Forwarded_For": "127.0.0.1"},
        {"X_Real_IP": "127.0.0.1"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", [RESTART, SHUTDOWN, DOCTOR])
def test_neither_proxies_nor_pages_nor_strangers_may_give_them(
    heard: list[int], path: str, sent: dict[str, str], settings: LazySettings
) -> None:
    settings.SERVER_ADMIN, settings.ALLOWED_HOSTS = True, ["*"]
    method = "GET" if path == DOCTOR else "POST"
    assert refused(Here().call(method, path, b"", **sent), 403, "Forbidden") == ONLY_HERE
    assert heard == []


def test_a_restart_replaces_what_runs_and_ends_nothing(
    heard: list[int], settings: LazySettings
) -> None:
    settings.SERVER_ADMIN = True
    assert told(Here().post(RESTART), 200) == {"status": "restarting"}
    assert heard == [ROLL]


def test_a_restart_that_nobody_would_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    settings.SERVER_ADMIN = True
    monkeypatch.setattr("claudemem.leash._supervisors", [])
    assert "no supervisor" in refused(Here().post(RESTART), 409, "Conflict")


def test_a_shutdown_stops_everything_softly(heard: list[int], settings: LazySettings) -> None:
    settings.SERVER_ADMIN = True
    assert told(Here().post(f"{SHUTDOWN}?reason=restart"), 200) == {"status": "shutting_down"}
    assert heard == [signal.SIGTERM]


@pytest.mark.usefixtures("asked_anew")
def test_the_doctor_tells_processes_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claudemem.leash._supervisors", [mark(os.getppid())])
    found: Any = told(Here().get(DOCTOR), 200)
    assert found["supervisor"]["running"] is True
    assert found["supervisor"]["pid"] == os.getppid()
    assert os.getpid() in [each["pid"] for each in found["processes"]]
    assert found["health"]["deadProcessPids"] == []
    assert next(each["name"] for each in found["health"]["dependencies"]["statuses"]) == "database"


def test_a_process_that_waits_to_be_reaped_is_dead() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        found = {each.pid: each for each in operating._processes(mark(os.getpid()))}
        assert found[child].wire()["status"] == "dead"
    finally:
        os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(59.0, "0m"), (61.0, "1m"), (3600.0, "1h 0m"), (90_000.0, "25h 0m")]
)
def test_a_time_is_told_in_minutes_and_hours(seconds: float, shown: str) -> None:
    assert operating._told(seconds) == shown
