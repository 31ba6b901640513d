"""Worker and beat show that they are alive, from the very loops that could hang."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import beat, bootsteps

from claudemem import alive, settings
from claudemem.schedule import MOST_WAITING


def steady(began: datetime, at: float) -> Callable[[], datetime]:
    """A clock that said `began` when the monotonic one said `at`, and goes on with that one."""
    return lambda: began + timedelta(seconds=time.monotonic() - at)


class Scheduler(beat.Scheduler):
    """Beat's schedule, kept in memory. Nothing is sent to a queue that nobody serves.

    It goes by a clock that nobody puts back: by the host's nothing would be due for as long.
    """

    def __init__(self, app: Any, *args: Any, **kwargs: Any) -> None:
        self._touch = alive.Touch(settings.ALIVE_FILE)
        # What Celery asks for the time, all through its schedules.
        app.now = steady(datetime.now(UTC), time.monotonic())
        super().__init__(app, *args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; the seconds until it must be called again."""
        self._touch()
        delay: float = super().tick(*args, **kwargs)
        return delay

    def apply_async(self, entry: Any, producer: Any = None, **kwargs: Any) -> Any:
        """Send what is due, unless many of what was sent before wait still."""
        queue = entry.options["queue"]
        # That declares nothing: a queue of the store's is there as soon as something waits in it.
        waiting = producer.channel.queue_declare(queue=queue).message_count
        return super().apply_async(entry, producer, **kwargs) if waiting < MOST_WAITING else None


class Pulse(bootsteps.StartStopStep):
    """Part of the loop in which a worker takes messages; gone while it has no connection."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.enabled = bool(settings.ALIVE_FILE)
        self._entry: Any = None

    def start(self, consumer: Any) -> None:
        """Show life now, and again and again from the worker's timer."""
        alive.beat(settings.ALIVE_FILE)
        self._entry = consumer.timer.call_repeatedly(
            alive.PULSE_SECONDS, alive.beat, (settings.ALIVE_FILE,)
        )

    def stop(self, consumer: Any) -> None:  # noqa: ARG002
        """Show no more life."""
        if self._entry is not None:
            self._entry.cancel()
