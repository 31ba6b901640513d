"""The tools of a server somewhere else: what an agent hears when that is not well."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, cast

import pytest

from claudemem.mcp import catalogue
from claudemem.mcp.answers import Answer
from claudemem.mcp.protocol import Context
from claudemem.mcp.remote import Place, Remote, Unplaced

pytestmark = pytest.mark.once

NO_CONTEXT = cast(Context, None)
RESULT = {"content": [{"type": "text", "text": "found"}], "isError": False}


@contextmanager
def answering(status: int, body: str, kind: str = "application/json") -> Iterator[tuple[str, Any]]:
    """A server at the URL that is given, which answers so; and what it was asked."""
    asked: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            asked.update(
                path=self.path, headers=self.headers, body=json.loads(self.rfile.read(length))
            )
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        thread.join(30)


def call(place: Callable[[], Place], **arguments: Any) -> Answer:
    async def called() -> Answer:
        return await Remote(place).call(NO_CONTEXT, "search", arguments)

    return asyncio.run(called())


def test_a_call_goes_to_the_server_with_the_key_and_the_project() -> None:
    told = json.dumps({"jsonrpc": "2.0", "id": 1, "result": RESULT})
    with answering(200, told) as (url, asked):
        answer = call(lambda: Place(f"{url}/", "cmem_1", "web"), query="x")

    assert answer == Answer("found")
    assert asked["path"] == "/v1/mcp"
    assert asked["headers"]["Authorization"] == "Bearer cmem_1"
    assert asked["body"]["params"] == {
        "name": "search", "arguments": {"projectId": "web", "query": "x"},
    }  # fmt: skip


def test_the_project_that_an_agent_names_is_meant() -> None:
    told = json.dumps({"jsonrpc": "2.0", "id": 1, "result": RESULT})
    with answering(200, told) as (url, asked):
        call(lambda: Place(url, project="web"), projectId="api")

    assert asked["body"]["params"]["arguments"] == {"projectId": "api"}


def test_an_answer_may_come_as_a_stream() -> None:
    told = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {**RESULT, "isError": True}})
    with answering(200, f"event: message\ndata: {told}\n\n", "text/event-stream") as (url, _):
        assert call(lambda: Place(url)) == Answer("found", is_error=True)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, '{"error": "Unauthorized", "message": "Missing API key"}', "api-key create"),
        (403, '{"error": "Forbidden", "message": "Invalid API key"}', "revoked"),
        (404, '{"error": "NotFound", "message": "Cannot POST"}', "CLAUDE_MEM_SERVER_URL"),
        (429, '{"error": "rate_limited", "message": "Rate limit exceeded"}', "Rate limit"),
        (502, "<html>bad gateway</html>", "bad gateway"),
        (200, "hello", "hello"),
        (200, "[]", "[]"),
        (400, '{"jsonrpc": "2.0", "error": {"code": -1, "message": "no"}, "id": null}', "no"),
    ],
)
def test_what_a_server_refuses_is_told_with_what_to_do(status: int, body: str, words: str) -> None:
    with answering(status, body) as (url, _):
        answer = call(lambda: Place(url))

    assert answer.is_error
    assert answer.text.startswith(f"Server error (http {status}): POST {url}/v1/mcp was answered:")
    assert words in answer.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[", "ftp://127.0.0.1"])
def test_a_server_that_is_away_is_told_as_such(url: str) -> None:
    answer = call(lambda: Place(url))

    assert answer.is_error
    assert f"no memory server answers at {url}" in answer.text
    assert "claudemem start" in answer.text


def test_what_is_wrong_with_the_settings_is_told_to_the_agent() -> None:
    def nowhere() -> Place:
        raise Unplaced("settings.json cannot be read")

    assert call(nowhere) == Answer("settings.json cannot be read", is_error=True)


def test_all_tools_are_listed_while_no_server_is_there() -> None:
    def nowhere() -> Place:
        raise AssertionError("nobody is asked")

    async def listed() -> list[dict[str, Any]]:
        return Remote(nowhere).tools(NO_CONTEXT)

    assert asyncio.run(listed()) == catalogue.listed(writes=True)
