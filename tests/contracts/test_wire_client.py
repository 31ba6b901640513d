"""The requests of claude-mem's own clients, as they send them, and what they read of answers."""

import time
from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire, a_word

pytestmark = pytest.mark.stack


def _sent(wire: Wire, path: str, body: dict[str, Any], key: str = "hooks") -> Any:
    answer = wire.as_(key).post(path, body)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_prompt_a_tool_call_and_a_stop_go_through_as_hooks_send_them(wire: Wire) -> None:
    content = uuid4().hex
    names = {
        "projectId": wire.project, "externalSessionId": content, "contentSessionId": content,
        "agentId": None, "agentType": None, "platformSource": "claude",
    }  # fmt: skip
    prompt = {"metadata": {"project": "shop", "prompt": "mend the till"}}
    session = _sent(wire, "/v1/sessions/start", names | prompt)["session"]["id"]
    tool = {
        "projectId": wire.project, "sourceType": "hook", "eventType": "tool_use",
        "occurredAtEpoch": int(time.time() * 1000), "contentSessionId": content,
        "platformSource": "claude",
        "payload": {
            "tool_name": "Read", "tool_input": {"file_path": "till.py"}, "tool_response": "…",
            "cwd": "/home/dev/shop", "platformSource": "claude",
        },
    }  # fmt: skip
    assert _sent(wire, "/v1/events", tool)["event"]["serverSessionId"] == session
    again = {name: names[name] for name in names if not name.startswith("agent")}
    assert _sent(wire, "/v1/sessions/start", again)["session"]["id"] == session
    said = tool | {
        "eventType": "assistant_message", "serverSessionId": session,
        "payload": {"last_assistant_message": "It is mended.", "platformSource": "claude"},
    }  # fmt: skip
    assert _sent(wire, "/v1/events", said)["event"]["id"]
    assert _sent(wire, f"/v1/sessions/{session}/end", {})["generationJob"]["id"]


def test_what_the_stdio_tools_send_is_answered_with_what_they_show(wire: Wire) -> None:
    word = a_word("wigeon")
    added = {
        "projectId": wire.project, "kind": "note", "type": "note", "narrative": f"{word} flies",
    }  # fmt: skip
    memory = _sent(wire, "/v1/memories", added, "one")["memory"]
    question = {"projectId": wire.project, "query": word}
    (found,) = _sent(wire, "/v1/search", question, "one")["observations"]
    assert (found["id"], found["projectId"]) == (memory["id"], wire.project)
    assert found["content"] == f"{word} flies"
    assert word in _sent(wire, "/v1/context", question, "one")["context"]
    event = wire.event(contentSessionId=uuid4().hex, memorySessionId=uuid4().hex)
    job = _sent(wire, "/v1/events", event, "one")["generationJob"]
    shown = wire.one.get(f"/v1/jobs/{job['id']}").json()["generationJob"]
    assert shown["status"] in ("queued", "processing", "completed")


def test_a_base_address_may_end_in_a_slash(wire: Wire) -> None:
    body = {"projectId": wire.project, "query": "a"}
    assert wire.one.post("/v1/search/", body).status_code == 200


def test_what_a_client_must_not_drop_is_never_a_4xx(wire: Wire) -> None:
    # 5xx and 429 mean "later" to it, every other refusal "never".
    with wire.stack.frozen("store"):
        assert wire.one.post("/v1/events", wire.event()).status_code == 201
