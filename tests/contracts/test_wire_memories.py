"""Memories, search and deletion on the wire."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire, a_word, refused, told

pytestmark = pytest.mark.stack


def _found(wire: Wire, query: str, path: str = "/v1/search", **fields: Any) -> Any:
    body = {"projectId": wire.project, "query": query, **fields}
    return told(wire.one.post(path, body), 200)


def _ids(found: Any) -> list[str]:
    return [row["id"] for row in found["observations"]]


def test_what_is_added_is_found_at_once_and_nothing_is_queued(wire: Wire) -> None:
    word = a_word("quokka")
    jobs = wire.stack.jobs()
    memory = wire.remembered(f"The {word} ships on Fridays")
    assert memory["kind"] == "manual"
    assert _ids(_found(wire, word)) == [memory["id"]]
    assert wire.stack.jobs() == jobs


def test_the_better_match_comes_first_and_context_is_their_contents(wire: Wire) -> None:
    word = a_word("heron")
    far = wire.remembered(f"{word} and much else that says little of it at all, at length")
    near = wire.remembered(f"{word} {word} {word}")
    found = _found(wire, word)
    assert _ids(found) == [near["id"], far["id"]]
    context = _found(wire, word, "/v1/context")
    assert _ids(context) == _ids(found)
    assert context["context"] == f"{near['content']}\n\n{far['content']}"


def test_another_teams_or_projects_memory_is_not_searched(wire: Wire) -> None:
    body = {"projectId": wire.project, "query": "anything"}
    for path in ("/v1/search", "/v1/context"):
        assert refused(wire.as_("two").post(path, body), 403, "Forbidden")
        assert refused(wire.as_("away").post(path, body), 403, "Forbidden")


def test_search_and_context_take_a_platform_by_any_of_its_names(wire: Wire) -> None:
    word = a_word("egret")
    session = wire.session(contentSessionId=uuid4().hex, platformSource="Cursor")
    memory = wire.remembered(word, serverSessionId=session["id"])
    for path in ("/v1/search", "/v1/context"):
        assert _ids(_found(wire, word, path, platformSource="cursor-cli")) == [memory["id"]]
        assert _ids(_found(wire, word, path, platformSource="codex")) == []


def test_one_memory_is_deleted_and_then_it_is_not_there(wire: Wire) -> None:
    memory = wire.remembered(f"gone soon {uuid4().hex}")
    path = f"/v1/memories/{memory['id']}"
    assert wire.as_("two").call("DELETE", path).status_code == 404
    assert told(wire.one.call("DELETE", path), 200) == {"deleted": True, "id": memory["id"]}
    assert wire.one.call("DELETE", path).status_code == 404
    assert wire.entries("observation.deleted", about=memory["id"])


def test_a_memory_may_say_its_words_under_the_names_that_clients_send(wire: Wire) -> None:
    body = {"projectId": wire.project, "kind": "note", "type": "decision", "narrative": "we chose"}
    memory = told(wire.one.post("/v1/memories", body), 201)["memory"]
    assert memory["content"] == "we chose"
    assert memory["metadata"]["type"] == "decision"


def test_what_was_searched_is_in_the_audit(wire: Wire) -> None:
    word = a_word("ibis")
    memory = wire.remembered(word)
    _found(wire, word)
    entry = wire.entries("observation.read")[-1]
    assert entry["mode"] == "search"
    assert entry["observationIds"] == [memory["id"]]
