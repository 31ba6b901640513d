"""The worker that looks: what it begins with, when it looks, and what it survives."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue

import pytest
from django.conf import LazySettings
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudemem.datadir import DataDir
from queueing import broker, direct, kinds, leases, pauses, polling, shares, wakes
from queueing.kinds import EVENT, EVENT_BATCH, SUMMARY
from queueing.lulls import lull
from queueing.models import GenerationJob, Lane, Share
from queueing.outbox import Head
from queueing.pauses import Subject
from queueing.polling import Poller, chosen
from queueing.statements import fetch
from tests.queueing.conftest import Enqueue
from tests.queueing.test_outages import refused_to_all
from tests.waiting import until

QUEUES = [kind.queue for kind in kinds.ALL]
names = st.sampled_from([kind.name for kind in kinds.ALL])
heads = st.dictionaries(st.integers(0, 30).map(str), names, max_size=12).map(
    lambda kind_of: [Head(job, kind) for job, kind in kind_of.items()]
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(heads, st.sets(st.integers(0, 30).map(str)), st.integers(0, 40))
def test_as_many_are_chosen_as_there_is_room_for_and_none_that_is_in_hand(
    due: list[Head], in_hand: set[str], free: int
) -> None:
    left = [head for head in due if head.job_id not in in_hand]
    assert chosen(due, in_hand, free) == left[:free]


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
        if lease := leases.claim(head.job_id, "somebody"):
            shares.begun(lease.head)
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
    caplog.set_level(logging.INFO)
    with running(hand):
        assert hand.next() == job.id
        (another,) = enqueue("two")
        assert hand.next() == another.id
    assert caplog.text.count("the database failed") == 1
    assert caplog.text.count("the database answers again") == 1
    assert "a defect" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_look_that_was_refused_as_all_would_be_is_noted(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "due", refused_to_all)
    with running(hand):
        until(lull.is_just_over)


def wake(_: Poller) -> None:
    wakes.publish("job", EVENT.name)


@pytest.mark.parametrize(("failure", "rouse"), [
    (OperationalError("gone"), wake), (OperationalError("gone"), Poller._ring),
    (ValueError("a defect"), Poller._ring),
])  # fmt: skip
@pytest.mark.django_db(transaction=True)
def test_after_a_failure_nothing_is_asked_for_a_while_whoever_wakes_the_worker(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, failure: Exception,
    rouse: Callable[[Poller], None],
) -> None:  # fmt: skip
    monkeypatch.setattr(polling, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(polling, "REST_SECONDS", 600.0)
    asked: Queue[None] = Queue()
    rounds: Queue[None] = Queue()

    def failing(*_: object, **__: object) -> list[tuple[object, ...]]:
        asked.put(None)
        raise failure

    monkeypatch.setattr(shares, "fetch", failing)
    with running(hand, pulse=lambda: rounds.put(None)) as poller:
        asked.get(timeout=30)
        until(lambda: rouse(poller) or rounds.qsize() > 3)
    assert asked.empty()


@pytest.mark.django_db(transaction=True)
def test_after_a_failure_nothing_is_asked_for_a_while_though_more_was_seen_before(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REST_SECONDS", 600.0)
    asked: Queue[None] = Queue()
    rounds: Queue[None] = Queue()

    def failing(*_: object) -> list[Head]:
        asked.put(None)
        raise OperationalError("gone")

    enqueue("one")
    enqueue("two")
    with running(hand, threads=1, pulse=lambda: rounds.put(None)) as poller:
        hand.next()
        until(lambda: poller._more)
        monkeypatch.setattr(shares, "due", failing)
        hand.go_on.set()
        asked.get(timeout=30)
        before = rounds.qsize()
        until(lambda: poller._ring() or rounds.qsize() > before + 3)
    assert asked.empty()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a file does not go away")
def test_a_connection_that_was_lost_is_replaced(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "REST_SECONDS", 0.01)
    ends = iter(["SELECT pg_terminate_backend(pg_backend_pid())"])
    (job,) = enqueue("one")
    with running(hand, pulse=lambda: [direct.fetch(end) for end in ends]):
        assert hand.next() == job.id


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_a_free_thread_goes_on_to_say_that_it_is_there(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 0.02)
    said: Queue[None] = Queue()
    enqueue("one")
    with running(hand, threads=1, pulse=lambda: said.put(None)):
        hand.next()
        before = said.qsize()
        until(lambda: said.qsize() > before + 3)


@pytest.mark.django_db(transaction=True)
def test_a_worker_of_some_queues_leaves_the_wakes_of_others_to_others(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    rounds: Queue[None] = Queue()
    with (
        closing(wakes.Ear([SUMMARY.queue])) as other,
        running(hand, queues=[EVENT.queue], pulse=lambda: rounds.put(None)) as poller,
    ):
        rounds.get(timeout=30)
        wakes.publish("job", SUMMARY.name)
        until(lambda: poller._ring() or rounds.qsize() > 2)
        assert other.heard(1)


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_a_thread_to_spare_leaves_wakes_to_others(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    rounds: Queue[None] = Queue()
    enqueue("one")
    with running(hand, threads=1, pulse=lambda: rounds.put(None)) as poller:
        hand.next()
        before = rounds.qsize()
        until(lambda: poller._ring() or rounds.qsize() > before)
        before = rounds.qsize() + 1
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


@pytest.mark.parametrize("failure", [OperationalError("gone"), ValueError("a defect")])
@pytest.mark.django_db(transaction=True)
def test_a_job_that_could_not_be_begun_is_left_in_peace_though_more_wait(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    rounds: Queue[None] = Queue()
    tries: Queue[str] = Queue()

    def failing(head: Head) -> None:
        tries.put(head.job_id)
        raise failure

    for lane in range(3):
        enqueue(f"lane-{lane}")
    with running(failing, threads=1, pulse=lambda: rounds.put(None)) as poller:
        until(lambda: tries.qsize() == 1 and not poller._in_hand)
        seen = rounds.qsize()
        until(lambda: poller._ring() or rounds.qsize() > seen + 2)
    assert tries.qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_a_job_for_which_there_was_no_thread_is_begun_when_there_is_one(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch,
    no_thread: Callable[[str], None], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(polling, "REST_SECONDS", 0.01)
    (job,) = enqueue("one")
    hand.go_on.set()
    no_thread("job")
    with running(hand, threads=1):
        until(lambda: caplog.text.count("can't start new thread") > 1)
        no_thread("")
        assert hand.next() == job.id
        (another,) = enqueue("two")
        until(lambda: hand.next() == another.id)


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
def test_who_may_not_begin_looks_no_sooner_for_what_waits(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    looks: Queue[None] = Queue()
    rounds: Queue[None] = Queue()
    seen = shares.due
    monkeypatch.setattr(shares, "due", lambda *asked: looks.put(None) or seen(*asked))
    enqueue("one")
    pauses.pause("the key was refused", "auth", probing=False)
    with running(hand, pulse=lambda: rounds.put(None)) as poller:
        until(lambda: poller._ring() or rounds.qsize() > 5)
    assert looks.qsize() == 1


@pytest.mark.django_db(transaction=True)
def test_who_is_told_to_stop_begins_nothing_though_it_is_time_to_look(
    enqueue: Enqueue, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LOOK_SECONDS", 600.0)
    looked = threading.Event()
    monkeypatch.setattr(Poller, "_look", _telling(Poller._look, looked))
    with running(hand) as poller:
        assert looked.wait(30)
        enqueue("one")
        poller._next_look = 0.0
    assert hand.taken.empty()


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
    begun = [head.job_id for head in chosen(shares.due(QUEUES, 10, 10), (), 2)]
    assert begun == [live.id, bulk[3]]


@pytest.mark.django_db
def test_what_one_look_finds_is_of_each_team_in_its_turn(enqueue: Enqueue, polls: None) -> None:
    whose = {enqueue(f"{team}-{n}", team=team)[0].id: team
             for team in ("one", "other") for n in range(4)}  # fmt: skip
    found = [whose[head.job_id] for head in shares.due(QUEUES, 4, 10)]
    assert sorted(found) == ["one", "one", "other", "other"]


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


@pytest.mark.django_db
def test_of_those_that_have_a_limit_too_only_what_a_claim_would_take_is_due(
    enqueue: Enqueue, polls: None
) -> None:
    Share.objects.create(team_id="team", max_in_flight=1)
    (job,) = enqueue("lane")
    assert leases.claim(job.id, "somebody")
    assert due() == []
    past = datetime(2020, 1, 1, tzinfo=UTC)
    GenerationJob.objects.filter(state="processing").update(lease_until=past)
    assert due() == [job.id]
    assert shares.due([SUMMARY.name], 10, 10) == []
    team = Subject("team", "team")
    pauses.hold(team, "why not")
    assert due() == []
    pauses.resume(team)
    GenerationJob.objects.filter(pk=job.id).update(attempts=3, token=3)
    assert due() == []


@pytest.mark.django_db
def test_of_what_is_left_of_batches_within_limits_heads_alone_are_due_the_longest_silent_first(
    enqueue: Enqueue, polls: None
) -> None:
    """What came along cannot be claimed, and there may be more of it than threads."""
    Share.objects.create(team_id="team", max_in_flight=2)
    heads = [enqueue(lane, 3)[0].id for lane in ("one", "two")]
    for year, head in zip((2021, 2020), heads, strict=True):
        assert leases.claim(head, "somebody")
        past = datetime(year, 1, 1, tzinfo=UTC)
        GenerationJob.objects.filter(lane__jobs=head).update(lease_until=past)
    assert due() == heads[::-1]
    assert [head.job_id for head in shares.due(QUEUES, 1, 10)] == heads[1:]
    # Each once, where there is room for it as for any other.
    Share.objects.update(max_in_flight=3)
    assert sorted(due()) == sorted(heads)


@pytest.mark.django_db
def test_what_is_left_within_a_limit_is_due_before_the_backlog_of_others(
    enqueue: Enqueue, polls: None
) -> None:
    """Nothing else of its team may begin until it is taken over."""
    Share.objects.create(team_id="bound", max_in_flight=1)
    (left,) = enqueue("left", team="bound")
    for number in range(3):
        enqueue(f"{number} of others")
    assert leases.claim(left.id, "somebody")
    past = datetime(2020, 1, 1, tzinfo=UTC)
    GenerationJob.objects.filter(pk=left.id).update(lease_until=past)
    assert shares.due(QUEUES, 2, 10)[0].job_id == left.id
