"""MCP on the wire: what a client sends over HTTP without any library, and what it gets."""

import json
from typing import Any

import httpx
import pytest

from tests.contracts.conftest import Wire, a_word, refused, told

pytestmark = pytest.mark.stack

PATH = "/v1/mcp"
BOTH = "application/json, text/event-stream"


def _ask(wire: Wire, method: str, key: str = "reader", **params: Any) -> Any:
    """The result of a call without an `initialize` before it."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = wire.as_(key).post(PATH, message, Accept=BOTH)
    assert answer.status_code == 200, answer.text
    (said,) = _messages(answer)
    return said


def _messages(answer: httpx.Response) -> list[Any]:
    if answer.headers["Content-Type"].startswith("application/json"):
        return [answer.json()]
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


def _call(wire: Wire, tool: str, **arguments: Any) -> Any:
    return _ask(wire, "tools/call", name=tool, arguments=arguments)["result"]


def _text(result: Any) -> Any:
    return json.loads(result["content"][0]["text"])


def test_a_reading_key_lists_search_context_and_recent(wire: Wire) -> None:
    tools = _ask(wire, "tools/list")["result"]["tools"]
    assert {"search", "context", "recent"} <= {tool["name"] for tool in tools}


def test_the_names_of_tools_are_safe_in_every_client(wire: Wire) -> None:
    for tool in _ask(wire, "tools/list", "one")["result"]["tools"]:
        name = f"mcp__claude-mem__{tool['name']}"
        assert len(name) <= 64
        assert tool["name"].replace("_", "").replace("-", "").isalnum()
        assert tool["name"][0].isalnum()


def test_a_server_says_who_it_is(wire: Wire) -> None:
    client = {"name": "test", "version": "1"}
    said = _ask(
        wire, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client
    )["result"]
    assert said["serverInfo"]["name"] == "claude-mem"
    assert said["protocolVersion"] == "2025-06-18"
    assert "tools" in said["capabilities"]


def test_recent_is_newest_first_and_search_goes_by_content(wire: Wire) -> None:
    word = a_word("plover")
    first, second = wire.remembered(f"{word} one"), wire.remembered("another thing")
    recent = _text(_call(wire, "recent", projectId=wire.project, limit=2))["observations"]
    assert [row["id"] for row in recent] == [second["id"], first["id"]]
    found = _text(_call(wire, "search", projectId=wire.project, query=word))["observations"]
    assert [row["id"] for row in found] == [first["id"]]
    context = _text(_call(wire, "context", projectId=wire.project, query=word))
    assert word in context["context"]


def test_what_is_read_over_mcp_is_in_the_audit_as_such(wire: Wire) -> None:
    wire.remembered("something to read")
    _call(wire, "recent", projectId=wire.project)
    _call(wire, "context", projectId=wire.project, query="read")
    entries = [entry for entry in wire.entries("observation.read") if entry.get("via") == "mcp"]
    assert {"recent", "context"} <= {entry["mode"] for entry in entries}


def test_a_limit_is_brought_into_its_bounds_and_never_an_error(wire: Wire) -> None:
    for number in range(2):
        wire.remembered(f"number {number}")
    for limit in (0, -5, 1.7, "many", 10**6):
        answer = _call(wire, "recent", projectId=wire.project, limit=limit)
        assert not answer.get("isError"), (limit, answer)


def test_what_is_wrong_with_a_call_is_said_in_its_result(wire: Wire) -> None:
    foreign = wire.world.projects["two"]
    for tool, arguments in (
        ("search", {"projectId": wire.project}),
        ("recent", {"projectId": foreign}),
    ):
        result = _call(wire, tool, **arguments)
        assert result["isError"] is True
        assert result["content"][0]["text"]


def test_a_tool_that_there_is_not_is_an_error_of_the_call(wire: Wire) -> None:
    said = _ask(wire, "tools/call", name="nothing_like_it", arguments={})
    assert said.get("error") or said["result"]["isError"]


def test_without_a_key_nobody_is_let_in(wire: Wire) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert refused(wire.as_().post(PATH, message, Accept=BOTH), 401, "Unauthorized")
    assert refused(wire.as_("revoked").post(PATH, message, Accept=BOTH), 403, "Forbidden")


def test_what_is_not_spoken_here_is_told_by_its_status(wire: Wire) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert wire.one.post(PATH, message, Accept="text/html").status_code == 406
    text = {"Content-Type": "text/plain", "Accept": BOTH}
    assert wire.one.http.post(PATH, content=b"{}", headers=text).status_code in (400, 415)
    words = {"Content-Type": "application/json", "Accept": BOTH}
    assert wire.one.http.post(PATH, content=b"not json", headers=words).status_code == 400
    notice = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert wire.one.post(PATH, notice, Accept=BOTH).status_code == 202


def test_a_projects_key_need_not_name_its_project(wire: Wire) -> None:
    memory = wire.remembered("the last thing")
    recent = _text(_call(wire, "recent", limit=1))["observations"]
    assert [row["id"] for row in recent] == [memory["id"]]


def test_ids_of_a_search_can_be_looked_up(wire: Wire) -> None:
    memory = wire.remembered(a_word("dunlin"))
    assert told(wire.one.get(f"/v1/memories/{memory['id']}"), 200)["memory"]["id"] == memory["id"]
