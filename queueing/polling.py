"""The database engine's worker: it looks for heads that may run, and its threads work them.

One thread looks: when it is woken (`wakes`), when a thread is done and more was seen to wait, and
otherwise every quarter of a second, so that nothing waits longer for want of a wake. What it finds
is only a guess, for other workers look too: the claim decides who works what.
"""

import logging
import selectors
import socket
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from queueing import faults, kinds, pauses, shares
from queueing.lulls import lull
from queueing.outbox import Head
from queueing.pauses import Gate
from queueing.wakes import Ear

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
# So many heads for each thread are looked at, those that waited longest. Where so many wait, any of
# them may be the next: workers that all began with the very first would claim the same ones.
WINDOW = 4
# So long nothing is asked of a database that failed.
REST_SECONDS = 1.0


def chosen(due: Iterable[Head], in_hand: Collection[str], free: int) -> list[Head]:
    """What to begin with, of heads that are due: `free` at most, none that is `in_hand`. Pure."""
    return [head for head in due if head.job_id not in in_hand][:free]


class Poller:
    """Works what is due in `queues`, on so many `threads`, until it is told to stop.

    `work` does what there is to do with a head, `pulse` is called again and again while all is
    well.
    """

    def __init__(
        self,
        queues: Sequence[str],
        threads: int,
        work: Callable[[Head], object],
        *,
        pulse: Callable[[], object] = lambda: None,
    ) -> None:
        self._kinds = [kind.name for kind in kinds.ALL if kind.queue in queues]
        # What wakes the workers of all teams is not to be taken from them.
        heard = () if settings.ONLY_TEAM else queues
        self._ear = Ear(kind.queue for kind in kinds.ALL if kind.queue in heard)
        self._threads = threads
        self._work = work
        self._pulse = pulse
        self._in_hand: set[str] = set()
        self._stopping = False
        self._more = False
        self._next_look = 0.0
        self._failing = False
        # Who rings it never waits: not the code that a signal interrupts, and no thread.
        self._bell, self._button = socket.socketpair()
        for end in (self._bell, self._button):
            end.setblocking(False)

    def run(self) -> None:
        """Work until `stop`, and then until nothing is in hand."""
        # A worker without a thread to spare leaves the wakes to others.
        with (
            closing(self._ear),
            self._bell,
            self._button,
            closing(connection),
            selectors.DefaultSelector() as busy,
            selectors.DefaultSelector() as idle,
            ThreadPoolExecutor(self._threads, thread_name_prefix="job") as pool,
        ):
            busy.register(self._bell, selectors.EVENT_READ)
            idle.register(self._bell, selectors.EVENT_READ)
            for end in self._ear.ends:
                idle.register(end, selectors.EVENT_READ)
            while not self._stopping:
                if self._free:
                    self._await(idle, 0.0 if self._more else self._next_look - time.monotonic())
                else:
                    self._await(busy, LOOK_SECONDS)
                self._round(pool)
            while self._in_hand:
                self._await(busy, LOOK_SECONDS)

    def stop(self) -> None:
        """Have `run` begin nothing more, and return when what is in hand is done."""
        self._stopping = True
        self._ring()

    @property
    def _free(self) -> int:
        return self._threads - len(self._in_hand)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        try:
            self._pulse()
            if self._is_time():
                self._look(pool)
        except (OperationalError, InterfaceError) as error:
            lull.seen(error)
            if not self._failing:
                log.warning("the database failed, it is asked until it answers: %s", error)
            self._failing = True
            self._rest()
        except Exception:
            # Whatever it was, the next look may go well; nothing may stop this thread.
            log.exception("nothing could be looked for")
            self._rest()
        finally:
            close_old_connections()

    def _is_time(self) -> bool:
        if not self._free or self._stopping:
            return False
        woken = self._ear.heard(self._free) and not self._failing
        return woken or self._more or time.monotonic() >= self._next_look

    def _look(self, pool: ThreadPoolExecutor) -> None:
        """Begin with what is due, as far as there are threads."""
        self._next_look = time.monotonic() + LOOK_SECONDS
        # Before the look: who lets go of a head while it lasts may have been seen with it as due.
        in_hand = frozenset(self._in_hand)
        due = shares.due(self._kinds, self._threads + 1, WINDOW * self._threads)
        if self._failing:
            log.info("the database answers again")
            self._failing = False
        free = self._free
        heads = chosen(due, in_hand, free + 1)
        if heads:
            gate = pauses.gate()
            free = {Gate.OPEN: free, Gate.PROBE: min(free, 1), Gate.SHUT: 0}[gate]
        # Only behind an open gate: who probes is told by the next look what came of it.
        self._more = bool(heads) and gate is Gate.OPEN and len(heads) > free
        for head in heads[:free]:
            self._begin(head, pool)

    def _begin(self, head: Head, pool: ThreadPoolExecutor) -> None:
        self._in_hand.add(head.job_id)
        try:
            pool.submit(self._do, head)
        except RuntimeError:
            # The system starts no more threads; the pool has the head all the same, and will do it
            # when it has one. Here it is due still: whoever comes second finds that it is worked.
            self._in_hand.discard(head.job_id)
            raise

    def _do(self, head: Head) -> None:
        try:
            self._work(head)
        except (OperationalError, InterfaceError) as error:
            log.warning("job %s was left as it was, the database failed: %s", head.job_id, error)
            self._more = False
            if faults.is_closed(error):
                self._rest()
        except Exception:
            log.exception("job %s was left as it was", head.job_id)
            self._more = False
        finally:
            self._in_hand.discard(head.job_id)
            self._ring()

    def _await(self, selector: selectors.BaseSelector, seconds: float) -> None:
        """Wait for what the selector knows, or so long."""
        selector.select(max(0.0, seconds))
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def _rest(self) -> None:
        self._more = False
        self._next_look = time.monotonic() + REST_SECONDS

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or nobody is there any more
            self._button.send(b"\0")
