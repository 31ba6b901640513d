"""A call is counted: in its key's minute, among its team's requests of the month, in the ledger.

Each count is a row that is made or moved on under its lock, and only where it may be, so that of
any number of callers at once, in any number of processes, exactly as many get through as may.
PostgreSQL does it all in one statement, SQLite in one transaction. No commit waits for the disk.
"""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Final

from django.conf import settings
from django.db import connection

from observations import quotas
from observations.quotas import REQUEST, TOKENS, Counted, Limits
from queueing import direct, light

# A call waits so long (s) for SQLite's turn to be counted.
PATIENCE: Final = 0.5
# More than any count: where there is no cap.
_NO_CAP: Final = 2**62

# Who was counted a moment ago by a clock that is ahead has begun the next minute for all. A row
# that is further ahead was written by a clock that was put back since.
_SAME = f"mine.started BETWEEN excluded.started AND excluded.started + {quotas.WINDOW_SECONDS}"
_RATE = f"""
    INSERT INTO observations_ratecount AS mine (api_key_id, started, count) VALUES (%s, %s, 1)
    ON CONFLICT (api_key_id) DO UPDATE SET
        started = CASE WHEN {_SAME} THEN mine.started ELSE excluded.started END,
        count = CASE WHEN {_SAME} THEN mine.count + 1 ELSE 1 END
    WHERE mine.count < %s OR NOT ({_SAME})
    RETURNING count, started"""  # noqa: S608
_MONTH = """
    INSERT INTO observations_monthlyusage AS mine (team_id, month, kind, quantity)
    SELECT %s, %s, %s, %s WHERE {provided}
    ON CONFLICT (team_id, month, kind) DO UPDATE SET quantity = mine.quantity + excluded.quantity
    WHERE mine.quantity < %s
    RETURNING quantity"""
_DAY = """
    INSERT INTO observations_dailyusage AS mine
        (team_id, day, kind, project_id, api_key_id, quantity)
    SELECT %s, %s, %s, %s, %s, %s WHERE {provided}
    ON CONFLICT (team_id, day, kind, project_id, api_key_id)
    DO UPDATE SET quantity = mine.quantity + excluded.quantity"""
_USED = f"""
    SELECT kind, quantity FROM observations_monthlyusage
    WHERE team_id = %s AND month = %s AND kind IN ('{REQUEST}', '{TOKENS}')"""  # noqa: S608
_OF_KIND = "(SELECT quantity FROM used WHERE kind = '{}')"
_EXISTS = "EXISTS (SELECT 1 FROM {})"
_UNSPENT = f"COALESCE({_OF_KIND.format(TOKENS)}, 0) < %s"
_ALWAYS: Final = "1 = 1"


