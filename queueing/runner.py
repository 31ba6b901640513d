"""Run jobs: claim → prepare → perform → settle, and on with the lane until its quantum is used.

This is the worker's door: whatever a handler raises ends here, in the job's row.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections

from queueing import faults, identity, leases, outbox, pauses, retry, shares, stopping
from queueing.calls import Hung, calls
from queueing.debts import debts
from queueing.errors import JobFailed, LeaseLost, NoThread
from queueing.heartbeat import heartbeat
from queueing.leases import Details, Job, Lease, Settled
from queueing.lulls import lull
from queueing.outages import outlasted
from queueing.outbox import Head
from queueing.pauses import Gate

log = logging.getLogger(__name__)

WORKER = str(identity.mine())


# Held by the one turn of this process that may have a job at its last chance in hand. A job that
# takes its worker down takes all others of that worker along: at their last chance it must not be
# another's doing that they are given up.
_at_last = threading.Lock()


# Writes down what `perform` cost, which returned this or raised it, whatever becomes of the jobs.
Account = Callable[[Sequence[Job], Any], None]


def _for_nothing(_: Sequence[Job], __: Any) -> None:
    """Where no work costs anything."""


class Handler(Protocol):
    """What is done with jobs of some kind; the only thing that knows what they are about."""

    def prepare(self, jobs: Sequence[Job]) -> Any:
        """Read what the work needs. Raises JobFailed if it cannot be done."""

    def perform(self, work: Any, timeout: float) -> Any:
        """Do the work within `timeout` seconds, without the database. Raises JobFailed."""

    def store(self, jobs: Sequence[Job], result: Any) -> Details:
        """Write what came of it, inside the settling transaction; notes for the history."""


_NONE: Mapping[str, Handler] = MappingProxyType({})


@dataclass
class _Quantum:
    jobs: int
    ends_at: float
    task: str
    account: Account
    probing: bool = False
    at_last: bool = False

    def takes_the_last(self) -> bool:
        """Whether this turn may take a job at its last chance; if so no other may, to its end."""
        self.at_last = self.at_last or _at_last.acquire(blocking=False)
        return self.at_last

    def end(self) -> None:
        """Let another turn have such a job."""
        if self.at_last:
            _at_last.release()

    def answered(self) -> None:
        """What was paused works again, if it was to be tried.

        Where that cannot be written the turn goes on all the same: its next answer says it again.
        """
        if not self.probing:
            return
        try:
            pauses.lift()
        except (OperationalError, InterfaceError) as error:
            log.warning("the pause could not be lifted: %s", error)
            close_old_connections()
        else:
            self.probing = False

    def spend(self, jobs: int) -> bool:
        """Whether the lane may go on after `jobs` more."""
        self.jobs -= jobs
        return self.jobs > 0 and time.monotonic() < self.ends_at


def run(
    job_id: str,
    handler: Handler,
    *,
    beside: Mapping[str, Handler] = _NONE,
    task: str = "",
    account: Account = _for_nothing,
) -> int:
    """Work the job and those behind it in its lane, until the lane is idle or its turn is over.

    Returns how many jobs were settled. A message that comes twice, late or out of turn does
    nothing. Where others have the turn it is a job of theirs: of the same kind, or of one that is
    served `beside` it, with the handler of that. `task` is the message's own id: with each claim it
    is written into the history, which leads from a job to what Celery knows of its working.
    `account` is called after each call, in no transaction; where the database cannot take it then,
    again when it can.
    """
    try:
        close_old_connections()
        ends_at = time.monotonic() + settings.QUANTUM_SECONDS
        quantum = _Quantum(settings.QUANTUM_JOBS, ends_at, task, account)
        return _run(job_id, handler, beside, quantum)
    except (OperationalError, InterfaceError) as error:
        lull.seen(error)
        raise
    finally:
        close_old_connections()


def _run(job_id: str, handler: Handler, beside: Mapping[str, Handler], quantum: _Quantum) -> int:
    try:
        lease = _begin(job_id, beside, quantum)
        return _turn(lease, beside.get(lease.head.kind, handler), quantum) if lease else 0
    finally:
        quantum.end()


def _turn(first: Lease, handler: Handler, quantum: _Quantum) -> int:
    """Work a lane, from its first lease on; all jobs of a turn are of one kind."""
    settled = 0
    lease: Lease | None = first
    while lease:
        outcome = _step(lease, handler, quantum)
        debts.pay()
        settled += len(lease.jobs)
        if outcome.lease:
            shares.begun(outcome.lease.head)
        else:
            _pass_on(lease.head, outcome.head)
        lease = outcome.lease
    return settled


def _pass_on(ended: Job, head: Head | None) -> None:
    """Let others know of what may run since the lease ended. Reconcile makes up for failures."""
    try:
        outbox.nudge(shares.passed_on(ended, head))
    except (OperationalError, InterfaceError) as error:
        log.warning(
            "nothing was sent when job %s was done, the database failed: %s", ended.id, error
        )
        close_old_connections()


def _begin(job_id: str, kinds: Iterable[str], quantum: _Quantum) -> Lease | None:
    """The lease to begin with, unless there is a pause; at its end one job is let through."""
    if stopping.begun.is_set():
        stopping.pass_on(job_id)
        return None
    gate = pauses.gate()
    if gate is Gate.SHUT:
        return None
    lease = _claimed(job_id, kinds, quantum)
    if lease and gate is Gate.PROBE and not _is_the_probe(lease, quantum):
        return None
    return lease


def _claimed(job_id: str, kinds: Iterable[str], quantum: _Quantum) -> Lease | None:
    """A lease of the head whose turn it is, if there is one to be had."""
    heartbeat.await_others()
    for head in shares.candidates(job_id, kinds):
        if heartbeat.holds(head):
            continue  # its lease ran out while this process stood still: it is renewed in a moment
        lease = leases.claim(
            head,
            WORKER,
            task=quantum.task,
            limited=shares.is_limited(),
            at_last=quantum.takes_the_last,
        )
        if lease:
            shares.begun(lease.head)
            return lease
    return None


def _is_the_probe(lease: Lease, quantum: _Quantum) -> bool:
    """Whether this job is the one that is let through; if it is not, it is given back."""
    try:
        quantum.probing = pauses.probe()
        if not quantum.probing:
            leases.release(lease)
    except (OperationalError, InterfaceError) as error:
        log.exception("the database failed when job %s was about to be worked", lease.head.id)
        quantum.probing = False
        _give_back(lease, error)
    return quantum.probing


def _step(lease: Lease, handler: Handler, quantum: _Quantum) -> Settled:
    """Work one lease; what follows. A lease that was lost ends the turn: another has the lane."""
    try:
        if stopping.begun.is_set():
            # Claimed at the very moment, or to be tried alone: no call is begun any more.
            stopping.give_back(lease, "its worker was stopped before the work began")
            return Settled()
        settled = _work(lease, handler, quantum)
        quantum.answered()
        return settled
    except JobFailed as error:
        if error.pauses:
            return _paused(lease, quantum, error)
        if not error.transient:
            quantum.answered()
        return _failed(lease, handler, quantum, error)
    except LeaseLost as error:
        log.info("%s", error)
        leases.release(lease)
    except (OperationalError, InterfaceError) as error:
        log.exception("the database failed while job %s was worked", lease.head.id)
        _give_back(lease, error)
    except NoThread as error:
        log.error("job %s was not begun: %s", lease.head.id, error)
        _give_back(lease, error)
    except Exception as error:  # a row that the database refuses is one too
        log.exception("job %s met a defect", lease.head.id)
        return _failed(lease, handler, quantum, _defect(error, handler))
    return Settled()


def _give_back(lease: Lease, failure: Exception) -> None:
    """Not to be worked at once, and ever later: what lasts would be paid for again and again.

    A database that was lost is no fault of the job's, which waits for it only a little; and so does
    one that this process has no thread for. Such a database is waited for: a job that could not be
    given back would have lost an attempt.
    """
    times = lease.head.token - lease.head.attempts + 1
    delay = (
        retry.respite(times, _jitter())
        if isinstance(failure, NoThread) or faults.is_outage(failure)
        else retry.backoff(times, settings.RETRY_BASE_SECONDS, _jitter())
    )
    close_old_connections()
    try:
        outlasted(lambda: leases.release(lease, delay=delay))
    except (OperationalError, InterfaceError) as error:
        # Whoever finds the lease expired takes it over.
        log.warning("job %s could not be given back: %s", lease.head.id, error)


def _work(lease: Lease, handler: Handler, quantum: _Quantum) -> Settled:
    go_on = quantum.spend(len(lease.jobs))
    ends_at = time.monotonic() + settings.CALL_SECONDS
    with heartbeat.keeping(lease, settings.CALL_SECONDS):
        work = handler.prepare(lease.jobs)
        # Back into the pool, where there is one: many more calls than connections may be in flight.
        close_old_connections()
        result = _paid(lease, handler, work, ends_at - time.monotonic(), quantum.account)
        return _settled(lease, lambda: handler.store(lease.jobs, result), quantum, go_on=go_on)


def _settled(
    lease: Lease, store: Callable[[], Details], quantum: _Quantum, *, go_on: bool
) -> Settled:
    """What follows the settlement, though its answer may be lost. Raises LeaseLost."""
    try:
        return outlasted(
            lambda: leases.settle(
                lease,
                store,
                worker=WORKER,
                task=quantum.task,
                go_on=go_on and not stopping.begun.is_set() and shares.may_go_on(lease.head),
            )
        )
    except LeaseLost:
        followed = outlasted(lambda: leases.settled_before(lease, WORKER))
        if followed is None:
            raise
        return followed


def _paid(lease: Lease, handler: Handler, work: Any, timeout: float, account: Account) -> Any:
    """What the handler made of it, after it was accounted for. Raises JobFailed."""
    try:
        outcome = _performed(handler, work, timeout)
    except JobFailed as error:
        _accounted(lease, error, account)
        raise
    _accounted(lease, outcome, account)
    return outcome


def _accounted(lease: Lease, outcome: Any, account: Account) -> None:
    """A database that cannot take it now must not have the work done, and paid, again."""
    debts.settle(f"what was paid for job {lease.head.id}", lambda: account(lease.jobs, outcome))


def _performed(handler: Handler, work: Any, timeout: float) -> Any:
    """What the handler made of it. Raises JobFailed, as for anything that may pass, if it hangs.

    A handler that keeps its time says itself why it gave up, so it has a heartbeat longer: the
    lease, renewed until the timeout, outlasts that by another two.
    """
    try:
        patience = timeout + settings.HEARTBEAT_SECONDS
        return calls.within(patience, lambda: handler.perform(work, timeout))
    except Hung:
        raise JobFailed(
            f"the call did not end within {settings.CALL_SECONDS:g} s, and was left behind",
            classification="hung",
            transient=True,
        ) from None


def _defect(error: Exception, handler: Handler) -> JobFailed:
    # Not its message: that may hold a piece of a payload.
    reason = f"{type(error).__name__} in {handler.__class__.__name__}; see the worker's log"
    return JobFailed(reason, classification="unknown", transient=False)


def _paused(lease: Lease, quantum: _Quantum, error: JobFailed) -> Settled:
    """It would be the same for every job: all wait, with their attempts."""
    log.warning("work pauses: %s", error.reason)
    outlasted(lambda: pauses.pause(error.reason, error.classification, probing=quantum.probing))
    outlasted(lambda: leases.release(lease, note=_note(error)))
    return Settled()


def _failed(lease: Lease, handler: Handler, quantum: _Quantum, error: JobFailed) -> Settled:
    """Followers go back with their attempt; the head is tried alone, later, or never again."""
    if followers := lease.followers:
        outlasted(lambda: leases.release(followers))
        if not error.transient:
            return _step(lease.alone, handler, quantum)
    head = lease.head
    verdict = retry.decide(
        error,
        head.attempts,
        head.max_attempts,
        base=settings.RETRY_BASE_SECONDS,
        jitter=_jitter(),
    )
    note = _note(error)
    try:
        if isinstance(verdict, retry.Retry):
            delay = verdict.delay
            outlasted(lambda: leases.reschedule(lease.alone, delay, note))
            return Settled()
        log.warning("job %s failed for good: %s", head.id, error.reason)
        return Settled(head=outlasted(lambda: leases.bury(lease.alone, note)))
    except LeaseLost as lost:
        log.info("%s", lost)
        return Settled()


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311


def _note(error: JobFailed) -> Mapping[str, Any]:
    return {"reason": error.reason, "classification": error.classification}
