"""Memory over MCP, with the official client: over HTTP, and over standard input and output."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import httpx2
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.client import Client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from mcp_types.version import LATEST_MODERN_VERSION

from claudemem.mcp import catalogue, tools
from tests.claude_code import added
from tests.claudemem.api.conftest import Server
from tests.postgres import shown_on_sqlite

Talk = Callable[[ClientSession], Awaitable[None]]


@asynccontextmanager
async def over_http(server: Server) -> AsyncIterator[ClientSession]:
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
        streamable_http_client(f"{server.url}/v1/mcp", http_client=http) as streams,
        ClientSession(*streams[:2]) as session,
    ):
        yield session


@asynccontextmanager
async def over_stdio(server: Server) -> AsyncIterator[ClientSession]:
    program = StdioServerParameters(
        command=sys.executable,
        args=["-m", "claudemem", "mcp"],
        env={
            "CLAUDE_MEM_DATA_DIR": str(server.data_dir / "elsewhere"),
            "CLAUDE_MEM_SERVER_URL": server.url,
            "CLAUDE_MEM_SERVER_API_KEY": server.key,
        },
    )
    async with stdio_client(program) as streams, ClientSession(*streams[:2]) as session:
        yield session


Transport = Callable[[Server], AbstractAsyncContextManager[ClientSession]]
TRANSPORTS = [over_http, over_stdio]
about_the_protocol = shown_on_sqlite("the protocol")
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("search", {}, '"query" is required'),
    ("recent", {"projectId": "nowhere"}, "scoped to a different project"),
    ("nothing_like_it", {}, "Unknown tool: nothing_like_it"),
]


def text(result: CallToolResult) -> str:
    (part,) = result.content
    assert isinstance(part, TextContent)
    return part.text


def talk(server: Server, over: Transport, talking: Talk) -> None:
    async def talked() -> None:
        async with over(server) as session:
            await session.initialize()
            await talking(session)

    anyio.run(talked)


@pytest.fixture
def word(request: pytest.FixtureRequest) -> str:
    """What this test's memories have that others' have not."""
    return f"plover{abs(hash(request.node.nodeid)):x}"


@pytest.mark.parametrize("over", TRANSPORTS)
def test_the_official_client_lists_and_calls_every_tool_and_hears_what_goes_wrong(
    server: Server, over: Transport, word: str
) -> None:
    called: set[str] = set()

    async def talking(session: ClientSession) -> None:
        async def ask(name: str, **arguments: Any) -> str:
            result = await session.call_tool(name, {"projectId": server.project_id, **arguments})
            assert not result.is_error, result
            called.add(name)
            return text(result)

        listed = (await session.list_tools()).tools
        assert [each.name for each in listed] == list(tools.LISTED)

        made = json.loads(await ask("remember", content=f"{word} is a bird", title=word))["memory"]
        for name in ("search", "context", "observation_search", "observation_context"):
            assert made["id"] in await ask(name, query=word)
        number = (await ask("search", query=word, brief=True)).split()[0]
        assert number == f"#{made['number']}"
        assert number in await ask("timeline", around=number)
        assert f"{word} is a bird" in await ask("get_observations", ids=[number])
        assert word in await ask("recent")
        assert number in await ask("session_start_context")
        assert server.project_id in await ask("projects")
        assert word in await ask("observation_add", narrative=f"{word} sings")
        event = json.loads(await ask("observation_record_event", eventType="note"))
        job = event["generationJob"]["id"]
        assert job in await ask("observation_generation_status", jobId=job)
        assert made["id"] in await ask("forget", id=number)
        assert made["id"] not in await ask("search", query=word)

        for name, arguments, said in WRONG:
            result = await session.call_tool(name, arguments)
            assert result.is_error
            assert said in text(result)

    talk(server, over, talking)

    assert called == set(tools.DEEDS)


@about_the_protocol
def test_a_client_of_the_newest_protocol_is_served_as_well(server: Server) -> None:
    async def talked() -> None:
        headers = {"Authorization": f"Bearer {server.key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60, trust_env=False) as http,
            Client(streamable_http_client(f"{server.url}/v1/mcp", http_client=http)) as client,
        ):
            assert client.protocol_version == LATEST_MODERN_VERSION
            assert len((await client.list_tools()).tools) == len(catalogue.TOOLS)
            assert text(await client.call_tool("projects", {}))

    anyio.run(talked)


@about_the_protocol
def test_the_command_that_the_server_prints_connects(server: Server) -> None:
    with server.client(Authorization=f"Bearer {server.key}") as client:
        printed = [
            client.post("/v1/keys", json={}).json()["connectCommand"],
            client.get("/v1/connect")
            .json()["connectCommand"]
            .replace("<YOUR_API_KEY>", server.key),
        ]
    listed: list[int] = []

    async def talking(session: ClientSession) -> None:
        listed.append(len((await session.list_tools()).tools))

    for command in map(added, printed):
        (name, url), (header,) = command.words, command.options["--header"]
        assert (name, url) == (catalogue.NAME, f"{server.url}/v1/mcp")
        assert command.options["--transport"] == ("http",)
        key = header.removeprefix("Authorization: Bearer ")
        talk(replace(server, url=url.removesuffix("/v1/mcp"), key=key), over_http, talking)

    # A key that is handed on may only read.
    assert listed == [len(catalogue.listed(writes=False)), len(catalogue.TOOLS)]


@about_the_protocol
def test_nobody_connects_without_a_key(server: Server) -> None:
    async def connected() -> None:
        async with over_http(replace(server, key="")) as session:
            await session.initialize()

    with pytest.RaisesGroup(MCPError, flatten_subgroups=True):
        anyio.run(connected)


@about_the_protocol
def test_an_answer_carries_what_every_answer_does(server: Server) -> None:
    with server.client(Accept="application/json, text/event-stream") as client:
        answer = client.post("/v1/mcp", json={}, headers={"X-Request-Id": "mine"})

    assert answer.status_code == 401
    assert answer.headers["X-Request-Id"] == "mine"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@about_the_protocol
@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_other_methods_find_nothing_there(server: Server, method: str) -> None:
    with server.client(Authorization=f"Bearer {server.key}") as client:
        answer = client.request(method, "/v1/mcp")

    assert answer.status_code == 404
    assert answer.json()["message"] == f"Cannot {method} /v1/mcp"


@about_the_protocol
@pytest.mark.parametrize(("key", "status"), [("good", 413), ("wrong", 403), ("", 401)])
def test_a_body_that_is_too_long_is_answered_and_the_answer_arrives(
    server: Server, key: str, status: int
) -> None:
    headers = {"X-Api-Key": server.key if key == "good" else key} if key else {}
    with server.client(Accept="*/*", **{"Content-Type": "application/json"}, **headers) as client:
        assert client.post("/v1/mcp", content=b" " * 6_000_000).status_code == status
        assert client.get("/healthz").status_code == 200


def test_a_stream_stays_open_until_its_reader_goes(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.key}", "Accept": "text/event-stream"}
    with server.client(**headers) as client, client.stream("GET", "/v1/mcp") as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert next(answer.iter_bytes()) == b": \n\n"


@about_the_protocol
def test_standard_output_has_the_protocol_and_nothing_else(server: Server) -> None:
    lines = ['{"jsonrpc":"2.0","id":1,"method":"ping"}', "no json", "\x00", "[]", ""]
    program = [sys.executable, "-m", "claudemem", "mcp"]

    done = subprocess.run(
        program, input="\n".join(lines), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"jsonrpc": "2.0", "id": 1, "result": {}} in told
    assert all(each["jsonrpc"] == "2.0" for each in told)
