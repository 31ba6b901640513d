"""The agents beside Claude Code before a running server: what they send becomes memory, and each is
told of it in its own JSON.
"""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire
from tests.hooks import Hooks
from tests.waiting import until

pytestmark = pytest.mark.stack

AGENTS = ("codex", "cursor", "gemini", "opencode", "windsurf")
DOCUMENTED = Path(__file__).parents[1] / "documented"
# A session that begins, as each says it, and where it says which one.
BEGINS: dict[str, tuple[dict[str, Any], str]] = {
    "codex": ({"hook_event_name": "SessionStart", "source": "startup"}, "session_id"),
    "cursor": ({"hook_event_name": "sessionStart"}, "conversation_id"),
    "gemini": ({"hook_event_name": "SessionStart", "source": "startup"}, "session_id"),
}
MADE = """
    SELECT s.platform_source, count(DISTINCT o.id) FROM observations_observation o
    JOIN observations_session s ON s.id = o.session_id WHERE s.team_id = ?
    GROUP BY s.platform_source"""


def told(agent: str, printed: str) -> str:
    """The context in an agent's own answer."""
    said = json.loads(printed)
    if agent == "cursor":
        return str(said["additional_context"])
    assert said["hookSpecificOutput"]["hookEventName"] == "SessionStart"
    return str(said["hookSpecificOutput"]["additionalContext"])


def test_the_session_of_every_agent_becomes_memory_and_each_is_told_in_its_own_words(
    wire: Wire, tmp_path: Path
) -> None:
    hooks = Hooks(tmp_path / "client", wire.stack.url, wire.world.keys["away"])
    for agent in AGENTS:
        for line in (DOCUMENTED / f"{agent}.jsonl").read_text().splitlines():
            if agent == "opencode":  # its plugin posts by itself
                assert wire.as_("away").post("/v1/hooks/opencode", json.loads(line)).is_success
            else:
                ran = hooks.run(line.encode(), agent)
                assert (ran.code, ran.printed[:1]) == (0, "{"), (agent, line, hooks.log)
    away = wire.world.teams["away"]
    until(lambda: set(AGENTS) <= {name for name, _ in wire.stack.sql(MADE, away)})

    for agent, (begins, session) in BEGINS.items():
        begun = {**begins, session: uuid4().hex, "cwd": "/home/dev/shop"}
        assert "max_wait" in told(agent, hooks.run(begun, agent).printed)
    assert not hooks.waiting(), hooks.log
