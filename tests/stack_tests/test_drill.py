"""`claudemem drill` at a running server, on both engines: what it finds, and what it leaves."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from queueing import addresses
from tests.docs import pages
from tests.postgres import on_postgresql
from tests.stack import (
    CELERY,
    CROSSED,
    HOOK,
    OPEN,
    ROOT,
    SHORT_LEASES,
    Stack,
    environment,
    payloads,
    recording,
    stack,
)
from tests.terminal import Terminal
from tests.waiting import until

pytestmark = pytest.mark.stack

# What goes on by itself while a drill is held.
RESTLESS = {"queueing_canary", "queueing_pruning", "django_session", "sqlite_sequence"}
# When a key was last used is written by itself, a while later.
SAYS = {"observations_apikey": "id, name, team_id, project_id, scopes, expires_at, revoked_at"}
INDEX = "observation_index_"
SCRATCH = "name LIKE 'drill-%'"
UNDER_WAY = f"{OPEN} AND team_id IN (SELECT id FROM observations_team WHERE {SCRATCH})"


@pytest.fixture(scope="module", params=CROSSED)
def server(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A server with some memory."""
    with stack(SHORT_LEASES, engine=request.param) as running:
        running.replay([recording("locks-explained")])
        running.wait_settled()
        yield running


def _with_a_store(server: Stack) -> None:
    if server.engine != CELERY:
        pytest.skip("shown with a queue store")


