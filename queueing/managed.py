"""The managed queue store: a private Valkey or Redis of this installation.

Everything about it lies in one directory: `redis.conf` with its port and password (0600),
`data/` with what it keeps, `redis.pid` with the mark of its process, `redis.lock`. The server
outlives whoever started it; the next start finds it by its mark, or by its password, and adopts
it.
"""

import errno
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from queueing import access, binaries, endings, locks, pids
from queueing.access import Access
from queueing.store import (
    MEGABYTES,
    START_SECONDS,
    STOP_SECONDS,
    Server,
    Store,
    StoreFailed,
    explaining,
)

_POLL_SECONDS = 0.02
_TRIES = 5
# With less room on its disk than this, a server cannot even say that it has none.
_LEAST_ROOM = 64 * 1024
# A process that was killed ends as soon as the system lets it: not while it waits for a dead disk.
_KILL_SECONDS = 5.0
# Of data that were set aside: whoever wants to know why needs the last ones.
_KEPT_ASIDE = 3

_KILLED = (
    "the queue store was killed while it started (SIGKILL), as systems do that run out of memory: "
    "end other programs, or give the machine more memory, and start again"
)


class ManagedStore(Store):
    """The server kept in `directory`, a part of the data directory; a log a day goes to `logs`.

    `binary` is the path of the server to run; "" finds one. `megabytes` of memory may be filled
    with messages; then it takes no more until some were taken.
    """

    mode = "managed"

    def __init__(
        self, directory: Path, logs: Path, binary: str = "", megabytes: int = MEGABYTES
    ) -> None:
        self.directory = directory
        self._logs = logs
        self._binary = binary
        self._megabytes = megabytes

    @property
    def url(self) -> str:
        """As the configuration says it now; "" if none was ever started in the directory."""
        known = access.read(self.directory)
        return known.url if known else ""

    @property
    def owner(self) -> int | None:
        """This user; but root, who starts nothing in what is another's, looks at that one's."""
        if not hasattr(os, "geteuid"):
            return None
        if os.geteuid() == 0:
            with suppress(OSError):  # nothing is there yet
                return self.directory.parent.stat().st_uid
        return os.geteuid()

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:
        """As every store; data that it cannot read are set aside, and it begins empty."""
        if not pids.token_of(os.getpid()):
            raise StoreFailed(
                "the queue store cannot be started: processes cannot be told apart where /proc is "
                "not mounted: mount it, or name a server of yours in CLAUDE_MEM_REDIS_URL"
            )
        with explaining("started", self.directory):
            for place in (self.directory, self._data, self._logs):
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                deadline = time.monotonic() + timeout
                return self._adopt(deadline) or self._launch(may_move, deadline)

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:
        """It is asked to finish what it writes, and killed when it has not in time.

        Only a process that is certainly ours is signalled.
        """
        if not self.directory.is_dir():
            return False
        with explaining("stopped", self.directory), self._locked():
            process = self._process()
            if process is not None:
                self._spare_snapshot()
            found = process is not None and _end(process, timeout)
            with suppress(OSError):  # a mark that is left behind, on a full disk, harms nobody
                self._pid_file.unlink()
            return found

    def running(self) -> Server | None:
        known = access.read(self.directory)
        server = self._answering(known) if known else None
        return None if server is None or server.loading else server

    def process(self) -> pids.Mark | None:
        """That of the last start, if it still lives."""
        recorded = pids.read(self._pid_file)
        return recorded if recorded is not None and recorded.alive else None

    def turn_log(self, today: date) -> None:
        # It opens its log by name for every line, so the name is a link that is turned once a day.
        link, target = self._log, self._logs.absolute() / f"redis-{today.isoformat()}.log"
        if link.is_symlink() and link.readlink() == target:
            return
        fresh = self.directory / "redis.log.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)

    @property
    def _pid_file(self) -> Path:
        return self.directory / "redis.pid"

    @property
    def _log(self) -> Path:
        return self.directory / "redis.log"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    # --- starting -------------------------------------------------------------------------------

    def _adopt(self, deadline: float) -> Server | None:
        """The server that runs already, once it answers."""
        known, found = access.read(self.directory), self._process()
        if found is None:
            return None
        if known is None:
            # Its password was lost with its configuration: nobody could ever talk to it again.
            _end(found, STOP_SECONDS)
            return None
        if server := self._await(known, found, deadline):
            return replace(server, adopted=True)
        if found.alive:
            raise StoreFailed(
                f"the queue store (process {found.pid}) runs but does not answer: stop it with "
                f"`kill {found.pid}` and start again"
            )
        pids.reap(found.pid)
        return None

    def _launch(self, may_move: bool, deadline: float) -> Server:
        """Start a new server, on the port that it had or on another if that is taken."""
        binary = binaries.find(self._binary)
        known = access.read(self.directory) or self._begun(may_move)
        warnings: tuple[str, ...] = ()
        for _ in range(_TRIES):
            known = _placed(known, may_move)
            access.write(self.directory, known, self._megabytes)
            self.turn_log(date.today())  # noqa: DTZ011 - a day of the user's calendar
            said_before = self._log.stat().st_size if self._log.exists() else 0
            launched = self._spawn(binary.path)
            if server := self._await(known, launched, deadline):
                return replace(server, warnings=warnings)
            if _end(launched, STOP_SECONDS):
                raise StoreFailed(f"the queue store was not ready in time: {self._log} says why")
            if pids.reap(launched.pid) == -signal.SIGKILL:
                raise StoreFailed(_KILLED)
            if access.bindable(known.port):
                ending = self._judged(said_before)
                if warnings or not ending.damaged:
                    raise StoreFailed(self._why(ending))
                warnings = (self._set_aside(ending.last),)
            # Somebody took it just now: a start that was killed before it could note its server?
            elif server := self._adopt(deadline):
                return server
        raise StoreFailed("the queue store found no port that stayed free: start it again")

    def _begun(self, may_move: bool) -> Access:
        """A port and a password for a store that has none."""
        if not may_move and (self.directory / "redis.conf").exists():
            raise StoreFailed(
                f"{self.directory / 'redis.conf'}, with the queue store's port and password, can "
                "no longer be read: stop and start claudemem to have it written anew"
            )
        return access.fresh()

    def _spawn(self, binary: Path) -> pids.Mark:
        """Start the server in a process group of its own, out of reach of the terminal's Ctrl-C.

        Not a `subprocess`: it outlives us on purpose, and nobody holds a handle to it.
        """
        # Into its log goes also what it says before it has read where that is.
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            pid = os.posix_spawn(
                binary,
                [binary.name, str(self.directory.absolute() / "redis.conf")],
                binaries.ENVIRONMENT,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setpgroup=0,
            )
        finally:
            os.close(log)
        launched = pids.mark(pid)
        try:
            pids.write(self._pid_file, launched)
        except OSError:
            launched.signal(signal.SIGKILL)  # it would be nobody's
            pids.reap(pid)
            raise
        return launched

    def _spare_snapshot(self) -> None:
        """Have the server end without one, which a full disk would keep it from.

        What is read at its next start is the append-only file, and that is complete.
        """
        known = access.read(self.directory)
        if known and self._answering(known):
            with suppress(access.NoAnswer, OSError):
                access.ask(known, 'CONFIG SET save ""', self.owner)

    def _judged(self, said_before: int) -> endings.Ending:
        """Why the server ended that was started when its log was so many bytes long."""
        with self._log.open("rb") as log:
            log.seek(said_before)
            said = log.read().decode(errors="replace")
        if shutil.disk_usage(self.directory).free < _LEAST_ROOM:
            said += f"\n{os.strerror(errno.ENOSPC)}\n"
        return endings.judge(said, str(self.directory))

    def _why(self, ending: endings.Ending) -> str:
        # What is in it is made again from the rows, so that whoever is in doubt can try without it.
        advice = ending.advice or (
            f"its log {self._log} says more; if it is its data, move {self._data} away and start "
            "again: nothing is lost by that"
        )
        return f"the queue store did not start ({ending.last or 'it said nothing'}): {advice}"

    def _set_aside(self, reason: str) -> str:
        """Keep data that cannot be read where nobody reads them, and say so."""
        aside = self._data.with_name(f"data-damaged-{datetime.now():%Y%m%d-%H%M%S-%f}")  # noqa: DTZ005 - a name for people
        self._data.rename(aside)
        self._data.mkdir(mode=0o700)
        for old in sorted(self.directory.glob("data-damaged-*"))[:-_KEPT_ASIDE]:
            shutil.rmtree(old, ignore_errors=True)
        return (
            f"the queue store could not read its data ({reason}) and began empty; they are kept in "
            f"{aside}, which may be deleted. No job is lost: messages are sent again from the "
            "database"
        )

    # --- finding --------------------------------------------------------------------------------

    def _await(self, known: Access, found: pids.Mark, deadline: float) -> Server | None:
        """The server once it has loaded its data; None if it ended or the deadline passed."""
        while found.alive:
            server = self._answering(known)
            # Another one of ours may be at the port: then this one is about to end.
            if server is not None and server.pid == found.pid and not server.loading:
                return server
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)
        return None

    def _process(self) -> pids.Mark | None:
        """The process of our server: by its mark, else by asking at our port, else by its place."""
        if recorded := self.process():
            return recorded
        known = access.read(self.directory)
        server = self._answering(known) if known else None
        found = pids.mark(server.pid) if server and server.pid else self._at_work()
        if found is not None:
            with suppress(OSError):  # a full disk; it will be found in this way again
                pids.write(self._pid_file, found)
        return found

    def _at_work(self) -> pids.Mark | None:
        """A server that works on our data, of which neither mark nor answer tells.

        A second one beside it would write into the same files.
        """
        if not self._data.is_dir() or not any(self._data.iterdir()):
            return None
        names = {*binaries.NAMES, Path(self._binary).name}
        return pids.at_work(self._data, names)

    def _answering(self, known: Access) -> Server | None:
        """The server at our port, if it takes our password and works in our directory."""
        try:
            # All of it: Redis 6.2 tells one section or all.
            lines = access.ask(known, "INFO", self.owner).splitlines()
            facts = dict(line.split(":", 1) for line in lines if ":" in line)
            # A copied data directory brings port and password along, but not the server. And who
            # sits at our port while the server is down may name any process: it will be signalled.
            if not pids.works_in(int(facts["process_id"]), self._data):
                return None
            return Server(
                mode=self.mode,
                product="Valkey" if "valkey_version" in facts else "Redis",
                version=facts.get("valkey_version") or facts["redis_version"],
                address=f"{access.HOST}:{known.port}",
                pid=int(facts["process_id"]),
                loading=facts["loading"] != "0",
            )
        except (access.NoAnswer, OSError, KeyError, ValueError):
            return None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, over all processes; a lock dies with its holder."""
        try:
            with locks.hold(self.directory / "redis.lock"):
                yield
        except locks.NoLocks:
            raise StoreFailed(binaries.ON_WINDOWS) from None


def _placed(known: Access, may_move: bool) -> Access:
    """Where the server shall listen: where it did, or elsewhere if a stranger does so now."""
    if access.bindable(known.port):
        return known
    if not may_move:
        raise StoreFailed(
            f"port {known.port} of the queue store was taken by another program while the store "
            "was down: stop that program, or stop and start claudemem to move to another port"
        )
    # Whoever called there meanwhile told the stranger our password.
    return access.fresh()


def _end(found: pids.Mark, timeout: float) -> bool:
    """End a process, gently if it lets us; False if there was none."""
    if not found.signal(signal.SIGTERM):
        return False
    if not pids.gone([found], timeout):
        found.signal(signal.SIGKILL)
        if not pids.gone([found], _KILL_SECONDS):
            raise StoreFailed(
                f"the queue store (process {found.pid}) was killed and does not end: the system "
                "waits for something, such as a disk that is away; mend that and try again"
            )
    pids.reap(found.pid)
    return True
