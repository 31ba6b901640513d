"""A drill from its beginning to its end: the team is made, the steps are taken, all is removed."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from types import FrameType

from claudemem.drill import cuts, scratch, steps
from claudemem.drill.crew import Crew, end_orphans
from claudemem.drill.errors import CannotRun
from claudemem.drill.scratch import Scratch
from claudemem.drill.steps import Drill, Outcome
from claudemem.drill.traffic import Traffic
from queueing.errors import QueueStoreAway

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], object]


def conduct(
    url: str, chosen: Sequence[str], tell: Callable[[Outcome], object], say: Say, *, gentle: bool
) -> list[Outcome]:
    """Take the steps of these names at the server at `url`, telling each outcome, and clean up.

    A `gentle` one disturbs nobody else. Raises CannotRun; KeyboardInterrupt, having cleaned up,
    where a signal says stop.
    """
    with Traffic(url) as traffic, _ended_by_signals():
        traffic.knock()
        clean(say)
        try:
            mine = scratch.make()
            say(f"a scratch team was made: {mine.label}")
            return _taken(mine, traffic, chosen, tell, gentle)
        finally:
            _deaf()
            # Not what was returned to us: a signal may come when it is made and not told yet.
            for each in scratch.own():
                _remove(each)
                say("the scratch team was removed, and all that was its own")


def _taken(
    mine: Scratch,
    traffic: Traffic,
    chosen: Sequence[str],
    tell: Callable[[Outcome], object],
    gentle: bool,
) -> list[Outcome]:
    """The steps' outcomes; the drill's workers have ended."""
    way = cuts.chosen(gentle) if "store" in chosen else nullcontext(cuts.NONE)
    outcomes = []
    with way as cut, Crew(mine, cut.ways) as crew:
        try:
            for outcome in steps.held(Drill(mine, traffic, crew, cut), chosen):
                tell(outcome)
                outcomes.append(outcome)
        finally:
            _deaf()  # or a signal could come between the ends of two workers
    return outcomes


def clean(say: Say) -> int:
    """Remove what drills that were killed have left; how many of them there were.

    Raises CannotRun where one is running.
    """
    left = scratch.found()
    for one in left:
        if one.running:
            raise CannotRun(
                f"{one.name} is running: wait for its end; of a process on another host that was "
                f"killed it is believed for {scratch.LONGEST.seconds // 60} minutes"
            )
        end_orphans(one)
        _remove(one)
        say(f"{one.label} was removed, which a drill that was killed had left behind")
    return len(left)


def _remove(one: Scratch) -> None:
    try:
        scratch.remove(one)
    except QueueStoreAway as away:
        raise CannotRun(
            f"{away}: {one.label} stays until `claudemem drill --clean` removes it"
        ) from away


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # The first of them: those that come while it cleans up would only leave something behind.
    _deaf()
    raise KeyboardInterrupt


def _deaf() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
