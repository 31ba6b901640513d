"""Keys on the wire: how they are sent, what they open, how more of them are had."""

from typing import Any

import httpx
import pytest

from tests.contracts.conftest import Wire, refused, told

pytestmark = pytest.mark.stack

# In a container, where tests may run, it is refused.
ASKED = {"CLAUDE_MEM_AUTH_MODE": "local-dev", "CLAUDE_MEM_DOCKER": "0"}
LOCAL_DEV = {**ASKED, "CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS": "1"}
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


def test_without_a_key_in_either_header_it_is_401(wire: Wire) -> None:
    assert "Missing API key" in refused(wire.as_().get("/v1/jobs"), 401, "Unauthorized")
    basic = wire.as_().get("/v1/jobs", Authorization="Basic YTpi")
    assert refused(basic, 401, "Unauthorized")


def test_either_header_will_do_and_the_bearer_wins(wire: Wire) -> None:
    good = wire.world.keys["one"]
    assert told(wire.as_().get("/v1/jobs", X_Api_Key=good), 200)
    assert told(wire.as_().get("/v1/jobs", Authorization=f"bearer {good}", X_Api_Key="no"), 200)
    wrong = wire.as_().get("/v1/jobs", Authorization="Bearer no", X_Api_Key=good)
    assert refused(wrong, 403, "Forbidden")


@pytest.mark.parametrize("key", ["revoked", "expired", "cmem_unknown"])
def test_a_key_that_does_not_work_is_told_from_one_that_may_not_by_nothing(
    wire: Wire, key: str
) -> None:
    dead = wire.as_(key).post("/v1/events", {})
    narrow = wire.as_("reader").post("/v1/events", {})
    assert (dead.status_code, dead.json()) == (narrow.status_code, narrow.json())
    assert refused(dead, 403, "Forbidden") == "Invalid API key or insufficient scope"


def test_a_key_without_a_team_is_told_so(wire: Wire) -> None:
    said = refused(wire.as_("nobody").get("/v1/jobs"), 403, "Forbidden")
    assert said == "API key is not bound to a team"


def test_the_scopes_that_hooks_are_given_open_what_hooks_call(wire: Wire) -> None:
    hooks = wire.as_("hooks")
    start = {"projectId": wire.project, "externalSessionId": "hooks", "contentSessionId": "hooks"}
    session = hooks.post("/v1/sessions/start", start).json()["session"]
    told(hooks.post("/v1/events", wire.event(serverSessionId=session["id"])), 201)
    told(hooks.post(f"/v1/sessions/{session['id']}/end"), 200)
    told(hooks.post("/v1/search", {"projectId": wire.project, "query": "a"}), 200)
    told(hooks.get("/v1/jobs"), 200)
    memory = {"projectId": wire.project, "content": "not theirs to write"}
    assert refused(hooks.post("/v1/memories", memory), 403, "Forbidden")


def test_a_minted_key_reads_and_its_command_names_address_and_key(wire: Wire) -> None:
    minted = told(wire.one.post("/v1/keys", {"label": "laptop", "expiresInDays": 7}), 201)
    assert minted["apiKey"].startswith("cm_")
    assert minted["scopes"] == ["memories:read"]
    assert minted["expiresAt"].endswith("Z")
    assert minted["mcpUrl"] == f"{wire.stack.url}/v1/mcp"
    assert minted["connectCommand"] == (
        f"claude mcp add --transport http claude-mem {minted['mcpUrl']}"
        f' --header "Authorization: Bearer {minted["apiKey"]}"'
    )
    reads = wire.as_(minted["apiKey"])
    assert told(reads.get("/v1/jobs"), 200)
    assert refused(reads.post("/v1/events", wire.event()), 403, "Forbidden")
    assert refused(reads.post("/v1/keys"), 403, "Forbidden")


def test_a_key_is_minted_without_a_word_about_it_for_the_same_project(wire: Wire) -> None:
    minted = told(wire.one.post("/v1/keys"), 201)
    assert minted["expiresAt"] is None
    body = {"projectId": wire.world.projects["two"], "query": "a"}
    assert refused(wire.as_(minted["apiKey"]).post("/v1/search", body), 403, "Forbidden")


def test_how_to_connect_is_told_without_a_key(wire: Wire) -> None:
    connect = told(wire.as_("reader").get("/v1/connect"), 200)
    assert connect["mcpUrl"] == f"{wire.stack.url}/v1/mcp"
    assert "<YOUR_API_KEY>" in connect["connectCommand"]
    assert connect["hint"]


def test_without_being_asked_for_a_stranger_at_this_machine_is_a_stranger(wire: Wire) -> None:
    only_mode = wire.beside(**ASKED)
    for url in (wire.stack.url, only_mode):
        assert refused(wire.as_("", url).get("/v1/jobs"), 401, "Unauthorized")


def test_local_dev_lets_this_machine_in_and_nobody_who_was_forwarded(wire: Wire) -> None:
    url = wire.beside(**LOCAL_DEV)
    port = httpx.URL(url).port
    for host in (f"127.0.0.1:{port}", "localhost", f"[::1]:{port}"):
        assert told(_from(wire, url, Host=host), 200)
    assert _from(wire, url, Host="memory.example").status_code in (400, 401)
    for header in FORWARDED:
        assert refused(_from(wire, url, **{header: "127.0.0.1"}), 401, "Unauthorized")


def test_local_dev_has_a_project_to_work_in(wire: Wire) -> None:
    url = wire.beside(**LOCAL_DEV)
    body = {"session_id": "local", "hook_event_name": "Stop", "cwd": "/home/dev/shop"}
    assert wire.as_("", url).post("/v1/hooks/claude-code", body).status_code == 200


def test_reading_is_all_that_a_reading_key_is_for(wire: Wire) -> None:
    reader = wire.as_("reader")
    assert told(reader.post("/v1/search", {"projectId": wire.project, "query": "a"}), 200)
    memory = {"projectId": wire.project, "content": "no"}
    assert refused(reader.post("/v1/memories", memory), 403, "Forbidden")


def _from(wire: Wire, url: str, **headers: Any) -> httpx.Response:
    return wire.as_("", url).http.get("/v1/jobs", headers=headers)
