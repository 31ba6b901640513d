"""The whole server with a model behind it: recordings in, memories out; a key that is refused."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.stack import HOOK, RECORDINGS, Stack, environment, payloads, stack
from tests.stack_tests.test_privacy import found_in
from tests.standin import StandIn, running
from tests.waiting import until

pytestmark = pytest.mark.stack

KEY = "sk-the-right-one"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with running() as standin:
        yield standin


@pytest.fixture(scope="module")
def modelled(standin: StandIn) -> Iterator[Stack]:
    """A server that asks the stand-in."""
    settings = {
        "CLAUDE_MEM_SERVER_PROVIDER": "OpenRouter",
        "CLAUDE_MEM_OPENROUTER_BASE_URL": "",
        "OPENROUTER_BASE_URL": f"{standin.url}/",
        "OPENROUTER_API_KEY": "",
        "CLAUDE_MEM_OPENROUTER_API_KEY": KEY,
        "CLAUDE_MEM_SERVER_MODEL": "a-model",
        "CLAUDE_MEM_PAUSE_SECONDS": "1",
    }
    with stack(settings) as running:
        yield running


def status(running: Stack) -> dict[str, object]:
    command = running._command("status", "--json")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(running.settings)
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def test_a_refused_key_pauses_everything_until_it_is_right(
    modelled: Stack, standin: StandIn
) -> None:
    standin.key = "another"
    for number, payload in enumerate(payloads(RECORDINGS[:2])):
        modelled.post(HOOK, payload | {"session_id": f"s{number % 4}"})
    until(lambda: len(standin.requests) >= 3, 30)
    assert len(standin.requests) < 10
    assert modelled.jobs("attempts > 1") == 0
    assert modelled.jobs("state IN ('failed', 'completed')") == 0
    assert "401" in str(status(modelled)["problems"])
    told = modelled.get("/v1/info").json()["boundaries"]["providerRegistry"]
    assert told["status"] == "errored"
    assert "key" in told["reason"]
    standin.key = KEY
    modelled.wait_settled()
    assert modelled.jobs("attempts > 1 OR state <> 'completed'") == 0
    assert modelled.get("/v1/info").json()["boundaries"]["providerRegistry"]["status"] == "active"


def test_all_recordings_become_memories_and_nothing_private_is_sent(
    modelled: Stack, standin: StandIn
) -> None:
    modelled.replay()
    modelled.wait_settled()
    assert modelled.jobs("state <> 'completed'") == 0
    assert modelled.count("observations_observation", "kind = 'summary'") >= len(RECORDINGS)
    others = "CAST(metadata AS text) NOT LIKE '%openrouter%'"
    assert modelled.count("observations_observation", others) == 0
    assert "<private>" not in standin.everything
    assert found_in(standin.everything.encode()) == []
    assert modelled.search("pytest tests")
