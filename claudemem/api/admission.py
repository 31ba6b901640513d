"""Whether a call may be made, by what was used before: asked once its key was accepted.

Whoever cannot be counted is let through: what is at stake is how much is used, not who may use it.
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import Final

from django.db import close_old_connections

from observations import counters, quotas
from observations.counters import Call
from observations.errors import Rate
from observations.keys import Principal
from observations.quotas import Limits
from queueing import direct

log = logging.getLogger(__name__)

# A database that could not count is not asked again for so long (s), nor waited for by others.
RESPITE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may be made, and how its key stands with its rate, if that is limited."""

    rate: Rate | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What its answer says of that."""
        return headers_of(self.rate)


FREELY: Final = Admitted()


def headers_of(rate: Rate | None) -> dict[str, str]:
    """How a key stands with its rate, for its caller."""
    if rate is None:
        return {}
    return {
        "X-RateLimit-Limit": str(rate.most),
        "X-RateLimit-Remaining": str(rate.left),
        "X-RateLimit-Reset": str(rate.reset),
    }


class _Respite:
    """Until when nothing is counted."""

    until = float("-inf")


def admit(principal: Principal, *, writes: bool) -> Admitted:
    """Count a call of the principal's, and let it pass if its limits allow it.

    Raises RateLimited and QuotaExceeded. Without any limit nothing is asked of the database.
    """
    limits = counters.in_force()
    if limits.are_off:
        return FREELY
    if time.monotonic() < _Respite.until:
        return FREELY
    try:
        return _counted(principal, limits, writes)
    except direct.AWAY as error:
        _Respite.until = time.monotonic() + RESPITE
        log.warning("calls are let through uncounted for %g s: %s", RESPITE, error)
        close_old_connections()
        return FREELY


def _counted(principal: Principal, limits: Limits, writes: bool) -> Admitted:
    key = principal.api_key_id or ""
    if not key:
        limits = replace(limits, per_minute=0)
    call = Call(key, principal.team_id or "", principal.project_id or "", writes, direct.now())
    counted = counters.count(call, limits)
    if refused := quotas.refusal(limits, counted, writes=writes, at=call.at):
        raise refused
    return Admitted(quotas.rate(limits, counted, call.at))
