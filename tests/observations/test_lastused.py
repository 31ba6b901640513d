"""When a key was last used is known to the minute, and no request waits for that to be written."""

import logging
import threading
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from observations import keys, lastused
from observations.lastused import LastUsed
from observations.models import ApiKey, Team
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastused, "GATHER", 0.01)
    monkeypatch.setattr(lastused, "PAUSE", 0.01)
    monkeypatch.setattr(lastused, "LAST_PATIENCE", 30.0)


@pytest.fixture
def key(team: Team) -> str:
    return keys.create("k", ["*"], team=team).key.id


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Which keys each write was about."""
    stored: list[list[str]] = []
    real = lastused._store

    def store(used: dict[str, float]) -> None:
        stored.append(sorted(used))
        real(used)

    monkeypatch.setattr(lastused, "_store", store)
    return stored


def used_at(key_id: str) -> datetime | None:
    return ApiKey.objects.get(pk=key_id).last_used_at


def test_a_use_is_written_by_itself(key: str) -> None:
    uses = LastUsed()
    uses.seen(key)
    until(lambda: used_at(key))
    uses.finish()
    moment = used_at(key)
    assert moment
    assert abs(timezone.now() - moment) < timedelta(seconds=60)


def test_uses_within_a_minute_are_one_write(key: str, written: list[list[str]]) -> None:
    uses = LastUsed()
    for _ in range(3):
        uses.seen(key)
        uses.finish()
    assert written == [[key]]


def test_keys_that_are_used_together_are_written_together(
    team: Team, written: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lastused, "GATHER", 30.0)
    ids = [keys.create("k", ["*"], team=team).key.id for _ in range(5)]
    uses = LastUsed()
    for key_id in ids:
        uses.seen(key_id)
    assert not written
    uses.finish()
    assert written == [sorted(ids)]
    assert all(used_at(key_id) for key_id in ids)


def test_the_next_minute_is_written_again(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiKey.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    before = used_at(key)
    uses = LastUsed()
    uses.seen(key)
    uses.finish()
    after = used_at(key)
    assert before
    assert after
    assert after > before


def test_of_two_webs_one_writes(key: str) -> None:
    one, other = LastUsed(), LastUsed()
    one.seen(key)
    one.finish()
    moment = used_at(key)
    other.seen(key)
    other.finish()
    assert used_at(key) == moment


def test_no_request_waits_for_a_database_that_is_away(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    closed = threading.Event()
    closed.set()
    real = lastused._store

    writers: list[threading.Thread] = []

    def store(used: dict[str, float]) -> None:
        writers.append(threading.current_thread())
        if closed.is_set():
            raise OperationalError("database is locked")
        real(used)

    monkeypatch.setattr(lastused, "_store", store)
    uses = LastUsed()
    with caplog.at_level(logging.WARNING, logger="observations.lastused"):
        uses.seen(key)
        until(lambda: "waits for the database" in caplog.text)
    assert used_at(key) is None
    assert threading.current_thread() not in writers
    closed.clear()
    until(lambda: used_at(key))
    uses.finish()


def test_a_key_that_is_gone_is_no_matter(key: str, caplog: pytest.LogCaptureFixture) -> None:
    uses = LastUsed()
    uses.seen("gone")
    uses.seen(key)
    uses.finish()
    assert used_at(key)
    assert not caplog.messages


def test_what_cannot_be_written_in_time_is_said_at_the_end(
    key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lastused, "LAST_PATIENCE", 0.05)
    monkeypatch.setattr(lastused, "PAUSE", 30.0)
    going = threading.Event()

    def store(_: dict[str, float]) -> None:
        going.wait(30)
        raise OperationalError("the disk is full")

    monkeypatch.setattr(lastused, "_store", store)
    uses = LastUsed()
    uses.seen(key)
    uses.finish()
    going.set()
    assert "was not written" in caplog.text
    until(lambda: uses._used and "waits for the database" in caplog.text)
    uses._used.clear()  # or it is written in the middle of another test


def test_many_keys_take_no_more_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lastused, "MOST_KEYS", 10)
    uses = LastUsed()
    for number in range(25):
        uses.seen(str(number))
    assert len(uses._again) <= 10
    uses.finish()
