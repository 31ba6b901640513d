"""Whole servers at queue stores of somebody else: shared, encrypted, watched, and failing."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.certificates import issued
from tests.postgres import on_postgresql
from tests.sentinel import SENTINEL_PASSWORD, pair
from tests.servers import PASSWORD, serving, with_tls
from tests.stack import HOOK, ROOT, SOON, Stack, payloads, recording, stack
from tests.waiting import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(on_postgresql(), reason="it is about stores, and shown on SQLite"),
]

PAGE = ROOT / "docs" / "how-to" / "use-your-own-store.md"
(RIGHTS,) = re.findall(r"^ACL SETUSER claude_mem (.+)$", PAGE.read_text(), re.MULTILINE)
NAMES = ("one", "two")
ALL = {"event", "summary", "event-batch", "upkeep"}
EVENTS = payloads([recording("locks-explained")])


@dataclass(frozen=True, slots=True)
class Shared:
    """One server, two installations, and one who may do everything there."""

    one: Stack
    two: Stack
    owner: redis.Redis


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    with ExitStack() as kept:
        url = kept.enter_context(serving(tmp_path_factory.mktemp("shared"), "--appendonly", "yes"))
        owner = kept.enter_context(redis.Redis.from_url(url))
        for name in NAMES:
            rights = RIGHTS.replace("claude_mem", name).replace("secret", f"{name}-word").split()
            owner.execute_command("ACL", "SETUSER", name, *rights)
        one, two = (kept.enter_context(stack(_guest(url, name), flower=name == "one"))
                    for name in NAMES)  # fmt: skip
        yield Shared(one, two, owner)


def _guest(url: str, name: str) -> dict[str, str]:
    door = f"{name}:{name}-word@"
    return {
        **SOON,
        "CLAUDE_MEM_REDIS_URL": url.replace(f":{PASSWORD}@", door).replace("redis", "valkey"),
        "CLAUDE_MEM_QUEUE_REDIS_PREFIX": name,
    }


def logged(running: Stack) -> str:
    """What all its processes have said."""
    files = [running.output, *(running.data / "logs").glob("*.log")]
    return "".join(file.read_text() for file in files)


def queues(running: Stack) -> set[str]:
    """The queues whose depths its Flower knows: those of workers that have told it of theirs."""
    with running.flowers() as flower:
        found = flower.get("api/queues/length").json()["active_queues"]
    return {queue["name"] for queue in found}


def well(running: Stack) -> str:
    """What its status says once all is well, which it is when things come through again."""
    with suppress(subprocess.CalledProcessError):
        return running.cli("status", "--json")
    return ""


def test_installations_with_their_own_prefixes_and_rights_do_not_meet(shared: Shared) -> None:
    """Neither may touch what is the other's, and neither wants to.

    That they ask for the server's configuration, and do without it, is all that is ever refused.
    """
    for running in (shared.one, shared.two):
        running.replay([recording("locks-explained")])
    for running in (shared.one, shared.two):
        running.wait_settled()
        assert running.jobs("state = 'completed'") > 0
        assert not running.jobs("attempts > 1")
    names = {key.decode().partition(":")[0] for key in shared.owner.scan_iter()}
    assert names == set(NAMES)
    assert {entry["object"] for entry in shared.owner.acl_log()} <= {"config|get", "config"}


def test_flower_sees_what_is_its_own(shared: Shared) -> None:
    with shared.one.flowers() as flower:
        seen = until(lambda: flower.get("api/workers?refresh=1").json())
    (worker,) = seen
    assert f"-{shared.one.pids()['worker']}@" in worker
    until(lambda: queues(shared.one) == ALL)


HARMS = {
    "a replica": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"),
                  "name the primary"),
    "a full memory": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"),
                      "raise its maxmemory"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_store_that_takes_nothing_delays_jobs_and_ends_nobody(shared: Shared, harm: str) -> None:
    do, mend, said = HARMS[harm]
    running = shared.one
    processes = running.pids()
    done = running.jobs("state = 'completed'")
    shared.owner.execute_command(*do)
    try:
        for payload in EVENTS:
            fresh = {**payload, "session_id": f"{payload['session_id']}-{harm}"}
            assert running.post(HOOK, fresh).is_success
        assert running.jobs("state = 'queued'") > 0
        until(lambda: said in logged(running))
    finally:
        shared.owner.execute_command(*mend)
    running.wait_settled()
    assert running.jobs("state = 'completed'") > done
    assert running.pids() == processes
    assert "one-word" not in logged(running)


def test_a_worker_goes_on_with_the_primary_that_takes_over(tmp_path: Path) -> None:
    with pair(tmp_path, with_tls(), issued(tmp_path, "ours")) as servers:
        settings = {**SOON, "CLAUDE_MEM_REDIS_URL": servers.url}
        with stack(settings, flower=True) as running:
            running.replay([recording("locks-explained")])
            running.wait_settled(120)
            processes = running.pids()
            client = servers.kill_primary()
            for payload in EVENTS:
                fresh = {**payload, "session_id": f"{payload['session_id']}-again"}
                assert running.post(HOOK, fresh).is_success
            running.wait_settled(120)
            assert running.pids() == processes
            shown = until(lambda: well(running))
            assert servers.hosts in shown
            assert SENTINEL_PASSWORD not in shown + logged(running)
            assert f":{PASSWORD}@" not in shown + logged(running)
            until(lambda: queues(running) == ALL)
        with client:
            assert client.exists("claude_mem:probe")
