"""The worker's process, for each of the two engines: which threads it has, and how it is ended."""

import os
import signal
from collections.abc import Callable, Sequence
from socket import gethostname

from claudemem import alive, ending, settings, storechoice, stuck
from claudemem.interpreter import favour_writers, loading

# How a worker ends that is worn out, for whoever starts it again: the code of sysexits.h for "try
# again later".
WORN_OUT = 75
# After the last job was finished, so long (seconds) for upkeep that runs just then.
_LAST_WORDS = 2.0


def serve(queues: Sequence[str], threads: int | None, ready: Callable[[], None]) -> int:
    """Work the jobs of `queues` until a signal says stop; the exit code.

    `ready` is called when it begins.

    The first SIGTERM or SIGINT lets what is in hand be finished, within `settings.GRACE_SECONDS`,
    and gives back what is not; a second one does neither.
    """
    # With its tasks Celery would run Django's checks, which load the whole web: 20 MB, and half of
    # the time that it takes to start.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    from celery.signals import worker_ready

    favour_writers()
    worker_ready.connect(lambda **_: ready(), weak=False)
    stuck.end_if_silent(settings.HUNG_SECONDS)
    if settings.QUEUE_ENGINE == storechoice.DATABASE:
        code = _look(queues, threads or settings.CELERY_WORKER_CONCURRENCY)
    else:
        code = _listen(queues, threads)
    return code or (WORN_OUT if _worn_out() else 0)


def _worn_out() -> bool:
    from queueing.calls import calls

    return calls.told


def _end_when_worn_out() -> None:
    """End as a signal ends it, softly, when too many calls hang: whoever watches starts another."""
    from queueing.calls import calls

    calls.worn_out = lambda: os.kill(os.getpid(), signal.SIGTERM)


def _listen(queues: Sequence[str], threads: int | None) -> int:
    """Be a Celery worker."""
    from celery.worker import state

    from claudemem.celery import app
    from claudemem.pulse import Pulse

    class Worker(app.Worker):
        """One that signals end as they do the other engine's; to Celery's, SIGINT is a fault."""

        def install_platform_tweaks(self, worker: object) -> None:
            super().install_platform_tweaks(worker)
            _end_by_signal(lambda: setattr(state, "should_stop", 0))

    app.steps["consumer"].add(Pulse)
    # Not worker_main: the command line of Celery brings a shell and 20 MB along.
    with loading():
        process = Worker(
            # Several workers on a host must not share a name: Flower would see one of them.
            hostname=f"worker-{os.getpid()}@{gethostname()}",
            queues=",".join(queues),
            concurrency=threads,
            without_gossip=True,
            without_mingle=True,
            loglevel="WARNING",
            quiet=True,
            redirect_stdouts=False,
        )
    _end_when_worn_out()
    process.start()
    return int(process.exitcode or 0)


def _look(queues: Sequence[str], threads: int) -> int:
    """Be a worker that looks at the table; its tasks are those of the Celery app, called here."""
    import django

    with loading():
        django.setup()
        from celery.signals import worker_ready

        from claudemem.celery import app
        from queueing import kinds
        from queueing.canaries import Answering
        from queueing.polling import Poller
        from queueing.runner import WORKER
        from queueing.upkeep import Upkeep, entries

        app.loader.import_default_modules()
    touch, answer = alive.Touch(settings.ALIVE_FILE), Answering(queues, WORKER)

    def show_life() -> None:
        touch()
        answer()

    poller = Poller(
        queues,
        threads,
        lambda head: app.tasks[kinds.BY_NAME[head.kind].task](head.job_id),
        pulse=show_life,
    )
    due = entries(settings.CELERY_BEAT_SCHEDULE) if kinds.UPKEEP in queues else ()
    # A thread for each: what takes minutes, such as pruning, must not keep reconcile waiting.
    upkeep = [Upkeep([each], lambda name: app.tasks[name]()) for each in due]
    _end_by_signal(poller.stop)
    _end_when_worn_out()
    worker_ready.send(sender=poller)
    for each in upkeep:
        each.start()
    poller.run()
    for each in upkeep:
        each.stop(_LAST_WORDS)
    return 0


def _end_by_signal(stop: Callable[[], None]) -> None:
    from celery.signals import worker_shutting_down

    from queueing import stopping

    def told(order: ending.Order) -> None:
        worker_shutting_down.send(sender=stop, sig=order.number, how="Warm", exitcode=0)
        stop()

    ending.by_signal(told, grace=settings.GRACE_SECONDS, at_last=stopping.give_all_back)
