"""Two hosts and a bad network between them, and the proof that delivery kept its promise.

    python -m tests.benchmarks.hosts --engine celery
    python -m tests.benchmarks.hosts --engine database --alone

A worker runs on a far host: in a network namespace of its own, which only one link leads to
(`network`). PostgreSQL, for the Celery engine Valkey and beat, a second worker, and this program,
which enqueues without a pause, are on the near one. The link is cut (packets vanish), unplugged at
the far end, or slowed down, for shorter and longer than a lease, in the middle of a transaction or
of a call of the far worker, and healed. With `--alone` there is no second worker. Leases are as
long as they are in use, 8 s.

Exits with 1 if anything was lost, done twice, done out of order, or claimed while another claim of
its lane was in flight, or if a lane with open work waited longer than 15 s after a heal, or ever
while another worker was there, or if the far worker did not ask for work within 15 s; with 77 if no
second host can be made here. That it asked and claimed nothing is no fault: with the database
engine a worker on the host of those who capture is woken at once, and leaves little to one that
looks four times a second.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from shutil import rmtree

from claudemem.datadir import DataDir
from queueing.pids import mark
from tests.benchmarks import history, outcome
from tests.benchmarks.faults import settle
from tests.benchmarks.history import Line, Stand
from tests.benchmarks.network import Link, Refused
from tests.benchmarks.rows import Postgresql
from tests.benchmarks.scene import Program, Scene, beats, join, now
from tests.benchmarks.waves import Waves
from tests.servers import serving
from tests.stack import CELERY, ENGINES, SHORT_LEASES

SETTINGS = {
    "CLAUDE_MEM_PROVIDER_DELAY_MS": "300",
    # One for nearly each lane: none waits for want of a thread.
    "CLAUDE_MEM_WORKER_THREADS": "16",
    "CLAUDE_MEM_LOG_LEVEL": "WARNING",
}
# No lane waits longer (seconds) once the link is healed, and no far worker to ask for work.
LIMIT = 15.0
SKIPPED = 77
TRANSACTION, CALL = "in a transaction", "in a call"
ENOUGH = 80
_IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE client_addr = ?::inet AND state LIKE 'idle in transaction%%'"""


# When the far worker last asked for anything: of what each session last did. Who merely keeps its
# leases asks for no work.
_ASKED = """
    SELECT max(query_start) FROM pg_stat_activity
    WHERE client_addr = ?::inet AND query_start >= ? AND query NOT LIKE ?"""
