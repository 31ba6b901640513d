"""SQLite's time: counted from the start of the machine, whatever the clock on the wall says."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib import admin
from django.db import connection

from queueing import clock, direct, leases, pauses
from queueing.admin.pauses import PauseAdmin
from queueing.canaries import latest
from queueing.clock import Clock
from queueing.direct import fetch
from queueing.models import Boot, Canary, GenerationJob, Lane, Pause
from tests.queueing.conftest import Enqueue

pytestmark = pytest.mark.django_db

HOUR = 3600.0
Move = Callable[[float], None]
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL has a clock")


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Move:
    """Moves the wall clock of this process, whose view of the time is a fresh one."""
    real = time.time
    fresh = Clock()
    for module in (clock, direct):
        monkeypatch.setattr(module, "clock", fresh)
    return lambda off: monkeypatch.setattr(time, "time", lambda: real() + off)


def begin_waits(enqueue: Enqueue) -> str:
    """Have something wait for each kind of moment that there is; the job that is worked."""
    held, delayed = (enqueue(lane)[0].id for lane in ("held", "delayed"))
    assert leases.claim(held, "worker")
    lease = leases.claim(delayed, "worker")
    assert lease
    leases.reschedule(lease, 100.0, {"reason": "busy"})
    pauses.pause("no key", "auth", probing=False)
    Canary.objects.create(queue="event", sent_at=direct.now())
    return held


def left() -> list[float]:
    """How many seconds it is from now to each of these moments."""
    now = direct.now()
    jobs = GenerationJob.objects.order_by("lane")
    ages = [canary.age or 0.0 for canary in latest()]
    paused = pauses.current()
    moments = [
        *(job.lease_until or job.due_at for job in jobs),
        *(lane.woken_at or now for lane in Lane.objects.order_by("id")),
    ]
    waits = [(moment - now).total_seconds() for moment in moments]
    return [*waits, *ages, paused.left if paused else 0.0]


def off(moment: datetime) -> float:
    """How far a moment is from the real one."""
    return (moment - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize("hours", [-1, 1])
def test_the_databases_time_does_not_follow_the_wall(wall: Move, hours: int) -> None:
    assert abs(off(direct.now())) < 1
    wall(hours * HOUR)
    assert abs(off(direct.now())) < 1


def test_its_text_is_the_time_to_the_millisecond() -> None:
    ours = Clock()
    for _ in range(200):
        before, text, after = ours.now(), ours.text(), ours.now()
        said = datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f000").replace(tzinfo=UTC)
        assert before - timedelta(milliseconds=1) < said <= after
        ours.set((before - timedelta(seconds=clock.since_boot())).timestamp() + 0.037)


@on_sqlite
def test_whoever_comes_after_a_jump_goes_by_the_time_of_the_others(
    wall: Move, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.anchor()
    wall(HOUR)
    late = Clock()
    assert off(late.now()) > HOUR - 1
    monkeypatch.setattr(direct, "clock", late)
    with caplog.at_level(logging.WARNING):
        fetch("SELECT 1")
    assert abs(off(late.now())) < 1
    assert "the host's clock was moved by +3600 s" in caplog.text


@on_sqlite
def test_the_start_of_a_machine_is_written_down_once(wall: Move) -> None:
    clock.anchor()
    wall(HOUR)
    clock.anchor()
    (boot,) = Boot.objects.all()
    assert abs(boot.started + clock.since_boot() - (time.time() - HOUR)) < 1


@on_sqlite
@pytest.mark.parametrize("hours", [-1, 1])
def test_at_a_start_the_clock_is_set_right_and_what_waits_goes_along(
    wall: Move, enqueue: Enqueue, published: list[str], hours: int
) -> None:
    clock.anchor()
    held = begin_waits(enqueue)
    before = left()
    wall(hours * HOUR)
    assert abs(clock.set_right() - hours * HOUR) < 1
    assert abs(off(direct.now()) - hours * HOUR) < 1
    assert left() == pytest.approx(before, abs=2)
    assert leases.claim(held, "another") is None
    assert clock.set_right() == 0.0


@on_sqlite
def test_what_an_earlier_boot_wrote_whose_clock_was_ahead_waits_no_longer_for_it(
    wall: Move, enqueue: Enqueue, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wall(24 * HOUR)
    clock.anchor()
    clock.clock.set(Boot.objects.get().started)
    begin_waits(enqueue)
    before = left()
    wall(0)
    monkeypatch.setattr(clock, "machine", lambda: "the same after a start")
    assert abs(clock.set_right() + 24 * HOUR) < 1
    assert abs(off(direct.now())) < 1
    assert left() == pytest.approx(before, abs=2)
    assert clock.set_right() == 0.0


@on_sqlite
def test_a_database_without_that_table_goes_by_the_wall_as_it_was(wall: Move) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE queueing_boot RENAME TO elsewhere")
        assert fetch("SELECT 1") == [(1,)]
        cursor.execute("ALTER TABLE elsewhere RENAME TO queueing_boot")
    assert abs(direct.now() - datetime.now(UTC)) < timedelta(seconds=1)


@on_sqlite
def test_the_admin_tells_by_that_clock_whether_a_pause_waits_to_be_tried(wall: Move) -> None:
    pauses.pause("the key was refused", "auth", probing=False)
    page = PauseAdmin(Pause, admin.site)
    assert "paused" in page.shown_state(Pause.objects.get())
    direct.clock.set(time.time() - clock.since_boot() + HOUR)
    assert "trying" in page.shown_state(Pause.objects.get())
