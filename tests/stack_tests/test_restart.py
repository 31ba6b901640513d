"""A restart while agents send and a model is being asked."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests import proofs
from tests.stack import CELERY, CROSSED, HOOK, Stack, stack
from tests.stack_tests.test_model import tool_calls
from tests.standin import EVENT, StandIn, running
from tests.waiting import until

pytestmark = pytest.mark.stack

SESSIONS = ("one", "two", "three")


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


@pytest.fixture(params=CROSSED)
def modelled(standin: StandIn, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A server that asks the stand-in; whatever runs in the end is stopped."""
    settings = {
        "CLAUDE_MEM_SERVER_PROVIDER": "OpenRouter",
        "OPENROUTER_BASE_URL": f"{standin.url}/",
        "CLAUDE_MEM_OPENROUTER_API_KEY": "sk-a-key",
        "CLAUDE_MEM_SERVER_MODEL": "a-model",
    }
    with stack(settings, engine=request.param) as running:
        try:
            yield running
        finally:
            running.cli("stop")


class Agent:
    """Sends tool calls one after the other, each until it is taken, as a hook client does."""

    def __init__(self, server: Stack) -> None:
        self.sent = 0
        self.refused = 0
        self._server = server
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Agent":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)

    def _send(self) -> None:
        while not self._enough.wait(0.02):
            (call,) = tool_calls(1, SESSIONS[self.sent % len(SESSIONS)])
            while not self._taken(call):
                time.sleep(0.05)
            self.sent += 1

    def _taken(self, call: dict[str, Any]) -> bool:
        try:
            answer = self._server.http.post(HOOK, json=call)
        except httpx.TransportError:
            self.refused += 1
            return False
        assert answer.is_success or answer.status_code == 503, answer.text
        return bool(answer.is_success)


def stopping(server: Stack) -> bool:
    """Whether its worker has been told to stop, as far as it shows while calls are in hand."""
    # Whoever is told before the worker has ended by then, or the worker is the first.
    told = "beat stopped" if server.engine == CELERY else "stopping: calls in hand"
    return told in server.output.read_text()


def test_a_restart_loses_nothing_and_asks_nothing_twice(modelled: Stack, standin: StandIn) -> None:
    first = modelled.pids()
    standin.answering.clear()
    with Agent(modelled) as agent:
        # Calls are in hand, and jobs wait behind them.
        until(lambda: len(standin.requests) >= len(SESSIONS) and agent.sent > 20, 60)
        restarting = threading.Thread(target=modelled.cli, args=("restart",))
        restarting.start()
        until(lambda: stopping(modelled), 60)
        standin.answering.set()
        restarting.join(120)
        before = agent.sent
        until(lambda: agent.sent > before + 5, 60)
    assert not set(first.values()) & set(modelled.pids().values())
    assert agent.refused
    modelled.wait_settled(120)
    with closing(modelled.connect()) as database:
        assert proofs.violations(database) == []
    assert modelled.count("observations_event") == agent.sent
    assert modelled.jobs() == agent.sent
    assert modelled.jobs("attempts <> 1") == 0
    asked = [event for prompt in standin.prompts for event in EVENT.findall(prompt)]
    assert len(asked) == agent.sent
