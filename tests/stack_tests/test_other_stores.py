"""The whole server at queue stores that are not its own: the oldest ones, and a container."""

import json
import os
from pathlib import Path

import pytest
import redis

from queueing.docker import IMAGE, DockerStore
from tests import dockers
from tests.postgres import on_postgresql, shown_on_sqlite
from tests.servers import RELEASES, serving
from tests.stack import recording, stack
from tests.stack_tests.test_foreign_store import well
from tests.waiting import until

pytestmark = pytest.mark.stack

# One a database: a server costs seconds, and what the database is matters nothing to the store.
(REDIS_7, REDIS_6) = (release for release in RELEASES if release.product == "Redis")
RELEASE = REDIS_7 if on_postgresql() else REDIS_6
RECORDING = recording("humanevalfix-close-elements")


def test_jobs_are_drained_at_an_old_server_of_ones_own_which_stays(tmp_path: Path) -> None:
    with serving(tmp_path, release=RELEASE) as url, redis.Redis.from_url(url) as client:
        with stack({"CLAUDE_MEM_REDIS_URL": url}) as running:
            running.replay([RECORDING])
            running.wait_settled()
            assert running.jobs("state = 'completed'") == running.jobs() > 0
            said = running.output.read_text()
        assert client.info("commandstats")["cmdstat_lpush"]["calls"] > 1
        assert client.ping()
    assert said.count("has no append-only file") == 1


@shown_on_sqlite("stores")
def test_jobs_are_drained_at_a_store_in_a_container_which_is_stopped_last(tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    program = dockers.standin(engine)
    path = f"{engine}{os.pathsep}{os.environ['PATH']}"
    with stack({"CLAUDE_MEM_REDIS_MODE": "docker", "PATH": path}) as running:
        store = DockerStore(running.data / "redis", program=program)
        assert store.running() is not None
        running.replay([RECORDING])
        running.wait_settled()
        assert running.jobs("state = 'completed'") == running.jobs() > 0
        # It is no process of this machine, and well all the same.
        shown = json.loads(until(lambda: well(running)))
        assert {each["name"]: each["state"] for each in shown["processes"]}["store"] == "running"
        assert (shown["healthy"], shown["problems"]) == (True, [])
        assert f"Docker fetches {IMAGE}" in running.output.read_text()
    assert [*engine.glob("claudemem-store-*.json")]
    assert store.running() is None
