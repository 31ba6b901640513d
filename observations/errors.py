"""What callers can do wrong, and what can be missing. Doors turn these into answers."""

from dataclasses import dataclass


class DomainError(Exception):
    """The root of this package's errors. The message is shown to the caller."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(DomainError):
    """A value that cannot be accepted; `path` leads to it from the top of the body."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class NotFound(DomainError):
    """Nothing of that name in the caller's scope."""


class Forbidden(DomainError):
    """It exists, or might, but is not the caller's to touch."""


class Conflict(DomainError):
    """It is in a state that does not allow what was asked."""


class Outdated(DomainError):
    """It was changed by somebody else since the caller saw it."""


class StorageAway(DomainError):
    """The database cannot be reached or is locked: nothing was stored, try again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many calls a key may make in a minute, how many of them are left, and until when.

    `reset` is when the next minute begins, in seconds since 1970.
    """

    most: int
    left: int
    reset: int


class RateLimited(DomainError):
    """A key made as many calls within its minute as it may; the next may come in `wait` seconds."""

    def __init__(self, rate: Rate, wait: int) -> None:
        super().__init__(f"Rate limit exceeded ({rate.most} requests / 60s)")
        self.rate = rate
        self.wait = wait


class QuotaExceeded(DomainError):
    """A team used as much of a kind in this month as it may. `rate`: its key's, if it has one."""

    def __init__(self, kind: str, used: int, cap: int, rate: Rate | None = None) -> None:
        super().__init__(f"Monthly {kind} quota reached ({cap})")
        self.kind = kind
        self.used = used
        self.cap = cap
        self.rate = rate
