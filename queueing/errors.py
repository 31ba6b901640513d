"""What can go wrong with jobs. Each error says what happened, to what, and what to do."""


class QueueingError(Exception):
    """The root of this package's errors."""


class LeaseLost(QueueingError):
    """A job was cancelled, forgotten or taken over while it was being worked.

    Whatever was made of it must be dropped: the transaction that settles it is rolled back.
    """

    def __init__(self, job_ids: tuple[str, ...]) -> None:
        super().__init__(
            f"the lease on {', '.join(job_ids)} was lost (cancelled, forgotten or taken over by "
            "another worker); its result is dropped"
        )
        self.job_ids = job_ids


class QueueStoreAway(QueueingError):
    """The queue store could not take a message. The row is durable; reconcile publishes it.

    `plainly` says the same to whoever may not know where anything is.
    """

    def __init__(self, said: str, plainly: str = "") -> None:
        super().__init__(said)
        self.plainly = plainly or said


class JobNotFound(QueueingError):
    """No such job in the caller's scope."""


class JobConflict(QueueingError):
    """The job is in a state that does not allow what was asked; the message says which."""


class UnknownSubject(QueueingError):
    """There is nothing of this name that could be paused; the message says what there is."""


class NoThread(QueueingError):
    """The system starts no more threads. What one was wanted for has not begun, and may later."""


class JobFailed(Exception):
    """Working a job failed. Raised by handlers; `retry.decide` says what follows.

    `reason` is for people, `classification` one word for programs, `transient` whether another
    attempt can succeed, `retry_after` the least number of seconds to wait before it, if known.
    `pauses`: every other job would fail alike, so that nothing is worked for a while; it is no
    fault of the job, which loses no attempt. `cost` is for whoever accounts for it.
    """

    def __init__(
        self,
        reason: str,
        *,
        classification: str,
        transient: bool,
        retry_after: float | None = None,
        pauses: bool = False,
        cost: object = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.classification = classification
        self.transient = transient
        self.retry_after = retry_after
        self.pauses = pauses
        self.cost = cost
