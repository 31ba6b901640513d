"""A queue store that is not ours is looked at before it is used."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queueing import access, external, store
from queueing.errors import QueueStoreAway
from queueing.external import StoreUnfit, judge
from tests.waiting import until

SOUND = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1,
         "redis_mode": "standalone", "role": "master"}  # fmt: skip


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[str]:
    """A store that somebody else has configured; its URL."""
    port = access.free_port()
    words = [store.find_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([*words, "--requirepass", "hidden", *flags], cwd=folder,
                          stdout=subprocess.DEVNULL) as server:  # fmt: skip
        try:
            until(lambda: not access.bindable(port))
            yield f"redis://:hidden@127.0.0.1:{port}/0"
        finally:
            server.terminate()


def test_a_store_that_keeps_its_messages_is_taken_without_a_word(tmp_path: Path) -> None:
    with serving(tmp_path, "--appendonly", "yes") as url:
        assert external.examine(url) == ()


def test_a_store_that_forgets_is_taken_with_a_warning(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        (warning,) = external.examine(url)
    assert "set appendonly yes" in warning
    assert "hidden" not in warning


def test_a_store_that_drops_messages_is_refused(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--maxmemory-policy", "allkeys-lru") as url,
        pytest.raises(StoreUnfit, match=r"allkeys-lru.*set it to noeviction"),
    ):
        external.examine(url)


def test_a_wrong_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as url,
        pytest.raises(StoreUnfit, match="refuses the password of CLAUDE_MEM_REDIS_URL") as refused,
    ):
        external.examine(url.replace("hidden", "guessed"))
    assert "guessed" not in str(refused.value)


def test_no_password_where_one_is_asked_for_is_refused_too(tmp_path: Path) -> None:
    with serving(tmp_path) as url, pytest.raises(StoreUnfit, match="refuses the password"):
        external.examine(url.replace(":hidden@", ""))


def test_a_store_that_does_not_answer_is_away() -> None:
    with pytest.raises(QueueStoreAway, match=r"127\.0\.0\.1:1/0 does not answer"):
        external.examine("redis://:hidden@127.0.0.1:1/0")


def test_what_a_sound_store_says_is_sound() -> None:
    assert judge(SOUND) == external.Look((), ())


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("redis_version", "6.0.16", "6.2 is the oldest"),
        ("maxmemory_policy", "volatile-lru", "noeviction"),
        ("redis_mode", "cluster", "a single server"),
        ("role", "slave", "name the primary"),
    ],
)
def test_a_store_that_cannot_serve_is_refused_with_a_reason(
    fact: str, value: str, said: str
) -> None:
    (fault,) = judge({**SOUND, fact: value}).faults
    assert said in fault


@pytest.mark.parametrize("version", ["6.2.0", "7.0.1", "10.0.0", "8.0.0-rc1"])
def test_newer_stores_are_taken(version: str) -> None:
    assert judge({**SOUND, "redis_version": version}).faults == ()
