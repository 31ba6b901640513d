"""The web's end: what was asked is answered, and nothing else is taken."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from claudemem import listening
from queueing import access
from tests.nodes import RUNNING, Fleet
from tests.postgres import shown_on_sqlite
from tests.stack import DATABASE
from tests.waiting import until

about_processes = shown_on_sqlite("processes")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Fleet]:
    """A web without workers, which goes on taking requests when it is told to stop."""
    fleet = Fleet(tmp_path, {"CLAUDE_MEM_DRAIN_SECONDS": "60"}, engine=DATABASE)
    fleet.start()
    yield fleet
    fleet.stop()


class Waiting(threading.Thread):
    """A request that waits for its job, which nobody works."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self.answer: httpx.Response | None = None
        self._fleet = fleet
        self.start()

    def run(self) -> None:
        event = {"projectId": self._fleet.project_id, "sourceType": "api", "eventType": "note",
                 "occurredAtEpoch": 1, "payload": {}}  # fmt: skip
        self.answer = self._fleet.post("/v1/events?wait=true", event)


@about_processes
@pytest.mark.stack
def test_who_is_told_to_stop_says_so_while_it_drains_and_answers_what_waits(web: Fleet) -> None:
    (process,) = web.upkeep
    asking = Waiting(web)
    until(lambda: web.jobs() == 1)
    process.kill("SIGTERM")
    until(lambda: httpx.get(f"{web.url}/readyz").status_code == 503)
    alive = httpx.get(f"{web.url}/healthz")
    assert (alive.status_code, alive.headers["Connection"]) == (200, "close")
    asking.join(20)  # seconds before the 25 that such a request waits are over
    assert asking.answer is not None
    assert asking.answer.json()["waitTimedOut"] is True
    assert process.status == RUNNING
    process.kill("SIGTERM")
    assert process.wait_ended() == 1


@about_processes
@pytest.mark.stack
def test_without_a_time_to_drain_it_answers_what_waits_and_ends_well(web: Fleet) -> None:
    (process,) = web.upkeep
    process.teardown()
    web.settings["CLAUDE_MEM_DRAIN_SECONDS"] = "0"
    process.start()
    until(web.healthy)
    asking = Waiting(web)
    until(lambda: web.jobs() == 1)
    process.kill("SIGTERM")
    assert process.wait_ended() == 0
    asking.join(20)
    assert asking.answer is not None
    assert asking.answer.is_success


@pytest.mark.once
def test_what_waits_at_a_socket_that_is_closed_quietly_is_taken_by_who_shares_it() -> None:
    with listening.opened("127.0.0.1", access.free_port()) as ours, ours.dup() as other:
        assert ours.getsockname()[1] == listening.port_of(ours.fileno())
        with closing(_client(ours)), closing(_client(ours)):
            listening.close_quietly(ours.fileno())
            with pytest.raises(BlockingIOError):
                ours.accept()
            for _ in range(2):
                other.accept()[0].close()


@pytest.mark.once
def test_a_copy_of_a_socket_does_not_make_the_others_wait() -> None:
    ours = listening.opened("127.0.0.1", access.free_port())
    with ours, ours.dup(), pytest.raises(BlockingIOError):
        ours.accept()


@pytest.mark.once
def test_the_connections_that_came_in_by_a_port_are_counted() -> None:
    with listening.opened("127.0.0.1", access.free_port()) as ours:
        port = ours.getsockname()[1]
        assert listening.connections(port) == 0
        with closing(_client(ours)):
            accepted, _ = ours.accept()
            assert listening.connections(port) == 1
            accepted.close()
        assert listening.connections(port) == 0


def _client(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname())
