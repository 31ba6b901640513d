"""Beat sends what is due, and not for ever to nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from django.conf import settings

from claudemem import pulse
from claudemem.schedule import MOST_WAITING
from tests.stores import kept

pytestmark = pytest.mark.once

QUEUE = "upkeep"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    store = kept(tmp_path)
    store.start()
    schedule = {"often": {"task": "something", "schedule": 0.0, "options": {"queue": QUEUE}}}
    app = Celery("beat", broker=store.url, amqp="queueing.transport:AMQP", set_as_current=False)
    app.conf.update(beat_schedule=schedule, task_queues={QUEUE: {}}, task_default_queue=QUEUE)
    yield app
    app.close()
    store.stop()


def test_nothing_that_is_due_ends_by_the_clock_of_beat() -> None:
    """Which stands still while a laptop sleeps: from then on all would come too late."""
    assert settings.CELERY_BEAT_SCHEDULE
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert "expires" not in entry["options"]


def test_what_nobody_takes_does_not_pile_up(app: Celery) -> None:
    scheduler = pulse.Scheduler(app=app)
    with redis.Redis.from_url(app.conf.broker_url) as client:
        for _ in range(MOST_WAITING + 20):
            scheduler.tick()
        assert client.llen(QUEUE) == MOST_WAITING
        client.ltrim(QUEUE, 0, 9)
        scheduler.tick()
        assert client.llen(QUEUE) == 11
    scheduler.close()
