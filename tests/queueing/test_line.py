"""The shared connection, with stores that are silent in every way that a store can be."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import redis

from claudemem import celery  # noqa: F401
from queueing import messages
from queueing.errors import QueueStoreAway
from tests.queueing.conftest import at
from tests.servers import serving
from tests.waiting import until

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("in_earnest")]

# Half a second, or a whole one, and what a busy machine makes of it; each for itself is far more.
ONE_WAIT = 2.5


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path) as found, at(found):
        yield found


def seconds() -> tuple[float, bool]:
    """How long a publish took, and whether the store took it."""
    started = time.perf_counter()
    with suppress(QueueStoreAway):
        messages.publish("job", "event")
        return time.perf_counter() - started, True
    return time.perf_counter() - started, False


def at_once(threads: int, work: Callable[[], tuple[float, bool]] = seconds) -> list[
    tuple[float, bool]
]:  # fmt: skip
    """What `work` gave in as many threads."""
    found: list[tuple[float, bool]] = []
    all_there = threading.Barrier(threads)

    def run() -> None:
        all_there.wait()
        found.append(work())

    started = [threading.Thread(target=run) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return found


def pid_of(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


@contextmanager
def frozen(url: str) -> Iterator[None]:
    pid = pid_of(url)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def listening(*, accepts: bool) -> Iterator[str]:
    """A store that is all silence: it takes connections, or does not even that."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(128 if accepts else 0)
        while not accepts:
            # Once its backlog is full, the system drops whoever else comes, without a word.
            one = stack.enter_context(socket.socket())
            one.settimeout(0.2)
            try:
                one.connect(server.getsockname())
            except TimeoutError:
                break
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.parametrize("accepts", [True, False], ids=["at the first answer", "at the door"])
def test_a_store_that_is_silent_from_the_start_costs_one_wait_and_then_nothing(
    accepts: bool,
) -> None:
    with listening(accepts=accepts) as url, at(url):
        first = at_once(32)
        assert not any(published for _, published in first)
        assert max(took for took, _ in first) < ONE_WAIT
        assert sum(seconds()[0] for _ in range(50)) < ONE_WAIT


def test_a_store_that_falls_silent_costs_all_threads_together_one_wait(url: str) -> None:
    messages.depths()
    with frozen(url):
        started = time.perf_counter()
        first = at_once(32)
        assert time.perf_counter() - started < ONE_WAIT
        assert not any(published for _, published in first)
        assert sum(seconds()[0] for _ in range(50)) < ONE_WAIT
    until(lambda: not messages.refuses())
    assert seconds()[1]


def test_a_store_that_is_back_is_found_though_nobody_asks(url: str) -> None:
    messages.depths()
    with frozen(url), pytest.raises(QueueStoreAway, match="did not answer in time"):
        messages.depths()
    until(lambda: not messages.refuses())


def test_a_name_that_does_not_resolve_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def slow(*_: object, **__: object) -> None:
        answers.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with at("redis://store.invalid/0"):
        assert max(took for took, _ in at_once(8)) < ONE_WAIT
        assert sum(seconds()[0] for _ in range(50)) < ONE_WAIT
        answers.set()
        until(lambda: "name resolution" in said())


def said() -> str:
    with pytest.raises(QueueStoreAway) as away:
        messages.depths()
    return str(away.value)


def test_a_name_that_is_wrong_is_told(url: str) -> None:
    with at("redis://no-such-host.invalid/0"):
        until(lambda: "no-such-host.invalid" in said() and "cannot be reached" in said())


def test_a_connection_that_the_store_has_closed_costs_no_message(url: str) -> None:
    messages.depths()
    with redis.Redis.from_url(url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert seconds()[1]
    assert messages.depths()["event"] == 1


def test_many_threads_share_one_connection_and_lose_nothing(url: str) -> None:
    def twenty() -> tuple[float, bool]:
        return 0.0, all(seconds()[1] for _ in range(20))

    assert all(published for _, published in at_once(32, twenty))
    assert messages.depths()["event"] == 640
    with redis.Redis.from_url(url) as client:
        assert len(client.client_list()) == 2  # this one too


def test_each_asker_gets_its_own_replies(url: str) -> None:
    messages.publish("job", "summary")

    def depth() -> tuple[float, bool]:
        return 0.0, all(
            messages.depths() == {"event": 0, "summary": 1, "event-batch": 0, "upkeep": 0}
            and messages.depths()
            for _ in range(20)
        )

    assert all(right for _, right in at_once(16, depth))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_connection_of_its_own(url: str) -> None:
    messages.depths()
    child = os.fork()
    if child == 0:
        os._exit(0 if seconds()[1] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert seconds()[1]
    assert messages.depths()["event"] == 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_was_forked_while_the_store_was_away_finds_it_too(url: str) -> None:
    messages.depths()
    with frozen(url):
        assert not seconds()[1]
        child = os.fork()
        if child == 0:
            until(lambda: seconds()[1])
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_who_is_interrupted_leaves_no_reply_for_the_next(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages.depths()
    line = messages._line(*messages._place())
    assert line._connection is not None

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(line._connection, "read_response", interrupt)
    with pytest.raises(KeyboardInterrupt):
        messages.publish("job", "event")
    until(lambda: seconds()[1])
    assert messages.depths()["event"] == 2
