"""`claudemem start`, `stop` and `restart`: the supervisor of `up` without a terminal.

Nothing here reads settings: whatever is wrong with them, what runs can be stopped.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from claudemem import leash, orphans, serverfiles, statefile, stores, supervise
from claudemem.board import UP
from claudemem.datadir import DataDir
from claudemem.interrupts import ROLL, Interrupts
from claudemem.members import WAITING, StartFailed
from claudemem.statefile import State
from queueing import locks, pids
from queueing.pids import Mark

# How long everything may take to answer, once the database is prepared.
READY_SECONDS = 60.0
# Of a server that does not say how long its end may take. Who takes longer is asked not to wait for
# anything, then killed.
PATIENCE_SECONDS = 60.0
HURRY_SECONDS = 15.0
# Who holds the directory says soon that it is a server, if it is one.
LOSING_SECONDS = 10.0
_POLL_SECONDS = 0.05
_TOLD_LINES = 10
_HERE = Path(__file__).resolve().parents[1]
# Says where we look, and nothing of how what is found there runs.
_OF_CALLER = ("CLAUDE_MEM_DATA_DIR",)


class _Lost(Exception):
    """Another supervisor was quicker."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to run it: `claudemem up`'s options, and variables beside those of this process."""

    port: int | None = None
    flower: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        port = ["--port", str(self.port)] if self.port else []
        return ["up", "--detached", *port, *(["--flower"] if self.flower else [])]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers. `found`: it ran before it was asked to start."""

    process: Mark
    url: str
    port: int
    found: bool


def start(data: DataDir, options: Options) -> Running:
    """Run everything in the background, and return once the web answers.

    A server that runs in the directory already is left as it is, one that is just starting waited
    for. What a first run makes up is written to our standard error by the process that made it.
    Raises StartFailed, and leaves nothing running, if it does not start; its message is empty where
    the supervisor has said why to our standard error.
    """
    data.create()
    with Interrupts() as interrupts, _one_at_a_time(data.root, interrupts):
        until = time.monotonic() + LOSING_SECONDS
        while True:
            if found := _await_other(data, interrupts):
                return found
            with suppress(_Lost):
                return _launch(data, options, interrupts)
            if time.monotonic() > until:
                raise StartFailed(f"{data.root} is in use: wait until that has ended, or stop it")
            _go_on(interrupts)


def check(data: DataDir, options: Options) -> None:
    """See that settings let a server start, so that none is stopped for one that cannot be.

    Raises StartFailed; without words where why was said to our standard error.
    """
    _check(data, (*options.command, "--check"), {**os.environ, **options.variables})


def stop(data: DataDir) -> bool:
    """Stop what runs in the directory, the store last; False if nothing did.

    It may have been started by `up` or `start`, or be a web that runs alone; and if a supervisor
    was killed, what it left behind is ended. Workers that were started by hand go on.
    """
    state, server = statefile.read(data.root), serverfiles.read(data.root)
    ended = state is not None and _end(state.supervisor, state.patience)
    ended = (server is not None and _end(server.process)) or ended
    return _tidy(data) or ended


def roll(data: DataDir) -> None:
    """Have the server of the directory replace its processes one by one, and wait until it has.

    They come with the settings file as it is, in the environment of their supervisor, and the store
    goes on. Raises StartFailed if not all were replaced; without words where why was said already.
    """
    state = statefile.read(data.root)
    if state is None or not state.supervisor.alive or state.stopping:
        raise StartFailed("nothing runs here that could be restarted: run `claudemem start`")
    environment = {**_environment(state.supervisor), **_place(state)}
    _refuse_strange(environment)
    _check(data, (*options_of(data).command, "--check", "--rolling"), environment)
    with Interrupts() as interrupts:
        state.supervisor.signal(ROLL)
        if failure := _await_rolled(data, state, interrupts):
            raise StartFailed(failure)


def _check(data: DataDir, command: Sequence[str], environment: Mapping[str, str]) -> None:
    code = subprocess.run(
        [*_ours(data), *command], stdin=subprocess.DEVNULL, cwd=_HERE, env=environment, check=False
    ).returncode
    if code < 0:
        raise StartFailed(
            f"the look at the settings was ended by {signal.Signals(-code).name}: run it again"
        )
    if code:
        raise StartFailed


def _refuse_strange(environment: Mapping[str, str]) -> None:
    """Raise StartFailed where our environment asks for what the processes would not have."""
    differing = sorted(
        name
        for name, value in os.environ.items()
        if name.startswith("CLAUDE_MEM_") and environment.get(name) != value
        if name not in _OF_CALLER
    )
    if differing:
        raise StartFailed(
            f"{', '.join(differing)}: a rolling restart takes what is in the settings file, not in "
            "this shell; write it there, or run `claudemem restart`"
        )


def _await_rolled(data: DataDir, before: State, interrupts: Interrupts) -> str:
    """Why a rolling restart failed, once it is over, or ""."""
    while (state := statefile.read(data.root)) and not state.stopping and state.supervisor.alive:
        if state.supervisor != before.supervisor or state.rolled.times > before.rolled.times:
            return state.rolled.failure
        if interrupts.count:
            return "it goes on without being waited for: `claudemem status` shows what runs"
        interrupts.wait(_POLL_SECONDS)
    return "the server was stopped meanwhile"


def options_of(data: DataDir) -> Options:
    """How the server of the directory runs: where, with what, and in which environment.

    What our own environment names is taken before what its environment named. Of a server that was
    killed the environment is not known any more.
    """
    state = statefile.read(data.root)
    if state is None:
        return Options()
    return Options(
        flower=any(member.name == "flower" for member in state.members),
        variables={**_environment(state.supervisor), **_place(state), **os.environ},
    )


def _place(state: State) -> dict[str, str]:
    """Where its web listens, which may have been chosen by an option, as variables choose it."""
    host, _, port = state.url.removeprefix("http://").rpartition(":")
    return {"CLAUDE_MEM_SERVER_HOST": host.strip("[]"), "CLAUDE_MEM_SERVER_PORT": port}


@contextmanager
def _one_at_a_time(root: Path, interrupts: Interrupts) -> Iterator[None]:
    """Of several starts at once one starts it, and the others find it running."""
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(locks.hold(root / "start.lock", wait=False))
                break
            except BlockingIOError:
                _go_on(interrupts)
        yield


def _await_other(data: DataDir, interrupts: Interrupts) -> Running | None:
    """The server that somebody else has started here, once it answers; None if it ends or none."""
    deadline = 0.0
    while (state := statefile.read(data.root)) and state.supervisor.alive:
        if running := _ready(data.root, state, found=True):
            return running
        if any(member.process for member in state.members):
            deadline = deadline or time.monotonic() + READY_SECONDS
        if deadline and time.monotonic() > deadline:
            raise StartFailed(
                f"claudemem runs in {data.root} (process {state.supervisor.pid}), and its web does "
                "not answer: see `claudemem status`, or run `claudemem restart`"
            )
        _go_on(interrupts)
    return None


def _launch(data: DataDir, options: Options, interrupts: Interrupts) -> Running:
    """Start a supervisor, and wait for the web. Raises _Lost if another was quicker."""
    before = len(_read(data.logs))
    process = _spawn(data, options)
    try:
        return _await_ready(data, process, interrupts)
    except StartFailed as failed:
        _end(pids.mark(process.pid))
        if (code := process.wait()) == supervise.TAKEN:
            raise _Lost from None
        _tidy(data)
        raise StartFailed(str(failed) or _verdict(code, _read(data.logs)[before:])) from None


def _spawn(data: DataDir, options: Options) -> "subprocess.Popen[bytes]":
    log = leash.open_log(data.logs, UP, leash.today())
    try:
        return subprocess.Popen(
            [*_ours(data), *options.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            cwd=_HERE,
            env={**os.environ, **options.variables},
            start_new_session=True,
        )
    finally:
        os.close(log)


def _ours(data: DataDir) -> list[str]:
    return [sys.executable, "-m", "claudemem", "--data-dir", str(data.root)]


def _read(logs: Path) -> str:
    """What supervisors without a terminal have said today."""
    path = logs / f"{UP}-{leash.today().isoformat()}.log"
    return path.read_text(errors="replace") if path.exists() else ""


def _await_ready(
    data: DataDir, process: "subprocess.Popen[bytes]", interrupts: Interrupts
) -> Running:
    """The server once it answers. Raises StartFailed; without words if its supervisor ended."""
    me, deadline = pids.mark(process.pid), 0.0
    while process.poll() is None:
        state = statefile.read(data.root)
        if state is not None and state.supervisor == me:
            if running := _ready(data.root, state, found=False):
                return running
            _refuse_failures(data.logs, state)
            if any(member.process for member in state.members):
                deadline = deadline or time.monotonic() + READY_SECONDS
        if deadline and time.monotonic() > deadline:
            raise StartFailed(
                f"the web did not answer for {READY_SECONDS:.0f} s; "
                + _last_words(data.logs, "web")
            )
        _go_on(interrupts)
    raise StartFailed("")


def _ready(root: Path, state: State, *, found: bool) -> Running | None:
    server = serverfiles.read(root)
    if state.stopping or server is None or server.process != state.supervisor:
        return None
    return Running(server.process, state.url, server.port, found)


def _refuse_failures(logs: Path, state: State) -> None:
    for member in state.members:
        if member.state == WAITING:
            raise StartFailed(f"{member.name} did not start; " + _last_words(logs, member.name))


def _go_on(interrupts: Interrupts) -> None:
    if interrupts.count:
        raise StartFailed("the start was interrupted")
    interrupts.wait(_POLL_SECONDS)


def _end(process: Mark, patience: float = PATIENCE_SECONDS) -> bool:
    """Ask a process to end, later not to wait for anything, and kill it in the end."""
    if not process.signal(signal.SIGTERM):
        return False
    if not pids.gone([process], patience):
        process.signal(signal.SIGTERM)
        if not pids.gone([process], HURRY_SECONDS):
            process.signal(signal.SIGKILL)
            pids.gone([process], HURRY_SECONDS)
    return True


def _tidy(data: DataDir) -> bool:
    """End what a killed supervisor left behind; whether there was anything."""
    state = statefile.read(data.root)
    if state is None and not (data.root / serverfiles.PID).exists():
        return False
    try:
        with statefile.alone(data.root):
            left = orphans.end(state)
            for store in stores.ours(data):
                left = store.stop() or left
            statefile.remove(data.root)
            serverfiles.sweep(data.root)
            return left
    except StartFailed:  # another one has begun, and all of it is that one's
        return False


def _environment(process: Mark) -> dict[str, str]:
    """The variables with which a process was started; none if that cannot be known."""
    import psutil  # type: ignore[import-untyped]

    try:
        found = dict(psutil.Process(process.pid).environ())
    except (psutil.Error, OSError):
        return {}
    return found if process.alive else {}


def _verdict(code: int, said: str) -> str:
    """Why a supervisor has ended before all was ready; "" if it said so on standard error."""
    if code < 0:
        return f"the supervisor was ended by {signal.Signals(-code).name}"
    if code == 0:
        return "it was stopped while it started"
    return said.rpartition("\nError: ")[2].strip() if "\nError: " in said else ""


def _last_words(logs: Path, name: str) -> str:
    """The end of the newest log of a member."""
    files = sorted(logs.glob(f"{'redis' if name == orphans.STORE else name}-*.log"))
    if not files:
        return f"it left no log in {logs}"
    lines = files[-1].read_text(errors="replace").splitlines()[-_TOLD_LINES:]
    return "\n".join([f"{files[-1]} ends with:", *lines]) if lines else f"{files[-1]} is empty"
