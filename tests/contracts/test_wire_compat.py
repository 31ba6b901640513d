"""The payloads that clients once sent to a worker."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import SENT, Wire, refused, told

pytestmark = pytest.mark.stack

OBSERVATIONS, SUMMARIZE = "/api/sessions/observations", "/api/sessions/summarize"


def _body(content: str = "", **fields: Any) -> dict[str, Any]:
    return {
        "contentSessionId": content or uuid4().hex,
        "tool_name": "Bash",
        "tool_input": {"command": f"ls {uuid4().hex}"},
        "tool_response": "done",
        "cwd": "/home/dev/shop",
        **fields,
    }


def _kept(wire: Wire, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = told(wire.one.post(OBSERVATIONS, _body(**fields)), 200)
    return answer


def test_a_tool_call_is_an_event_in_a_session_of_its_content(wire: Wire) -> None:
    kept = _kept(wire)
    assert (kept["status"], kept["observationCount"]) == ("queued", 1)
    assert kept["transport"] in SENT
    assert kept["sessionId"] == kept["serverSessionId"]
    event = told(wire.one.get(f"/v1/events/{kept['eventId']}"), 200)["event"]
    assert event["serverSessionId"] == kept["serverSessionId"]
    assert (event["sourceAdapter"], event["eventType"]) == ("claude-code-compat", "tool_use")
    assert event["platformSource"] == "claude"
    assert event["payload"]["tool_name"] == "Bash"
    assert told(wire.one.get(f"/v1/jobs/{kept['generationJobId']}"), 200)


@pytest.mark.parametrize("path", [OBSERVATIONS, SUMMARIZE])
def test_a_teams_key_names_no_project_and_nothing_is_queued(wire: Wire, path: str) -> None:
    before = wire.stack.jobs()
    said = refused(wire.as_("still").post(path, _body()), 400, "BadRequest")
    assert said == f"Legacy {path} requires a project-scoped API key"
    assert wire.rows("queueing_generationjob", team_id=wire.world.teams["still"]) <= before


def test_a_session_is_that_of_its_content_and_platform(wire: Wire) -> None:
    content = uuid4().hex
    first, second = _kept(wire, content=content), _kept(wire, content=content)
    assert first["serverSessionId"] == second["serverSessionId"]
    assert first["eventId"] != second["eventId"]
    other = _kept(wire, content=content, platformSource="cursor")
    assert other["serverSessionId"] != first["serverSessionId"]


def test_a_tool_use_that_is_told_again_is_the_same_event(wire: Wire) -> None:
    body = _body(tool_use_id=uuid4().hex)
    first, again = (told(wire.one.post(OBSERVATIONS, body), 200) for _ in range(2))
    assert first["eventId"] == again["eventId"]
    assert first["generationJobId"] == again["generationJobId"]


def test_a_summary_ends_the_session_and_again_is_the_same_job(wire: Wire) -> None:
    content = uuid4().hex
    session = _kept(wire, content=content)["serverSessionId"]
    body = {"contentSessionId": content}
    first, again = (told(wire.one.post(SUMMARIZE, body), 200) for _ in range(2))
    assert first["status"] == again["status"] == "queued"
    assert first["serverSessionId"] == session
    assert first["generationJobId"]
    assert first["generationJobId"] == again["generationJobId"]
    assert told(wire.one.get(f"/v1/sessions/{session}"), 200)["session"]["endedAtEpoch"]


def test_an_agent_within_an_agent_is_not_summarised(wire: Wire) -> None:
    content = uuid4().hex
    body = {"contentSessionId": content, "agentId": "sub-1"}
    skipped = told(wire.one.post(SUMMARIZE, body), 200)
    assert skipped == {"status": "skipped", "reason": "subagent_context"}
    assert wire.rows("observations_session", content_session_id=content) == 0


@pytest.mark.parametrize("path", [OBSERVATIONS, SUMMARIZE])
def test_without_a_key_it_is_401(wire: Wire, path: str) -> None:
    assert refused(wire.as_().post(path, _body()), 401, "Unauthorized")
