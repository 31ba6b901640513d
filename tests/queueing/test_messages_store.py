"""Publishing to stores of every kind, and to such as answer and take nothing."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from django.test import override_settings

from claudemem import celery  # noqa: F401
from queueing import access, messages
from queueing.errors import QueueStoreAway
from tests import certificates
from tests.queueing.conftest import at
from tests.sentinel import pair
from tests.servers import PASSWORD, RELEASES, binary, serving, with_tls
from tests.waiting import until

pytestmark = pytest.mark.once

Harm = Callable[[redis.Redis, Path], object]


def published() -> bool:
    """Whether the store took a message."""
    try:
        messages.publish("job", "event")
    except QueueStoreAway:
        return False
    return True


def refused() -> str:
    """Why the store takes no message."""
    with pytest.raises(QueueStoreAway) as away:
        messages.publish("job", "event")
    return str(away.value)


# --- stores that answer and take nothing ----------------------------------------------------------


def spoil_disk(client: redis.Redis, folder: Path) -> None:
    (folder / "dump.rdb").mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def mend_disk(client: redis.Redis, folder: Path) -> None:
    (folder / "dump.rdb").rmdir()
    client.bgsave()


def change_password(client: redis.Redis, folder: Path) -> None:
    client.config_set("requirepass", "changed")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


HARMS = {
    "a replica": (
        lambda client, _: client.replicaof("127.0.0.1", 1),
        lambda client, _: client.replicaof("NO", "ONE"),
        "name the primary in CLAUDE_MEM_REDIS_URL",
    ),
    "a full memory": (
        lambda client, _: client.config_set("maxmemory", "1"),
        lambda client, _: client.config_set("maxmemory", "0"),
        "raise its maxmemory",
    ),
    "a bad disk": (spoil_disk, mend_disk, "free its disk"),
    "another password": (
        change_password,
        lambda client, _: client.config_set("requirepass", PASSWORD),
        "put the right ones into CLAUDE_MEM_REDIS_URL",
    ),
    "too few replicas": (
        lambda client, _: client.config_set("min-replicas-to-write", "1"),
        lambda client, _: client.config_set("min-replicas-to-write", "0"),
        "bring them back",
    ),
    "a key of somebody else": (
        lambda client, _: client.set("claude_mem:event", "mine"),
        lambda client, _: client.delete("claude_mem:event"),
        "choose another CLAUDE_MEM_QUEUE_REDIS_PREFIX",
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_store_that_takes_nothing_says_what_to_do_and_is_used_again_once_it_is_mended(
    tmp_path: Path, harm: str
) -> None:
    do, mend, said = HARMS[harm]
    with serving(tmp_path) as url, at(url), redis.Redis.from_url(url) as client:
        messages.depths()
        do(client, tmp_path)
        assert said in refused()
        assert PASSWORD not in refused()
        mend(client, tmp_path)
        until(published)


def test_a_store_that_is_loading_is_waited_for(tmp_path: Path) -> None:
    with serving(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.mset({f"other:{number}": "x" for number in range(20_000)})
        client.save()
    # Three thousandths of a second a key: a minute, unless it is told to hurry.
    with serving(tmp_path, "--key-load-delay", "3000", "--loading-process-events-interval-bytes",
                 "1024") as url, at(url), redis.Redis.from_url(url) as client:  # fmt: skip
        until(lambda: "loading its data" in refused())
        client.config_set("key-load-delay", "0")
        until(published)


# --- ways there -----------------------------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[str]:
    """Host, port and database of a store that speaks nothing but TLS there."""
    port = access.free_port()
    words = [with_tls(), "--port", "0", "--tls-port", str(port), "--requirepass", PASSWORD,
             *certificates.issued(tmp_path, "ours").flags]  # fmt: skip
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        until(lambda: not access.bindable(port))
        yield f":{PASSWORD}@127.0.0.1:{port}/0"
        server.terminate()


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_a_store_is_reached_over_tls(tmp_path: Path, encrypted: str, scheme: str) -> None:
    with at(f"{scheme}://{encrypted}?ssl_ca_certs={tmp_path}/ours-authority.pem"):
        until(published)
        assert messages.depths()["event"]


def test_an_authority_that_is_not_known_is_refused_and_what_to_do_is_said(
    tmp_path: Path, encrypted: str
) -> None:
    theirs = certificates.issued(tmp_path, "theirs").authority
    for url in (f"rediss://{encrypted}", f"rediss://{encrypted}?ssl_ca_certs={theirs}"):
        with at(url):
            assert "ssl_ca_certs" in refused()


def test_a_certificate_of_another_host_is_refused(tmp_path: Path, encrypted: str) -> None:
    elsewhere = encrypted.replace("127.0.0.1", "localhost")
    known = f"ssl_ca_certs={tmp_path}/ours-authority.pem"
    with at(f"rediss://{elsewhere}?{known}"):
        assert "its host as the certificate does" in refused()
    with at(f"rediss://{elsewhere}?{known}&ssl_check_hostname=false"):
        assert published()


def test_a_plain_client_gets_nothing_from_a_store_with_tls(encrypted: str) -> None:
    with at(f"redis://{encrypted}"):
        assert "cannot be reached" in refused()


def test_a_store_is_reached_through_a_socket(tmp_path: Path) -> None:
    with serving(tmp_path, "--unixsocket", str(tmp_path / "a store.sock")):
        for scheme in ("unix", "redis+socket"):
            with at(f"{scheme}://:{PASSWORD}@{tmp_path}/a%20store.sock?db=1"):
                assert published()
        with redis.Redis(unix_socket_path=str(tmp_path / "a store.sock"), db=1,
                         password=PASSWORD) as client:  # fmt: skip
            assert client.llen("claude_mem:event") == 2


def test_publishing_follows_the_primary_that_sentinels_name(tmp_path: Path) -> None:
    with pair(tmp_path, binary(RELEASES[0])) as servers, at(servers.url):
        until(published)
        with servers.kill_primary() as client:
            until(published)
            assert client.llen("claude_mem:event") >= 1


def test_sentinels_that_know_no_such_primary_say_so(tmp_path: Path) -> None:
    with pair(tmp_path, binary(RELEASES[0])) as servers:
        with at(servers.url.replace("/main/", "/mistaken/")):
            assert "knows the primary" in refused()
        with at(servers.url.replace("watchful", "guessed")):
            assert "knows the primary" in refused()


# --- a server that others use too -----------------------------------------------------------------


def test_each_prefix_has_its_own_queues(tmp_path: Path) -> None:
    with serving(tmp_path) as url, at(url), redis.Redis.from_url(url) as client:
        with override_settings(QUEUE_PREFIX="one"):
            messages.publish("job", "event")
            messages.send_canary("upkeep", 1)
            assert messages.depths()["event"] == 1
        with override_settings(QUEUE_PREFIX="two"):
            assert messages.depths()["event"] == 0
            assert not messages.canary_waits("upkeep", 1)
        names = {key.decode() for key in client.scan_iter()}
    assert names == {"one:event", "one:upkeep", "one:probe"}


# --- queues of one team ---------------------------------------------------------------------------


def test_one_teams_own_queues_are_counted_and_emptied_and_no_others(tmp_path: Path) -> None:
    team = "01a20324-0000-7000-8000-000000000001"
    with serving(tmp_path) as url, at(url):
        messages.publish("ours", "event")
        with override_settings(QUEUE_PREFIX=f"{messages.settings.QUEUE_PREFIX}:{team}"):
            for kind in ("event", "event", "summary"):
                messages.publish("theirs", kind)
        assert messages.waiting(team) == 3
        assert messages.sweep(team) == 3
        assert messages.waiting(team) == messages.sweep(team) == 0
        assert messages.depths()["event"] == 1
        with redis.Redis.from_url(url) as client:
            assert list(client.scan_iter(f"*{team}*")) == []
