"""An answer waits a moment for its entry in the audit, and never for a locked database."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from observations import audit, entries, readings
from observations.audit import Row
from observations.models import AuditEntry
from observations.readings import Readings
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = {"source": "http", "api_key_id": "key-1", "request_id": "request-1"}


def read(count: int = 1) -> entries.Entry:
    return entries.read("search", "team", "project", ORIGIN, resultCount=count)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """While it is set the database takes no entries, as one that is locked."""
    closed = threading.Event()
    real = audit.insert

    def insert(rows: list[Row]) -> None:
        if closed.is_set():
            raise OperationalError("database is locked")
        real(rows)

    monkeypatch.setattr(audit, "insert", insert)
    monkeypatch.setattr(readings, "PAUSE", 0.01)
    yield closed
    closed.clear()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    with caplog.at_level(logging.WARNING, logger="observations.readings"):
        yield lambda: caplog.text


def test_the_entry_is_there_when_the_answer_leaves() -> None:
    for number in range(3):
        Readings().record(read(number))
        assert AuditEntry.objects.count() == number + 1
    row = AuditEntry.objects.first()
    assert row
    assert (row.action, row.resource_type) == ("observation.read", "observation")
    assert (row.team_id, row.project_id, row.api_key_id) == ("team", "project", "key-1")
    assert row.details == {"mode": "search", "resultCount": 2, "requestId": "request-1"}


def test_many_readers_at_once_are_all_entered() -> None:
    log = Readings()

    def answer(number: int) -> None:
        log.record(read(number))
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(answer, range(100)))
    assert AuditEntry.objects.count() == 100


def test_a_reader_in_a_transaction_is_entered_in_that_one() -> None:
    with transaction.atomic():
        Readings().record(read())
        assert AuditEntry.objects.count() == 1
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


@pytest.mark.usefixtures("in_earnest")
def test_an_answer_does_not_wait_for_a_locked_database_and_its_entry_follows(
    away: threading.Event, log: Callable[[], str]
) -> None:
    away.set()
    begun = time.monotonic()
    recorded = Readings()
    recorded.record(read(7))
    assert time.monotonic() - begun < 20 * readings.PATIENCE
    assert not AuditEntry.objects.exists()
    assert "answered before its audit entry could be written" in log()
    assert "search, 7 shown) by key key-1, request request-1" in log()
    away.clear()
    until(lambda: AuditEntry.objects.count() == 1)
    # With the time at which it was read, in the order of reading.
    recorded.record(read(8))
    assert [row.details["resultCount"] for row in AuditEntry.objects.order_by("id")] == [7, 8]


def test_what_still_waits_as_the_web_ends_is_written_or_counted_in_the_log(
    away: threading.Event, log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "PATIENCE", 0.01)
    away.set()
    recorded = Readings()
    recorded.record(read())
    monkeypatch.setattr(readings, "LAST_PATIENCE", 0.01)
    recorded.finish()
    assert "1 audit entries of reads were not written" in log()
    monkeypatch.setattr(readings, "LAST_PATIENCE", 15.0)
    away.clear()
    recorded.finish()
    assert AuditEntry.objects.count() == 1


def test_no_more_wait_than_fit_and_who_does_not_is_told_in_the_log(
    away: threading.Event, log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "MOST_WAITING", 2)
    monkeypatch.setattr(readings, "PATIENCE", 0.01)
    away.set()
    recorded = Readings()
    for number in range(3):
        recorded.record(read(number))
    assert "not entered in the audit, too many wait for the database" in log()
    away.clear()
    until(lambda: AuditEntry.objects.count() == 2)


def test_an_entry_that_no_table_takes_stops_no_other(
    log: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Readings()
    orphan = entries.read("search", None, "project", ORIGIN)
    recorded.record(orphan)
    recorded.record(read())
    assert "1 audit entries of reads could not be written" in log()
    assert AuditEntry.objects.count() == 1
