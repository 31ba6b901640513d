"""What the database could not take when it was due, and takes later; kept by the process till then.

Not for what must not be lost: it ends with the process.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from django.db import close_old_connections

from queueing import direct, faults
from queueing.light import Unanswered

log = logging.getLogger(__name__)

# So many are kept at most, the newest: an hour's, where calls take a minute.
MOST = 500


@dataclass(frozen=True, slots=True)
class _Debt:
    what: str
    write: Callable[[], object]


class Debts:
    """Writes that are to be made up for, each a transaction of its own."""

    def __init__(self) -> None:
        self._owed: deque[_Debt] = deque(maxlen=MOST)

    def settle(self, what: str, write: Callable[[], object]) -> None:
        """Do `write` now, or else with a later `pay`; `what` says in logs what it writes.

        It is done once at most: not again where it may have been committed, and its answer lost,
        of which `light.transaction` tells. Raises nothing of what means that the database failed.
        """
        self._try(_Debt(what, write))

    def pay(self) -> None:
        """Make up for what is owed, until the database fails again. Raises as little."""
        while debt := self._oldest():
            if not self._try(debt):
                return

    def _oldest(self) -> _Debt | None:
        try:
            return self._owed.popleft()
        except IndexError:  # not asked beforehand: another thread may be at it as well
            return None

    def _try(self, debt: _Debt) -> bool:
        try:
            debt.write()
        except direct.AWAY as error:
            close_old_connections()
            if faults.is_passing(error) and not isinstance(error, Unanswered):
                log.warning("%s is written down later, the database failed: %s", debt.what, error)
                self._owed.append(debt)
            else:
                log.warning("%s was not written down: %s", debt.what, error)
            return False
        return True


debts = Debts()