def drill(server: Stack, *options: str) -> "subprocess.Popen[str]":
    """A drill that is being held."""
    return subprocess.Popen(
        server._command("drill", *options),
        cwd=ROOT, env=environment(server.settings), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def held(server: Stack, *options: str) -> tuple[int, dict[str, Any]]:
    """How a drill ended: its exit code, and what it says to programs."""
    process = drill(server, "--json", *options)
    said, complained = process.communicate(timeout=280)
    assert said, complained
    return process.returncode, json.loads(said)


def shape(text: str) -> list[str]:
    """What a drill shows, without what is otherwise each time: processes, events and seconds."""
    words = re.sub(
        r"process \d+|(?<=about )\d+|\d+(?= messages|( of its jobs))|[\d.]+ s\b", "…", text
    )
    return [" ".join(line.split()) for line in words.strip().splitlines()]


def everything(server: Stack) -> dict[str, list[str]]:
    """All rows of all tables but those that change by themselves, and all keys of the store."""
    ask = (
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        if server.on_postgresql
        else "SELECT name FROM sqlite_master WHERE type = 'table'"
    )
    names = {name for (name,) in server.sql(ask)} - RESTLESS
    found = {
        name: sorted(map(str, server.sql(f"SELECT {SAYS.get(name, '*')} FROM {name}")))
        for name in names
        if not name.startswith(INDEX)
    }
    return {**found, "the store's keys": keys(server)}


def keys(server: Stack) -> list[str]:
    """The keys of the scratch teams' own queues."""
    if server.engine != CELERY:
        return []
    with redis.Redis.from_url(server.store_access().url) as client:
        return sorted(map(str, client.scan_iter(f"{addresses.PREFIX}:*-*-*:*")))


def test_the_page_shows_what_a_drill_shows(server: Stack) -> None:
    _with_a_store(server)
    before = everything(server)
    process = drill(server, "--yes")
    said, complained = process.communicate(timeout=280)
    assert process.returncode == 0, said + complained
    (shown,) = pages.blocks(pages.ROOT / "docs" / "how-to" / "run-a-drill.md", "text")
    assert shape(said) == shape(shown.text)
    assert everything(server) == before


def test_a_drill_finds_that_the_promise_is_kept_and_leaves_no_trace(server: Stack) -> None:
    if server.engine == CELERY:
        pytest.skip("the page's drill is the same")
    before = everything(server)
    code, report = held(server, "--yes")
    results = {step["step"]: step["result"] for step in report["steps"]}
    assert (code, report["kept"]) == (0, True), report
    assert results == {
        "worker": "kept",
        "store": "kept" if server.on_postgresql else "skipped",
        "messages": "skipped",
        "queue": "kept",
        "hooks": "kept",
        "key": "kept",
    }
    for step in report["steps"]:
        if step["result"] == "kept":
            assert (step["lost"], step["repeated"], step["outOfOrder"]) == (0, 0, 0)
            assert step["accepted"] > 0
            assert step["settledSeconds"] < 60
        else:
            assert step["said"]
    assert everything(server) == before


@pytest.mark.skipif(on_postgresql(), reason="it is about processes, and shown on SQLite")
def test_a_gentle_drill_cuts_only_its_own_workers_off(server: Stack) -> None:
    _with_a_store(server)
    store = server.pids()["store"]
    code, report = held(server, "--gentle", "--step", "store")
    (step,) = report["steps"]
    assert (code, step["result"]) == (0, "kept"), report
    assert "the drill's workers were cut off" in step["said"]
    assert server.pids()["store"] == store


@contextmanager
def broken(server: Stack) -> Iterator[None]:
    """Within this block each settlement is written down two times."""
    again = (
        "INSERT INTO queueing_generationjobevent (job_id, event, state_after, attempt, details,"
        " created_at) VALUES (new.job_id, new.event, new.state_after, new.attempt, new.details,"
        " new.created_at);"
    )
    table = "queueing_generationjobevent"
    with server.connect() as database:
        if server.on_postgresql:
            database.execute(
                "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN {again} RETURN NULL; END $$"
            )
            database.execute(
                f"CREATE TRIGGER broken AFTER INSERT ON {table} FOR EACH ROW"
                " WHEN (new.event = 'completed' AND pg_trigger_depth() = 0)"
                " EXECUTE FUNCTION broken()"
            )
        else:
            database.execute(
                f"CREATE TRIGGER broken AFTER INSERT ON {table}"
                f" WHEN new.event = 'completed' BEGIN {again} END"
            )
        try:
            yield
        finally:
            on = f" ON {table}" if server.on_postgresql else ""
            database.execute(f"DROP TRIGGER broken{on}")
            if server.on_postgresql:
                database.execute("DROP FUNCTION broken()")


def test_a_drill_says_what_is_broken(server: Stack) -> None:
    _with_a_store(server)  # what is judged are rows: they are the same without one
    with broken(server):
        code, report = held(server, "--step", "hooks")
    (step,) = report["steps"]
    assert (code, report["kept"], step["result"]) == (1, False, "broken")
    assert (step["lost"], step["repeated"]) == (0, 16)
    assert sum("completed 2 times" in fault for fault in step["faults"]) == 16
    assert not server.count("observations_team", SCRATCH)


def test_others_work_goes_on_while_a_drill_is_held_which_ctrl_c_ends(server: Stack) -> None:
    before = everything(server)
    process = drill(server, "--step", "worker")
    until(lambda: server.jobs(UNDER_WAY))
    # So that it is not over before the others' work is.
    with server.standing(process.pid):
        mine = next(each for each in payloads([recording("retry-max-wait")])
                    if each["hook_event_name"] == "PostToolUse")  # fmt: skip
        job = server.post(HOOK, mine).headers["X-Job-Id"]
        until(lambda: server.jobs(f"state = 'completed' AND id = '{job}'"))
        process.send_signal(signal.SIGINT)
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the drill was interrupted, and cleaned up" in complained
    after = everything(server)
    assert after.pop("observations_team") == before.pop("observations_team")
    assert after.pop("the store's keys") == before.pop("the store's keys")
    assert len(after["queueing_generationjob"]) == len(before["queueing_generationjob"]) + 1


@pytest.mark.skipif(on_postgresql(), reason="it is about processes, and shown on SQLite")
def test_what_a_drill_that_was_killed_has_left_is_removed(server: Stack) -> None:
    _with_a_store(server)
    before = everything(server)
    process = drill(server, "--step", "worker", "--step", "queue", "--step", "key")
    until(lambda: server.jobs(UNDER_WAY))
    # So that it is not over before the other has looked.
    with server.standing(process.pid):
        refused = drill(server, "--clean")
        assert "is running" in refused.communicate(timeout=60)[1]
        assert refused.returncode == 2
        process.kill()
    process.communicate()
    assert server.count("observations_team", SCRATCH) == 1
    assert server.cli("drill", "--clean") == "1 scratch teams were removed\n"
    assert everything(server) == before


def test_a_drill_that_would_stop_the_store_asks_first(server: Stack) -> None:
    _with_a_store(server)
    process = drill(server, "--step", "store")
    _, complained = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "say --yes to let it, or --gentle" in complained
    command = server._command("drill", "--step", "store")
    with Terminal(command, environment(server.settings)) as terminal:
        terminal.expect("Go on?")
        terminal.type("n")
        assert terminal.wait() == 2
        assert "nothing was done" in terminal.screen