def in_force() -> Limits:
    """The limits that the settings ask for."""
    return Limits(
        settings.RATE_LIMIT_PER_MIN,
        settings.MONTHLY_REQUEST_CAP,
        settings.MONTHLY_TOKEN_CAP,
        settings.USAGE_METERING,
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is to be counted at a moment."""

    api_key_id: str
    team_id: str
    project_id: str
    writes: bool
    at: datetime

    def rate(self, limits: Limits) -> list[object]:
        """What `_RATE` takes."""
        return [self.api_key_id, quotas.window(self.at), limits.per_minute]

    def request(self, limits: Limits) -> list[object]:
        """What `_MONTH` takes."""
        return [*_monthly(self.team_id, REQUEST, 1, self.at), limits.requests or _NO_CAP]

    @property
    def entry(self) -> list[object]:
        """What `_DAY` takes."""
        return _daily(self.team_id, self.project_id, self.api_key_id, REQUEST, 1, self.at)

    @property
    def used(self) -> list[object]:
        """What `_USED` takes."""
        return [self.team_id, _stored(quotas.month(self.at))]


def count(call: Call, limits: Limits) -> Counted:
    """Count the call as far as it may be made. Raises Django's database errors."""
    if direct.vendor() == "postgresql":
        return _at_once(call, limits)
    with light.transaction(patience=PATIENCE):
        return _step_by_step(call, limits)


def add(team_id: str, kind: str, quantity: int, at: datetime) -> int:
    """Add to what a team used of a kind in the month; how much it is then. In a transaction."""
    values = [*_monthly(team_id, kind, quantity, at), _NO_CAP]
    ((total,),) = direct.fetch(_provided(_MONTH), values)
    return int(total)


def enter(
    team_id: str, project_id: str, api_key_id: str, kind: str, quantity: int, at: datetime
) -> None:
    """Add to what was used of a kind on a day, in the ledger. In a transaction."""
    values = _daily(team_id, project_id, api_key_id, kind, quantity, at)
    direct.fetch(_provided(_DAY), values)


def _step_by_step(call: Call, limits: Limits) -> Counted:
    """On SQLite, where one writes at a time."""
    calls = started = 0
    if limits.per_minute:
        rated = direct.fetch(_RATE, call.rate(limits))
        if not rated:
            return Counted()
        ((calls, started),) = rated
    used = dict(direct.fetch(_USED, call.used)) if limits.requests or limits.tokens else {}
    requests, tokens = used.get(REQUEST, 0), used.get(TOKENS, 0)
    taken = False
    if limits.counts_requests and not (call.writes and quotas.is_spent(limits, tokens)):
        taken = bool(direct.fetch(_provided(_MONTH), call.request(limits)))
        if taken and limits.metering:
            direct.fetch(_provided(_DAY), call.entry)
    return Counted(calls, started, taken, requests, tokens)


def _at_once(call: Call, limits: Limits) -> Counted:
    """On PostgreSQL: one statement, of the parts that are asked for."""
    rates = bool(limits.per_minute)
    ends = call.writes and bool(limits.tokens)
    values = [
        *call.used,
        *(call.rate(limits) if rates else ()),
        *(call.request(limits)[:-1] if limits.counts_requests else ()),
        *([limits.tokens] if limits.counts_requests and ends else ()),
        *([limits.requests or _NO_CAP] if limits.counts_requests else ()),
        *(call.entry if limits.metering else ()),
    ]
    ((calls, started, taken, requests, tokens, _),) = direct.fetch(
        _composed(rates, limits.counts_requests, limits.metering, ends), values
    )
    return Counted(calls or 0, started or 0, taken, requests or 0, tokens or 0)


@cache
def _composed(rates: bool, requests: bool, metering: bool, ends: bool) -> str:
    """The parts as one statement. `ends`: tokens that are spent let it not become a request."""
    passed = [*([_EXISTS.format("rated")] if rates else ()), *([_UNSPENT] if ends else ())]
    parts = {"used": _USED}
    if rates:
        parts["rated"] = _RATE
    if requests:
        parts["taken"] = _provided(_MONTH, " AND ".join(passed) or _ALWAYS)
    if metering:
        parts["entered"] = _provided(_DAY, _EXISTS.format("taken"))
    told = [
        *(("(SELECT count FROM rated)", "(SELECT started FROM rated)") if rates else ("0", "0")),
        _EXISTS.format("taken") if requests else "false",
        *(_OF_KIND.format(kind) for kind in (REQUEST, TOKENS)),
        light.SOON,
    ]
    named = ", ".join(f"{name} AS ({text})" for name, text in parts.items())
    return f"WITH {named} SELECT {', '.join(told)}"


@cache
def _provided(text: str, condition: str = _ALWAYS) -> str:
    return text.replace("{provided}", condition)


def _monthly(team_id: str, kind: str, quantity: int, at: datetime) -> list[object]:
    return [team_id, _stored(quotas.month(at)), kind, quantity]


def _daily(
    team_id: str, project_id: str, api_key_id: str, kind: str, quantity: int, at: datetime
) -> list[object]:
    return [team_id, _stored(quotas.day(at)), kind, project_id, api_key_id, quantity]


def _stored(day: date) -> object:
    """A day as a parameter of a statement."""
    return connection.ops.adapt_datefield_value(day)
