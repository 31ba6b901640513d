"""A rolling restart: each child gives way to a successor, one after the other.

Written as a generator, so that the supervisor looks after everything else between two steps. The
first successor that does not get ready ends it: what ran goes on as it was.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from claudemem.members import Child, Member, Program, StartFailed

# So long (s) a successor may take until it does its work.
READY_SECONDS = 60.0


class Rolling:
    """Replaces the children among `members`, in their order, once `renew` has done its part."""

    def __init__(
        self,
        members: list[Member],
        renew: Program | None,
        directory: Path,
        say: Callable[[str], None],
    ) -> None:
        self._members = members
        self._renew = renew
        self._directory = directory
        self._say = say
        self._steps = self._roll()
        # Who was replaced and has not ended, or was to replace another.
        self.others: list[Child] = []

    def step(self) -> bool:
        """Go on as far as is possible without waiting; whether there is more to be done.

        Raises StartFailed if what runs could not be replaced, and OSError.
        """
        return next(self._steps, True) is None

    def _roll(self) -> Iterator[None]:
        if self._renew:
            yield from self._run(self._renew)
        for place, member in enumerate(self._members):
            if isinstance(member, Child):
                yield from self._replace(place, member)

    def _run(self, program: Program) -> Iterator[None]:
        process = subprocess.Popen(
            program.argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, cwd=self._directory,
            process_group=0,
        )  # fmt: skip
        try:
            while process.poll() is None:
                yield
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            raise StartFailed("the database could not be brought up to date: nothing was replaced")

    def _replace(self, place: int, old: Child) -> Iterator[None]:
        if old.alone:
            yield from self._part(old)
            old.start()
            self._say(f"{old.name} was started again")
            return
        heir = old.successor()
        self.others.append(heir)
        heir.start()
        yield from self._await(heir)
        self._members[place] = heir
        self.others.remove(heir)
        yield from self._part(old)
        self._say(f"{heir.name} was replaced")

    def _await(self, heir: Child) -> Iterator[None]:
        until = time.monotonic() + READY_SECONDS
        while not heir.is_ready():
            if heir.is_gone or time.monotonic() > until:
                how = "ended" if heir.is_gone else f"was not ready within {READY_SECONDS:.0f} s"
                raise StartFailed(
                    f"another {heir.name} {how}, its log says why: the one that runs was kept"
                )
            yield

    def _part(self, old: Child) -> Iterator[None]:
        self.others.append(old)
        old.retire()
        while not old.bury():
            yield
        self.others.remove(old)
