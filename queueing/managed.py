"""The managed queue store: a private Valkey or Redis of this installation.

Everything about it lies in one directory: `redis.conf` with its port and password (0600),
`data/` with what it keeps, `redis.pid` with the mark of its process, `redis.lock`. The server
outlives whoever started it; the next start finds it by its mark, or by its password, and adopts
it.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from queueing import access, binaries, pids
from queueing.access import Access
from queueing.store import START_SECONDS, STOP_SECONDS, Server, Store, StoreFailed

_POLL_SECONDS = 0.02
_TRIES = 5


class ManagedStore(Store):
    """The server kept in `directory`, which logs into a file a day in `logs`.

    `binary` is the path of the server to run; "" finds one.
    """

    mode = "managed"

    def __init__(self, directory: Path, logs: Path, binary: str = "") -> None:
        self.directory = directory
        self._logs = logs
        self._binary = binary

    @property
    def url(self) -> str:
        """As the configuration says it now; "" if none was ever started in the directory."""
        known = access.read(self.directory)
        return known.url if known else ""

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:
        for place in (self.directory, self.directory / "data", self._logs):
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
        with self._locked():
            process = self._process()
            found = process is not None and _end(process, timeout)
            self._pid_file.unlink(missing_ok=True)
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

    def _adopt(self, deadline: float) -> Server | None:
        """The server that runs already, once it answers."""
        known, found = access.read(self.directory), self._process()
        if known is None or found is None:
            return None
        server = self._await(known, found, deadline)
        if server is None and found.alive:
            raise StoreFailed(
                f"the queue store (process {found.pid}) runs but does not answer: stop it with "
                f"`kill {found.pid}` and start again"
            )
        return replace(server, adopted=True) if server else None

    def _launch(self, may_move: bool, deadline: float) -> Server:
        """Start a new server, on the port that it had or on another if that is taken."""
        binary = binaries.find(self._binary)
        known = access.read(self.directory) or access.fresh()
        for _ in range(_TRIES):
            if not access.bindable(known.port):
                known = _moved(known, may_move)
            access.write(self.directory, known)
            self.turn_log(date.today())  # noqa: DTZ011 - a day of the user's calendar
            launched = self._spawn(binary)
            if server := self._await(known, launched, deadline):
                return server
            if _end(launched, STOP_SECONDS) or access.bindable(known.port):
                break  # it hung, or failed for another reason than its port
        raise StoreFailed(f"the queue store did not start: its reason is in {self._log}")

    def _spawn(self, binary: Path) -> pids.Mark:
        """Start the server in a process group of its own, out of reach of the terminal's Ctrl-C.

        Not a `subprocess`: it outlives us on purpose, and nobody holds a handle to it.
        """
        pid = os.posix_spawn(
            binary,
            [binary.name, str(self.directory.absolute() / "redis.conf")],
            {"PATH": os.defpath},  # what else is in our environment is none of its business
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
            setpgroup=0,
        )
        launched = pids.mark(pid)
        pids.write(self._pid_file, launched)
        return launched

    def _await(self, known: Access, found: pids.Mark, deadline: float) -> Server | None:
        """The server once it has loaded its data; None if it ended or the deadline passed."""
        while found.alive:
            server = self._answering(known)
            if server is not None and not server.loading:
                return server
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)
        pids.reap(found.pid)
        return None

    def _process(self) -> pids.Mark | None:
        """The process of our server: by its mark, or, if that was lost, by asking at our port."""
        if recorded := self.process():
            return recorded
        known = access.read(self.directory)
        server = self._answering(known) if known else None
        if server is None or server.pid is None:
            return None
        found = pids.mark(server.pid)
        pids.write(self._pid_file, found)
        return found

    def _answering(self, known: Access) -> Server | None:
        """The server at our port, if it takes our password and runs from our directory."""
        try:
            lines = access.ask(known, "INFO server persistence").splitlines()
            facts = dict(line.split(":", 1) for line in lines if ":" in line)
            # A copied data directory brings port and password along, but not the server.
            if not os.path.samefile(facts["config_file"], self.directory / "redis.conf"):
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
        import fcntl  # there is none on Windows, where there is no server to manage either

        with (self.directory / "redis.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _moved(known: Access, may_move: bool) -> Access:
    if not may_move:
        raise StoreFailed(
            f"port {known.port} of the queue store was taken by another program while the store "
            "was down: stop that program, or stop and start claudemem to move to another port"
        )
    return replace(known, port=access.free_port())


def _end(found: pids.Mark, timeout: float) -> bool:
    """End a process, gently if it lets us; False if there was none."""
    if not found.signal(signal.SIGTERM):
        return False
    deadline = time.monotonic() + timeout
    while found.alive:
        if time.monotonic() > deadline:
            found.signal(signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    pids.reap(found.pid)
    return True
