"""The faults: what is done to a scene, each noted with the jobs that it touched."""

import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing

from queueing.pids import Mark, mark
from tests.benchmarks.rows import Postgresql
from tests.benchmarks.scene import Program, Scene, now
from tests.stack import SHORT_LEASES
from tests.stores import kept

LEASE = float(SHORT_LEASES["CLAUDE_MEM_LEASE_SECONDS"])
Strike = Callable[[Scene], None]


def kill(scene: Scene) -> None:
    """kill -9 of a worker that is at work; another is started in its place."""
    worker = busy(scene)
    pid, since = worker.pid, now()
    worker.replace(signal.SIGKILL)
    scene.struck("worker killed", scene.held_by(pid), since)


def stop(scene: Scene) -> None:
    """A worker stands still for longer than its leases, then goes on as if nothing had been."""
    worker = busy(scene)
    stopped = mark(worker.pid)
    scene.stopped.add(stopped.pid)
    since = now()
    stopped.signal(signal.SIGSTOP)
    scene.struck("worker stopped", scene.held_by(stopped.pid), since)
    timer = threading.Timer(LEASE + 1.5, _go_on, [scene, stopped])
    timer.start()
    scene.timers.append(timer)


def _go_on(scene: Scene, stopped: Mark) -> None:
    stopped.signal(signal.SIGCONT)
    scene.stopped.discard(stopped.pid)
    scene.note(f"worker {stopped.pid} goes on")


def busy(scene: Scene) -> Program:
    """A worker that has something in hand, as soon as there is one; any if all is done."""

    def found() -> list[Program]:
        running = [worker for worker in scene.workers if worker.pid not in scene.stopped]
        at_work = [worker for worker in running if scene.held_by(worker.pid)]
        return at_work or ([] if scene.open_jobs() else running)

    return scene.chance.choice(scene.until(found))


def kill_store(scene: Scene) -> None:
    """kill -9 of the queue store; it is back within a second, with what it had written."""
    process = kept(scene.data.root).process()
    assert process is not None
    since = now()
    process.signal(signal.SIGKILL)
    touched = scene.waiting_heads()
    time.sleep(scene.chance.uniform(0.1, 1.0))
    kept(scene.data.root).start(may_move=False)
    scene.struck("store killed", touched, since)


def flush(scene: Scene) -> None:
    """Everything in the queue store is deleted."""
    import redis

    since = now()
    with closing(redis.Redis.from_url(kept(scene.data.root).url)) as client:
        client.flushall()
    scene.struck("store flushed", scene.waiting_heads(), since)


def kill_database(scene: Scene) -> None:
    """kill -9 of all of PostgreSQL; the next wave comes while it is down."""
    touched, since = scene.in_hand(), now()
    back_in = scene.chance.uniform(0.1, 3.0)
    _postgresql(scene).kill(back_in, lambda: scene.note("database takes connections again"))
    scene.struck("database killed", touched, since)


def restart_database(scene: Scene) -> None:
    """PostgreSQL ends all connections, stops and starts, as at an upgrade."""
    touched, since = scene.in_hand(), now()
    _postgresql(scene).restart()
    scene.struck("database restarted", touched, since)


def _postgresql(scene: Scene) -> Postgresql:
    assert isinstance(scene.rows, Postgresql)
    return scene.rows
