"""When a failed job is tried again. Pure arithmetic on values: `jitter` is an argument."""

import math
from dataclasses import dataclass

from queueing.errors import JobFailed

LONGEST_BACKOFF = 600.0
FACTOR = 5.0
LONGEST_PAUSE = 600.0
LONGEST_RETRY_AFTER = 3600.0


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay` seconds."""

    delay: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Dead-letter the job: it stays `failed` until an operator retries it."""


def backoff(attempts: int, base: float, jitter: float) -> float:
    """Seconds to wait after the `attempts`-th start failed: base × 5^(n−1), at most 600, ± 20 %.

    `jitter` lies between −1 and 1 and spreads the wait over that fifth.
    """
    return min(base * FACTOR ** min(attempts - 1, 20), LONGEST_BACKOFF) * (1 + 0.2 * jitter)


def respite(times: int, jitter: float) -> float:
    """Seconds to wait after the database was lost over a job for the `times`-th time.

    It was lost to all jobs alike, so this one waits only a little: 1 s × 2^(n−1), at most 600, and
    ± 20 % by `jitter`.
    """
    return min(2.0 ** min(times - 1, 20), LONGEST_BACKOFF) * (1 + 0.2 * jitter)


def pause_seconds(failures: int, base: float) -> float:
    """Seconds to pause after the `failures`-th refusal in a row: base × 2^(n−1), at most 600."""
    return float(min(base * 2.0 ** min(failures - 1, 20), LONGEST_PAUSE))


def decide(
    error: JobFailed, attempts: int, max_attempts: int, *, base: float, jitter: float
) -> Retry | GiveUp:
    """What follows when the `attempts`-th start of a job ended in `error`.

    A Retry-After that the provider named is a lower bound of the wait, up to an hour.
    """
    if not error.transient or attempts >= max_attempts:
        return GiveUp()
    named = error.retry_after or 0.0
    bounded = min(named, LONGEST_RETRY_AFTER) if math.isfinite(named) else 0.0
    return Retry(max(backoff(attempts, base, jitter), bounded))
