"""What happens is told as it happens, to whom it concerns, and again to nobody."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest
from playwright._impl._driver import compute_driver_executable

from tests.claudemem.api.conftest import Server, _run
from tests.docs import pages
from tests.postgres import ask, database_of, on_postgresql
from tests.sse import Ear
from tests.waiting import until


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client(**{"X-Api-Key": server.key}) as client:
        yield client


def event(server: Server, text: str) -> dict[str, Any]:
    return {"projectId": server.project_id, "sourceType": "api", "eventType": "note",
            "occurredAtEpoch": 1_700_000_000_000, "payload": {"text": text}}  # fmt: skip


def make_key(server: Server, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(
        _run(environment(server), "api-key", "create", "--scope", "*", *options)
    )
    return made


def environment(server: Server) -> dict[str, str]:
    return os.environ | database_of(server.data_dir) | {"CLAUDE_MEM_DATA_DIR": str(server.data_dir)}


def test_events_jobs_and_observations_are_told_in_their_order(
    server: Server, client: httpx.Client
) -> None:
    ear = Ear(server.url, server.key).ready()
    assert ear.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert ear.headers["X-Accel-Buffering"] == "no"
    assert ear.headers["X-Request-Id"]
    made = client.post("/v1/events", json=event(server, "one")).json()
    batch = client.post(
        "/v1/events/batch", json=[event(server, "two"), event(server, "three")]
    ).json()["events"]
    memory = client.post(
        "/v1/memories", json={"projectId": server.project_id, "content": "kept"}
    ).json()["memory"]
    # What is gone when it could be told is told of its end alone.
    until(lambda: len(ear.items()) == 7)
    assert client.delete(f"/v1/memories/{memory['id']}").is_success
    until(lambda: len(ear.items()) == 8)
    ear.stop()
    told = [(each.sort, each.data["change"], each.data["id"]) for each in ear.items()]
    assert told == [
        ("event", "created", made["event"]["id"]),
        ("job", "queued", made["generationJob"]["id"]),
        *(
            pair
            for one in batch
            for pair in (
                ("event", "created", one["event"]["id"]),
                ("job", "queued", one["generationJob"]["id"]),
            )
        ),
        ("observation", "created", memory["id"]),
        ("observation", "deleted", memory["id"]),
    ]
    assert ear.items()[6].data["content"] == "kept"
    assert "payload" not in ear.items()[0].data
    ids = [each.id for each in ear.items()]
    assert len(set(ids)) == len(ids)


def test_the_depth_of_the_queue_is_told_when_it_changes(
    server: Server, client: httpx.Client
) -> None:
    ear = Ear(server.url, server.key, types="queue").ready()
    until(lambda: ear.sorts() == ["ready", "queue"])
    before = ear.heard[-1].data["queueDepth"]
    client.post("/v1/events", json=event(server, "deeper")).raise_for_status()
    until(lambda: ear.sorts() == ["ready", "queue", "queue"])
    ear.stop()
    assert ear.heard[-1].data["queueDepth"] == before + 1


def test_who_comes_back_misses_nothing_and_hears_nothing_again(
    server: Server, client: httpx.Client
) -> None:
    ear = Ear(server.url, server.key).ready()
    start = ear.heard[0].id
    client.post("/v1/events", json=event(server, "a")).raise_for_status()
    client.post(
        "/v1/events/batch", json=[event(server, "b"), event(server, "c")]
    ).raise_for_status()
    until(lambda: len(ear.items()) == 6)
    ear.stop()
    all_told = ear.items()
    for seen, cursor in enumerate([start, *(each.id for each in all_told)]):
        again = Ear(server.url, server.key, cursor).ready()
        again.stop()
        assert again.items() == all_told[seen:]
    by_query = Ear(server.url, server.key, types="event", cursor=start).ready()
    by_query.stop()
    assert by_query.items() == [each for each in all_told if each.sort == "event"]


def test_a_key_hears_of_what_it_may_see_and_asks_for(server: Server, client: httpx.Client) -> None:
    project = make_key(server, "--project", "another")
    stranger = make_key(server, "--team", "strangers", "--project", "theirs")
    ears = {
        "team": Ear(server.url, make_key(server, "--team", "default")["key"], types="event"),
        "all": Ear(server.url, project["key"], types="event"),
        "theirs": Ear(server.url, stranger["key"], types="event,observation"),
        "jobs": Ear(server.url, project["key"], types="job"),
        "elsewhere": Ear(
            server.url, server.key, types="event", projectId=server.project_id
        ),
    }  # fmt: skip
    for ear in ears.values():
        ear.ready()
    told = {**event(server, "in another"), "projectId": project["projectId"]}
    with server.client(**{"X-Api-Key": project["key"]}) as other:
        other.post("/v1/events", json=told).raise_for_status()
    until(lambda: ears["team"].items() and ears["all"].items() and ears["jobs"].items())
    client.post("/v1/events", json=event(server, "last")).raise_for_status()
    until(lambda: ears["elsewhere"].items() and len(ears["team"].items()) == 2)
    for ear in ears.values():
        ear.stop()
    assert [len(ear.items()) for ear in ears.values()] == [2, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("key", "query", "status"),
    [
        ("", "", 401),
        ("wrong", "", 403),
        ("good", "?projectId=018f0000-0000-7000-8000-000000000000", 403),
        ("good", "?types=weather", 400),
        ("good", "?cursor=yesterday", 400),
        ("good", "?types=event&types=job", 400),
    ],
)
def test_it_asks_as_every_route_does(server: Server, key: str, query: str, status: int) -> None:
    headers = {"X-Api-Key": server.key if key == "good" else key} if key else {}
    with server.client(**headers) as client:
        answer = client.get(f"/v1/stream{query}")
        assert answer.status_code == status
        assert answer.json()["error"]
        assert answer.headers["X-Request-Id"]


def test_a_cursor_that_is_not_known_any_more_is_said_to_be_so(server: Server) -> None:
    ear = Ear(server.url, server.key, "1-17").ready()
    ear.stop()
    assert ear.sorts()[:2] == ["reset", "ready"]
    assert ear.heard[1].id


def test_a_key_that_is_revoked_hears_no_more(server: Server) -> None:
    made = make_key(server, "--name", "short")
    ear = Ear(server.url, made["key"]).ready()
    _run(environment(server), "api-key", "revoke", made["id"])
    began = time.monotonic()
    ear.join(60)
    assert not ear.is_alive()
    assert time.monotonic() - began < 30


@pytest.mark.skipif(not on_postgresql(), reason="a file does not go away")
def test_while_the_database_is_away_who_listens_stays_and_hears_all_afterwards(
    server: Server, client: httpx.Client
) -> None:
    name = database_of(server.data_dir)["CLAUDE_MEM_SERVER_DATABASE_URL"].rpartition("/")[2]
    ear = Ear(server.url, server.key, types="event").ready()
    other = os.environ["CLAUDE_MEM_TEST_POSTGRES_URL"]
    ask(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        ask(other, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE datname = '{name}'")  # fmt: skip
        until(lambda: "waiting for the database" in ear.comments)
        assert broadcaster(client)["status"] == "errored"
    finally:
        ask(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    until(lambda: client.post("/v1/events", json=event(server, "after")).is_success)
    until(lambda: ear.items())
    ear.stop()
    assert broadcaster(client)["status"] == "active"
    # What its worker writes is told a moment after the event.
    until(lambda: not broadcaster(client)["details"]["lagSeconds"])


def broadcaster(client: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/v1/info").json()["boundaries"]["eventBroadcaster"]
    return told


PAGE = pages.ROOT / "docs" / "reference" / "stream.md"
PROGRAM = """
import { listen } from "./listen.mjs";
const [url, key, count] = process.argv.slice(2);
const over = new AbortController(), ids = [];
await listen(url, key, (event, data) => {
  if (event === "ready") console.log("ready");
  if (event === "event") ids.push(data.id);
  if (ids.length === Number(count)) over.abort();
}, over.signal);
console.log(ids.join());
"""


def test_the_program_of_the_page_hears_what_happens(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    (example,) = pages.blocks(PAGE, "javascript")
    (tmp_path / "listen.mjs").write_text(example.text)
    (tmp_path / "program.mjs").write_text(PROGRAM)
    # The node that browsers are driven with.
    node = compute_driver_executable()[0]
    command = [node, tmp_path / "program.mjs", server.url, server.key, "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        ids = [
            client.post("/v1/events", json=event(server, text)).json()["event"]["id"]
            for text in ("told", "told again")
        ]
        assert program.stdout.readline().split(",") == [ids[0], f"{ids[1]}\n"]


@pytest.mark.skipif(not which("curl"), reason="there is no curl")
def test_the_commands_of_the_pages_are_answered(server: Server, client: httpx.Client) -> None:
    for page in (PAGE, pages.ROOT / "docs" / "how-to" / "listen.md"):
        for block in pages.blocks(page, "bash"):
            if "curl" in block.text:
                _curl(server, client, block.text)


def _curl(server: Server, client: httpx.Client, command: str) -> None:
    command = command.replace("http://127.0.0.1:37877", server.url)
    given = {**os.environ, "KEY": server.key}
    with subprocess.Popen(
        ["sh", "-c", f"exec {command}"], env=given, stdout=subprocess.PIPE, text=True
    ) as told:
        assert told.stdout is not None
        assert told.stdout.readline() == "retry: 2000\n"
        told.kill()
