"""The worker that looks: what it begins with, when it looks, and what it survives."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudemem.datadir import DataDir
from queueing import broker, kinds, leases, pauses, polling, shares, wakes
from queueing.kinds import EVENT, EVENT_BATCH, SUMMARY
from queueing.models import GenerationJob, Lane
from queueing.outbox import Head
from queueing.polling import Poller, chosen
from queueing.statements import fetch
from tests.queueing.conftest import Enqueue
from tests.waiting import until

QUEUES = [kind.queue for kind in kinds.ALL]
names = st.sampled_from([kind.name for kind in kinds.ALL])
heads = st.dictionaries(st.integers(0, 30).map(str), names, max_size=12).map(
    lambda kind_of: [Head(job, kind) for job, kind in kind_of.items()]
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(heads, st.sets(st.integers(0, 30).map(str)), st.integers(0, 40), names | st.just(""))
def test_as_many_are_chosen_as_there_is_room_for_and_none_that_is_in_hand(
    due: list[Head], in_hand: set[str], free: int, last: str
) -> None:
    begun = chosen(due, in_hand, free, last)
    left = [head for head in due if head.job_id not in in_hand]
    assert len(begun) == min(free, len(left)) == len(set(begun))
    assert set(begun) <= set(left)


@patient
@given(heads, st.integers(1, 40), names)
def test_kinds_take_turns_and_each_keeps_its_order(due: list[Head], free: int, last: str) -> None:
    begun = chosen(due, (), free, last)
    for name in kinds.BY_NAME:
        of_kind = [head for head in due if head.kind == name]
        taken = [head for head in begun if head.kind == name]
        assert taken == of_kind[: len(taken)]
    waiting = Counter(head.kind for head in due)
    served = Counter(head.kind for head in begun)
    for one in waiting:
        for other in waiting:
            assert served[one] == waiting[one] or served[other] <= served[one] + 1


@patient
@given(heads, names)
def test_the_kind_that_had_its_turn_is_the_last_to_have_another(due: list[Head], last: str) -> None:
    begun = chosen(due, (), 1, last)
    if {head.kind for head in due} - {last}:
        assert begun[0].kind != last


class Hand:
    """Takes heads in the place of the runner, and lets go of them when it is told to."""

    def __init__(self) -> None:
        self.taken: Queue[str] = Queue()
        self.go_on = threading.Event()
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self, head: Head) -> None:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        leases.claim(head.job_id, "somebody")
        connection.close()
        self.taken.put(head.job_id)
        assert self.go_on.wait(30)
        with self._lock:
            self.at_once -= 1

    def next(self) -> str:
        return self.taken.get(timeout=30)


@pytest.fixture
def polls(settings: LazySettings) -> None:
    """This process is a worker that looks."""
    settings.QUEUE_ENGINE = broker.DATABASE


@pytest.fixture
def hand(tmp_path: Path, settings: LazySettings, polls: None) -> Hand:
    settings.DATA_DIR = DataDir(tmp_path)
    return Hand()


@contextmanager
def running(hand: Callable[[Head], object], threads: int = 4, queues: list[str] = QUEUES,
            pulse: Callable[[], object] = lambda: None) -> Iterator[Poller]:  # fmt: skip
    """A poller in a thread of its own, stopped at the end."""
    poller = Poller(queues, threads, hand, pulse=pulse)
    thread = threading.Thread(target=poller.run)
    thread.start()
    try:
        yield poller
    finally:
        if isinstance(hand, Hand):
            hand.go_on.set()
        poller.stop()
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.django_db(transaction=True)
def test_what_waits_is_found_without_a_wake(enqueue: Enqueue, hand: Hand) -> None:
    (first,) = enqueue("one")
    with running(hand):
        assert hand.next() == first.id
        (second,) = enqueue("two")
        assert hand.next() == second.id


@pytest.mark.django_db(transaction=True)
def test_a_wake_is_answered_at_once(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    looked = threading.Event()
    monkeypatch.setattr(Poller, "_look", _telling(Poller._look, looked))
    with running(hand):
        assert looked.wait(30)
        (job,) = enqueue("one")
        wakes.publish(job.id, EVENT.name)
        assert hand.next() == job.id


def _telling(look: Callable[..., None], looked: threading.Event) -> Callable[..., None]:
    def telling(*args: object) -> None:
        look(*args)
        looked.set()

    return telling


@pytest.mark.django_db(transaction=True)
def test_no_more_is_begun_than_there_are_threads_and_the_rest_when_one_is_free(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    ids = {job.id for lane in range(7) for job in enqueue(f"lane-{lane}")}
    with running(hand, threads=2):
        first = {hand.next(), hand.next()}
        assert hand.taken.empty()
        hand.go_on.set()
        assert first | {hand.next() for _ in range(5)} == ids
    assert hand.most == 2


@pytest.mark.django_db(transaction=True)
def test_what_is_let_go_of_during_a_look_is_not_begun_again(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue("one")
    let_go = threading.Event()
    over = threading.Event()

    def seen_before(*_: object) -> list[Head]:
        if let_go.is_set():
            over.set()
            return []
        if hand.taken.qsize():  # this look began while the head was in hand
            hand.go_on.set()
            assert let_go.wait(30)
        return [Head(job.id, EVENT.name)]

    monkeypatch.setattr(shares, "due", seen_before)
    monkeypatch.setattr(Poller, "_do", _telling(Poller._do, let_go))
    with running(hand):
        assert over.wait(30)
    assert hand.taken.qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_only_the_queues_that_are_served_are_looked_at(enqueue: Enqueue, hand: Hand) -> None:
    enqueue("bulk", kind=EVENT_BATCH)
    (live,) = enqueue("live")
    with running(hand, queues=["event", "upkeep"]):
        assert hand.next() == live.id
        (summary,) = enqueue("summed", kind=SUMMARY)
        (another,) = enqueue("more")
        assert hand.next() == another.id
    assert GenerationJob.objects.get(pk=summary.id).token == 0


@pytest.mark.django_db(transaction=True)
def test_nothing_is_begun_while_there_is_a_pause_and_one_job_when_it_is_over(
    enqueue: Enqueue, hand: Hand
) -> None:
    for lane in range(4):
        enqueue(f"lane-{lane}")
    pauses.pause("the key was refused", "auth", probing=False)
    looks = Queue[bool]()
    with running(hand, pulse=lambda: looks.put(True)):
        for _ in range(3):
            looks.get(timeout=30)
        assert hand.taken.empty()
        pauses.look_again()
        hand.next()
        pauses.probe()
        while not looks.empty():
            looks.get()
        looks.get(timeout=30)
        assert hand.taken.empty()
        pauses.lift()
        assert len({hand.next() for _ in range(3)}) == 3


@pytest.mark.django_db(transaction=True)
def test_a_database_that_fails_is_asked_again(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(polling, "REST_SECONDS", 0.01)
    (job,) = enqueue("one")
    failures = iter([OperationalError("gone"), OperationalError("gone"), ValueError("a defect")])

    def failing(*args: object, **options: object) -> list[tuple[object, ...]]:
        for failure in failures:
            raise failure
        return fetch(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(shares, "fetch", failing)
    with running(hand):
        assert hand.next() == job.id
    assert caplog.text.count("the database failed") == 1
    assert "a defect" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_database_that_failed_is_left_in_peace_whoever_wakes_the_worker(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REST_SECONDS", 600.0)
    asked: Queue[None] = Queue()
    rounds: Queue[None] = Queue()

    def failing(*_: object, **__: object) -> list[tuple[object, ...]]:
        asked.put(None)
        raise OperationalError("gone")

    monkeypatch.setattr(shares, "fetch", failing)
    with running(hand, pulse=lambda: rounds.put(None)):
        asked.get(timeout=30)

        def was_woken() -> bool:
            wakes.publish("job", EVENT.name)
            return rounds.qsize() > 3

        until(was_woken)
    assert asked.empty()


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_a_thread_to_spare_leaves_wakes_to_others(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    rounds: Queue[None] = Queue()
    enqueue("one")
    with running(hand, threads=1, pulse=lambda: rounds.put(None)):
        hand.next()
        before = rounds.qsize()
        wakes.publish("job", EVENT.name)
        for lane in range(20):
            enqueue(f"lane-{lane}")
        assert rounds.qsize() <= before + 1
        other = wakes.Ear([EVENT.queue])
        assert other.heard(1)
        other.close()


@pytest.mark.django_db(transaction=True)
def test_a_job_that_could_not_even_be_begun_is_begun_again(enqueue: Enqueue, hand: Hand) -> None:
    (job,) = enqueue("one")
    tries: Queue[str] = Queue()

    def failing(head: Head) -> None:
        tries.put(head.job_id)
        raise OperationalError("gone") if tries.qsize() == 1 else ValueError("a defect")

    with running(failing):
        until(lambda: tries.qsize() > 2)
    assert {tries.get() for _ in range(3)} == {job.id}


@pytest.mark.django_db(transaction=True)
def test_who_is_told_to_stop_finishes_what_it_has(enqueue: Enqueue, hand: Hand) -> None:
    enqueue("one")
    with running(hand, threads=1) as poller:
        hand.next()
        poller.stop()
        enqueue("two")
        hand.go_on.set()
    assert hand.taken.empty()
    assert hand.at_once == 0


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_work_stops_at_once(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    looked = threading.Event()
    monkeypatch.setattr(Poller, "_look", _telling(Poller._look, looked))
    with running(hand):
        assert looked.wait(30)


@pytest.mark.django_db(transaction=True)
def test_kinds_take_turns_from_look_to_look(enqueue: Enqueue, hand: Hand) -> None:
    kind_of = {enqueue(f"{kind.name}-{n}", kind=kind)[0].id: kind.name
               for kind in (EVENT, EVENT_BATCH) for n in range(3)}  # fmt: skip
    hand.go_on.set()
    with running(hand, threads=1):
        taken = [kind_of[hand.next()] for _ in kind_of]
    assert taken == [EVENT.name, EVENT_BATCH.name] * 3


def due() -> list[str]:
    return [head.job_id for head in shares.due(QUEUES, 10, 10)]


@pytest.mark.django_db
def test_the_longest_waiting_is_the_first_and_no_kind_is_behind_all_of_another(
    enqueue: Enqueue, polls: None
) -> None:
    bulk = [enqueue(f"bulk-{n}", kind=EVENT_BATCH)[0].id for n in range(5)]
    (live,) = enqueue("live")
    Lane.objects.filter(key="bulk-3").update(woken_at=None)
    assert due() == [live.id, *(bulk[n] for n in (3, 0, 1, 2, 4))]
    begun = [head.job_id for head in chosen(shares.due(QUEUES, 10, 10), (), 2, "")]
    assert begun == [live.id, bulk[3]]


@pytest.mark.django_db
def test_only_what_a_claim_would_take_is_due(enqueue: Enqueue, polls: None) -> None:
    first, _behind = enqueue("lane", 2)
    assert due() == [first.id]
    assert leases.claim(first.id, "somebody")
    assert due() == []
    past = datetime(2020, 1, 1, tzinfo=UTC)
    GenerationJob.objects.filter(state="processing").update(lease_until=past)
    assert due() == [first.id]
    assert wakes.depths() == {"event": 1, "summary": 0, "event-batch": 0, "upkeep": 0}
    GenerationJob.objects.filter(pk=first.id).update(attempts=3, token=3)
    assert due() == []
    assert wakes.depths()["event"] == 0
