"""What a call may still use: windows, months, limits, and what follows of what was counted. Pure.

Windows are minutes and months those of UTC, whoever counts.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from observations.errors import InvalidInput, QuotaExceeded, Rate, RateLimited

WINDOW_SECONDS: Final = 60
# Kinds of use, as they are counted and told.
REQUEST: Final = "request"
TOKENS: Final = "tokens"
INPUT_TOKENS: Final = "input_tokens"
OUTPUT_TOKENS: Final = "output_tokens"
OBSERVATION: Final = "observation"
KINDS: Final = (REQUEST, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, OBSERVATION)
CAPPED: Final = (REQUEST, TOKENS)
_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is in force. A number of 0 is no limit.

    `per_minute` calls of a key; `requests` and `tokens` of a team in a month; `metering`: what is
    used is written down though nothing limits it.
    """

    per_minute: int = 0
    requests: int = 0
    tokens: int = 0
    metering: bool = False

    @property
    def are_off(self) -> bool:
        """Whether nothing need be counted."""
        return not (self.per_minute or self.requests or self.tokens or self.metering)

    @property
    def counts_requests(self) -> bool:
        """Whether the requests of a month are counted."""
        return bool(self.requests) or self.metering

    @property
    def counts_tokens(self) -> bool:
        """Whether the tokens of a month are counted."""
        return bool(self.tokens) or self.metering

    def cap(self, kind: str) -> int:
        """How much of this kind a team may use in a month; 0 is without a limit."""
        return {REQUEST: self.requests, TOKENS: self.tokens}.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What there was when a call was counted.

    `calls` that its key made in the minute from `started`, with this one: 0 where this was one too
    many. `taken`: it counts as one of the month's requests. `requests` and `tokens` of its team in
    this month before.
    """

    calls: int = 0
    started: int = 0
    taken: bool = False
    requests: int = 0
    tokens: int = 0


def window(at: datetime) -> int:
    """When the minute of `at` began, in seconds since 1970."""
    return int(at.timestamp()) // WINDOW_SECONDS * WINDOW_SECONDS


def day(at: datetime) -> date:
    """The day of `at` in UTC."""
    return at.astimezone(UTC).date()


def month(at: datetime) -> date:
    """The first day of the month of `at` in UTC."""
    return day(at).replace(day=1)


def parse_month(words: Sequence[str]) -> date:
    """The first day of the one month that is named like `2026-03`. Raises InvalidInput."""
    if len(words) != 1 or not _MONTH.fullmatch(words[0]):
        raise InvalidInput("expected a month from 2000-01 to 2099-12, once", ("month",))
    return date.fromisoformat(f"{words[0]}-01")


def next_month(first: date) -> date:
    """The first day of the month after that which begins with `first`."""
    return date(first.year + first.month // 12, first.month % 12 + 1, 1)


def rate(limits: Limits, counted: Counted, at: datetime) -> Rate | None:
    """How the caller's key stands with its rate, if there is a limit of it."""
    if not limits.per_minute:
        return None
    reset = (counted.started or window(at)) + WINDOW_SECONDS
    left = limits.per_minute - counted.calls if counted.calls else 0
    return Rate(limits.per_minute, max(0, left), reset)


def refusal(
    limits: Limits, counted: Counted, *, writes: bool, at: datetime
) -> RateLimited | QuotaExceeded | None:
    """Why a call that was counted so is to be refused; None if it is not.

    The rate comes first, then the month's requests, then, for a call that `writes`, its tokens.
    """
    known = rate(limits, counted, at)
    if known and not counted.calls:
        return RateLimited(known, max(1, math.ceil(known.reset - at.timestamp())))
    spent = writes and is_spent(limits, counted.tokens)
    if limits.requests and not counted.taken and not (spent and counted.requests < limits.requests):
        # Another call may have taken the last one since the number was read.
        used = max(counted.requests, limits.requests)
        return QuotaExceeded(REQUEST, used, limits.requests, known)
    return QuotaExceeded(TOKENS, counted.tokens, limits.tokens, known) if spent else None


def is_spent(limits: Limits, tokens: int) -> bool:
    """Whether a team with so many tokens in this month may use no more."""
    return 0 < limits.tokens <= tokens
