"""A look at real servers of somebody else, sound and otherwise. Sound ones: tests/contracts."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from queueing import access, probes
from queueing.errors import QueueStoreAway
from queueing.excuses import StoreUnfit
from queueing.probes import Look
from tests import certificates
from tests.servers import PASSWORD, RELEASES, Release, binary, serving
from tests.waiting import until

pytestmark = pytest.mark.once

PREFIX = "ours"
VALKEY, REDIS = RELEASES[0], RELEASES[2]


def look(url: str, timeout: float = 10.0) -> Look:
    return probes.look(url, PREFIX, timeout=timeout)


def unfit(url: str) -> str:
    """Why the server must not be used."""
    with pytest.raises(StoreUnfit) as refused:
        probes.examine(url, PREFIX, timeout=10.0)
    return str(refused.value)


def away(url: str, timeout: float = 10.0) -> str:
    """Why the server cannot be used at this time."""
    with pytest.raises(QueueStoreAway) as refused:
        probes.examine(url, PREFIX, timeout=timeout)
    return str(refused.value)


@pytest.fixture(params=[VALKEY, REDIS], ids=str)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path, "--appendonly", "yes", release=request.param) as served:
        yield served


@contextmanager
def mute(reply: bytes | None) -> Iterator[str]:
    """The URL of something that is no store: it says `reply` and hangs up, or nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        held = []

        def serve() -> None:
            while True:
                try:
                    guest, _ = door.accept()
                except OSError:
                    return
                held.append(guest)
                if reply is not None:
                    guest.recv(4096)
                    guest.sendall(reply)
                    guest.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{door.getsockname()[1]}/0"
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()
            for guest in held:
                guest.close()


def allow(url: str, *rules: str) -> str:
    """The URL for a user who may do what these rules allow."""
    with redis.Redis.from_url(url) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">guest-word", *rules)
    return url.replace(f":{PASSWORD}@", "guest:guest-word@")


# --- who may come in ------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_not_repeated(url: str) -> None:
    said = unfit(url.replace(PASSWORD, "guessed"))
    assert "refuses the password of its URL (CLAUDE_MEM_REDIS_URL)" in said
    assert "guessed" not in said


def test_a_password_that_is_missing_is_asked_for(url: str) -> None:
    assert "asks for a password, and its URL has none" in unfit(url.replace(f":{PASSWORD}@", ""))


def test_a_password_that_nobody_asks_for_is_to_be_taken_out(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("requirepass", "")
    assert "asks for no password, and its URL has one" in unfit(url)


def test_a_user_of_our_keys_alone_is_enough_and_what_it_may_not_ask_is_said(url: str) -> None:
    channel = f"&{PREFIX}:/0.celery.pidbox"
    found = look(allow(url, f"~{PREFIX}:*", "resetchannels", channel, "+@all", "-@dangerous"))
    assert found.faults == ()
    assert found.version
    assert (found.policy, found.persistence) == ("", "")
    assert [said.partition(" does not ")[2].partition(" (")[0] for said in found.warnings] == [
        "tell us its maxmemory-policy", "tell us whether it keeps messages over a restart",
    ]  # fmt: skip


def test_a_user_who_may_ask_for_no_facts_but_settings_tells_them(url: str) -> None:
    found = look(allow(url, "~*", "&*", "+@all", "-info"))
    assert (found.policy, found.persistence) == ("noeviction", "append-only file, every second")
    assert found.warnings == ()


@pytest.mark.parametrize(
    "rules",
    [
        ("~*", "&*", "+@all", "-brpop"),
        ("~*", "&*", "+@all", "-@scripting"),
        ("~theirs:*", "&*", "+@all"),
        ("~*", "resetchannels", "+@all"),
    ],
    ids=["no queues", "no scripts", "no keys of ours", "no channels"],
)
def test_a_user_who_may_not_do_what_queues_need_is_refused(
    url: str, rules: tuple[str, ...]
) -> None:
    said = unfit(allow(url, *rules))
    assert "does not let its user do what queues need" in said
    assert "docs/how-to/use-your-own-store.md" in said
    assert "guest-word" not in said


def test_a_database_that_is_not_there_is_refused(url: str) -> None:
    assert "refuses us: DB index is out of range" in unfit(f"{url[:-1]}99")


# --- what it does with messages -------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_a_server_that_drops_messages_is_refused_and_no_message_is_tried(
    release: Release, tmp_path: Path
) -> None:
    with serving(tmp_path, "--maxmemory-policy", "allkeys-lru", release=release) as url:
        said = unfit(url)
        found = look(url)
    assert "its maxmemory-policy is allkeys-lru, by which it may drop messages: set it to" in said
    assert (found.policy, len(found.faults)) == ("allkeys-lru", 1)


