"""Wakes: pipes in the data directory, which keep nobody and lose nothing that matters."""

import select
import time
from pathlib import Path

import pytest
from django.conf import LazySettings

from claudemem.datadir import DataDir
from queueing import wakes
from queueing.wakes import Ear
from tests.queueing.conftest import Enqueue


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings: LazySettings) -> Path:
    settings.DATA_DIR = DataDir(tmp_path)
    return tmp_path


def test_a_wake_is_heard_once_and_by_one_worker_alone() -> None:
    first, second = Ear(["event"]), Ear(["event"])
    wakes.publish("job", "event")
    assert [first.heard(4), second.heard(4), first.heard(4)] == [True, False, False]
    wakes.publish("job", "event")
    assert second.heard(4)
    first.close()
    second.close()


def test_a_wake_is_for_those_who_serve_its_queue() -> None:
    live, bulk = Ear(["event"]), Ear(["event-batch", "summary"])
    wakes.publish("job", "summary")
    assert not live.heard(4)
    assert bulk.heard(4)
    live.close()
    bulk.close()


def test_of_the_wakes_that_wait_each_worker_takes_what_it_has_threads_for() -> None:
    first, second = Ear(["event"]), Ear(["event"])
    for _ in range(3):
        wakes.publish("job", "event")
    assert first.heard(2)
    assert second.heard(2)
    assert not first.heard(2)
    first.close()
    second.close()


def test_a_pipe_is_silent_when_all_that_was_said_is_heard() -> None:
    ear = Ear(["event"])
    wakes.publish("job", "event")
    assert select.select(ear.ends, [], [], 30)[0] == ear.ends
    assert ear.heard(4)
    # An end of file would wake its worker for ever.
    assert select.select(ear.ends, [], [], 0)[0] == []
    ear.close()


def test_without_a_worker_a_wake_is_lost_and_nothing_waits_for_the_next_one(data: Path) -> None:
    wakes.publish("job", "event")
    assert not (data / "wake").exists()
    Ear(["event"]).close()
    wakes.publish("job", "event")
    ear = Ear(["event"])
    assert not ear.heard(4)
    ear.close()


def test_a_worker_that_reads_nothing_keeps_nobody_waiting() -> None:
    ear = Ear(["event"])
    started = time.perf_counter()
    for _ in range(100_000):
        wakes.publish("job", "event")
    assert time.perf_counter() - started < 60
    assert ear.heard(4)
    ear.close()


def test_where_there_can_be_no_pipes_workers_only_look(data: Path) -> None:
    (data / "wake").write_text("in the way")
    ear = Ear(["event"])
    assert ear.ends == []
    assert not ear.heard(4)
    wakes.publish("job", "event")


def test_another_file_in_the_place_of_a_pipe_is_left_alone(data: Path) -> None:
    (data / "wake").mkdir()
    (data / "wake" / "event").write_text("mine")
    assert Ear(["event", "summary"]).ends == Ear(["summary", "event"]).ends == []
    wakes.publish("job", "event")
    assert (data / "wake" / "event").read_text() == "mine"


def test_only_the_owner_may_wake_a_worker(data: Path) -> None:
    ear = Ear(["event"])
    assert (data / "wake").stat().st_mode & 0o777 == 0o700
    assert (data / "wake" / "event").stat().st_mode & 0o777 == 0o600
    ear.close()


@pytest.mark.django_db
def test_depth_is_what_a_worker_could_take(enqueue: Enqueue) -> None:
    enqueue("one", 3)
    enqueue("two")
    assert wakes.depths() == {"event": 2, "summary": 0, "event-batch": 0, "upkeep": 0}
