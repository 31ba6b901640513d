"""While the database takes nothing, leases run out whose holders live: they get time to say so.

Each process goes by what it saw itself: it is asked by who would take a job over, or give it up for
dead. A holder renews its lease with the next heartbeat, and settles sooner than that.
"""

import time

from django.conf import settings

from queueing import faults

# So many heartbeats after the database took something again, each worker has had its own.
_BEATS = 1.5


class Lull:
    """What a process knows of the database taking nothing, and when that was over."""

    def __init__(self) -> None:
        self._lasts = False
        self._until = float("-inf")

    def seen(self, error: BaseException) -> None:
        """Note that a statement failed so, if it means that nobody's would have gone well."""
        if faults.is_closed(error):
            self._lasts = True

    def is_just_over(self) -> bool:
        """Whether whoever holds a lease may have had no time to renew it.

        To be asked where something was written just now: what was noted is over by that.
        """
        if self._lasts:
            # In this order: whoever asks in between is told the same.
            self._until = time.monotonic() + _BEATS * settings.HEARTBEAT_SECONDS
            self._lasts = False
        return time.monotonic() < self._until


lull = Lull()