def test_one_without_memory_left_is_taken_with_a_warning(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.config_set("maxmemory", 1)
        (warning,) = look(url).warnings
        assert "raise its maxmemory" in warning
        assert client.keys("*") == []


def test_one_that_cannot_save_is_away_until_it_can(url: str, tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").mkdir()
    with redis.Redis.from_url(url) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
        assert "cannot save its data and refuses to take more" in away(url)
        client.config_set("stop-writes-on-bgsave-error", "no")
    assert look(url).warnings == ()


def test_a_replica_is_refused_for_what_it_is(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.replicaof("127.0.0.1", "1")
        assert "it is a replica, which takes no messages: name the primary" in unfit(url)
        client.config_set("replica-read-only", "yes")
        guest = allow(url, "~*", "&*", "+@all", "-info", "-hello")
        # HELLO, which no rule forbids, still tells.
        assert "it is a replica" in unfit(guest)


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    # By default it would listen ten thousand ports higher as well, where there may be none.
    bus = str(access.free_port())
    with serving(tmp_path, "--cluster-enabled", "yes", "--cluster-port", bus) as url:
        assert "it is a cluster" in unfit(url)


# --- whether it can be reached --------------------------------------------------------------------


def test_a_port_at_which_nobody_listens_is_away() -> None:
    assert "does not answer (Connection refused)" in away("redis://127.0.0.1:1/0")


def test_a_name_that_means_nothing_is_away() -> None:
    assert "does not answer (" in away("redis://no-such-host.invalid/0")


@pytest.mark.parametrize(
    "url", ["redis://store.invalid/0", "sentinel://one.invalid,two.invalid/primary"]
)
def test_one_whose_name_no_resolver_answers_for_is_away_after_its_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers.wait(60))
    started = time.monotonic()
    assert "does not answer (no resolver of names answered within 0.2 s" in away(url, 0.2)
    assert time.monotonic() - started < 30
    answers.set()


def test_one_that_says_nothing_is_away_after_its_time() -> None:
    started = time.monotonic()
    with mute(None) as url:
        assert "does not answer within 0.2 s" in away(url, timeout=0.2)
    assert time.monotonic() - started < 10


def test_one_that_is_loading_is_away() -> None:
    with mute(b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        assert "does not answer yet: it is loading its data" in away(url)


def test_something_else_at_its_port_is_refused() -> None:
    with mute(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "does not answer as a Redis or Valkey does" in unfit(url)


def test_a_reply_that_repeats_the_password_is_not_passed_on() -> None:
    with mute(b"-ERR unknown command 'AUTH', with args beginning with: 'my word'\r\n") as url:
        said = unfit(url.replace("redis://", "redis://:my%20word@"))
    assert "unknown command 'AUTH'" in said
    assert "my word" not in said


# --- in TLS ---------------------------------------------------------------------------------------


def test_what_is_wrong_with_tls_is_said_on_either_side(tmp_path: Path) -> None:
    issued = certificates.issued(tmp_path, "trusted")
    program = binary(REDIS)
    assert program  # Debian's is built with TLS
    with serving(tmp_path, *issued.flags, "--tls-port", "0", release=REDIS) as plain:
        secure = plain.replace("redis://", "rediss://")
        assert "write redis:// in its URL if it does not speak TLS" in away(secure, timeout=0.5)