_RENEWS = "%WITH asked (id, token%"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is done to the link, when, and for how long (seconds)."""

    what: str
    begin: Callable[[Link], None]
    seconds: float
    moment: str


@dataclass(frozen=True, slots=True)
class Spell:
    """A trouble that was: from when to when, and what of the far worker's it caught.

    `asked` is when that was first seen to ask for work again.
    """

    trouble: Trouble
    since: datetime
    until: datetime
    sessions: int
    jobs: int
    asked: datetime | None = None


def cut(seconds: float, moment: str) -> Trouble:
    """Packets vanish."""
    return Trouble("cut", Link.cut, seconds, moment)


def unplug(seconds: float, moment: str) -> Trouble:
    """The far end is down, and knows."""
    return Trouble("unplugged", Link.unplug, seconds, moment)


def slow(seconds: float, delay: float, loss: float) -> Trouble:
    """Packets are late, and some are lost."""
    said = f"{delay * 1000:g} ms late, {loss:.0%} lost"
    return Trouble(said, lambda link: link.slow(delay, loss), seconds, CALL)


TROUBLES = (
    cut(3, TRANSACTION),
    cut(12, TRANSACTION),
    cut(6, CALL),
    slow(15, 0.1, 0.05),
    cut(25, CALL),
    unplug(12, TRANSACTION),
    cut(45, TRANSACTION),
    slow(15, 0.4, 0.0),
    cut(1, TRANSACTION),
)
# For a short run, with short leases and little patience with the network.
FEW = (cut(6, TRANSACTION),)
HASTY = {**SHORT_LEASES, "CLAUDE_MEM_NETWORK_TIMEOUT_MS": "4000"}


@dataclass(slots=True)
class Hosts:
    """Both hosts, and the link between them."""

    scene: Scene
    far: Program
    link: Link
    wave: Waves
    sent: int = 0
    ready: datetime = field(default_factory=now)

    def begin(self) -> None:
        """Start everything, and wait until each worker has begun to work."""
        self.scene.begin()
        waiting = {worker.pid for worker in self.scene.workers}

        def all_work() -> bool:
            self._fill()
            waiting.difference_update({pid for pid in waiting if self.scene.held_by(pid)})
            return not waiting

        self.scene.until(all_work)
        self.scene.until(lambda: not self.scene.open_jobs())
        self.ready = now()

    def work(self, seconds: float) -> None:
        """Go on sending events for so long, a few each half second."""
        for _ in self._working(seconds):
            pass

    def recover(self, spell: Spell, seconds: float) -> Spell:
        """The spell, and when the far worker was first heard of again: within so long of work, or
        as long as it may take.
        """
        for worked in self._working(max(seconds, LIMIT)):
            if not spell.asked:
                asked = self.scene.query(_ASKED, self.link.far, spell.until, _RENEWS)
                spell = replace(spell, asked=asked[0][0])
            if spell.asked and worked >= seconds:
                break
        return spell

    def _working(self, seconds: float) -> Iterator[float]:
        """Send for so long; for how long it is at each time."""
        began = time.monotonic()
        while (worked := time.monotonic() - began) < seconds:
            self._send()
            yield worked
            time.sleep(min(0.5, max(0.0, began + seconds - time.monotonic())))

    def _send(self) -> None:
        self.wave.send(6)
        self.sent += 6

    def _fill(self) -> None:
        """Have more to be done than a near worker takes at once: it is told of it sooner."""
        if self.scene.open_jobs() < ENOUGH:
            self._send()

    def endure(self, trouble: Trouble) -> Spell:
        """The link meets this trouble, and is healed."""
        self.scene.until(self._caught_in_transaction if trouble.moment == TRANSACTION
                         else self._caught_in_call)  # fmt: skip
        since = now()
        trouble.begin(self.link)
        sessions, jobs = self._sessions(), self.scene.held_by(self.far.pid)
        mark(self.far.pid).signal(signal.SIGCONT)
        self.work(trouble.seconds)
        self.link.heal()
        return Spell(trouble, since, now(), sessions, len(jobs))

    def _caught_in_transaction(self) -> bool:
        """Whether the far worker, which stands still then, has begun a transaction."""
        self._fill()
        worker = mark(self.far.pid)
        worker.signal(signal.SIGSTOP)
        # What it has sent is on its way for a moment.
        time.sleep(0.01)
        if not self._sessions():
            worker.signal(signal.SIGCONT)
            return False
        return True

    def _caught_in_call(self) -> bool:
        self._fill()
        return bool(self.scene.held_by(self.far.pid))

    def _sessions(self) -> int:
        return int(self.scene.query(_IN_TRANSACTION, self.link.far)[0][0])


# --- what came of it ----------------------------------------------------------------------------


def waits(spell: Spell, ends: datetime, told: Sequence[Stand]) -> float:
    """The longest that a lane with open work waited from the heal on, before the next trouble."""
    lasting = (each for each in told if each.since <= spell.until < each.until)
    return max(((min(each.until, ends) - spell.until).total_seconds() for each in lasting),
               default=0.0)  # fmt: skip


def returned(spell: Spell, told: Sequence[Line], pid: int) -> float | None:
    """Seconds from the heal until the far worker claimed a job; None if it never did."""
    claims = (line.at for line in told if line.event == "processing" and f":{pid}" in line.worker)
    after = [at for at in claims if at >= spell.until]
    return (min(after) - spell.until).total_seconds() if after else None


def report(hosts: Hosts, spells: Sequence[Spell], until: datetime, *, alone: bool) -> bool:
    """Print the tables; whether the promise was kept."""
    wrong = outcome.faults(hosts.scene.rows, hosts.sent)
    told = history.lines(hosts.scene.rows)
    stood = [stand for stand in history.stands(told) if stand.since >= hosts.ready]
    print(f"\n{hosts.sent} jobs, {hosts.scene.deaths} programs ended by themselves")
    outcome.print_wrong(wrong)
    print(f"\n  {'the link':<24}{'seconds':>8}  {'when':<18}{'sessions':>8}{'jobs':>6}"
          f"{'a lane waited':>15}{'far worker asks':>17}{'claims':>10}")  # fmt: skip
    kept = not any(wrong.values())
    ends = [*(spell.since for spell in spells[1:]), until]
    for spell, end in zip(spells, ends, strict=True):
        waited, claims = waits(spell, end, stood), returned(spell, told, hosts.far.pid)
        # One that has nothing to ask for is heard of by its claims alone, and may be left none.
        asks = (spell.asked - spell.until).total_seconds() if spell.asked else claims
        kept = kept and waited <= LIMIT and asks is not None and asks <= LIMIT
        trouble = spell.trouble
        print(f"  {trouble.what:<24}{trouble.seconds:>8g}  {trouble.moment:<18}"
              f"{spell.sessions:>8}{spell.jobs:>6}{waited:>13.1f} s"
              f"{_after(asks):>17}{_after(claims):>10}")  # fmt: skip
    longest = max(stood, key=lambda stand: stand.seconds)
    print(f"  a lane with open work stood still for {longest.seconds:.1f} s at most")
    outcome.explain(hosts.scene.deeds, told)
    # Where another worker is there, no lane need wait for the heal.
    return kept and (alone or longest.seconds <= LIMIT)


def _after(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


# --- the run ------------------------------------------------------------------------------------


def run(given: argparse.Namespace) -> int:
    """Everything, from nothing; the exit code."""
    with ExitStack() as stack:
        link = Link()
        stack.callback(link.close)
        home = Path(tempfile.mkdtemp(prefix="claudemem-hosts-"))
        stack.callback(rmtree, home, ignore_errors=True)
        hosts = _begin(given, link, home, stack)
        hosts.begin()
        spells = []
        for trouble in FEW if given.few else TROUBLES:
            spell = hosts.endure(trouble)
            hosts.scene.struck(f"the link was {trouble.what}", (), spell.since)
            print(f"  the link was {trouble.what} for {trouble.seconds:g} s", flush=True)
            spells.append(hosts.recover(spell, given.calm))
        end = now()
        settle(hosts.scene)
        kept = report(hosts, spells, end, alone=given.alone)
    print("\nthe promise was " + ("kept" if kept else "broken"))
    return 0 if kept else 1


def _begin(given: argparse.Namespace, link: Link, home: Path, stack: ExitStack) -> Hosts:
    """Servers and programs run, on their hosts."""
    rows = Postgresql(link.near)
    stack.callback(rows.end)
    data, afar = DataDir(home / "near"), DataDir(home / "far")
    for each in (data, afar):
        each.create()
    settings = {**SETTINGS, **rows.settings, "CLAUDE_MEM_QUEUE_ENGINE": given.engine}
    settings |= HASTY if given.few else {}
    if given.engine == CELERY:
        store = serving(data.redis.parent, "--appendonly", "yes", host=link.near)
        settings["CLAUDE_MEM_REDIS_URL"] = stack.enter_context(store)
    join(data, settings)
    far = Program(("worker", "start"), afar, settings, link.through)
    near = [] if given.alone else [Program(("worker", "start"), data, settings)]
    chance = random.Random(given.seed)
    scene = Scene(data, rows, chance, [far, *near], beats(data, settings, given.engine))
    stack.callback(scene.end)
    return Hosts(scene, far, link, Waves(given.lanes, chance))


def main() -> int:
    """Run it; 1 if the promise was broken, 77 if it cannot be run here."""
    parser = argparse.ArgumentParser(description="Two hosts and a bad network between them.")
    parser.add_argument("--engine", choices=ENGINES, default=CELERY, help="[default: celery]")
    parser.add_argument("--alone", action="store_true", help="no worker on the near host")
    parser.add_argument("--few", action="store_true", help="a short run, of few troubles")
    parser.add_argument("--lanes", type=int, default=20, help="[default: 20]")
    parser.add_argument("--calm", type=float, default=16.0,
                        help="seconds between two troubles [default: 16]")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    given = parser.parse_args()
    try:
        return run(given)
    except Refused as refused:
        print(f"skipped: {refused}")
        return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
