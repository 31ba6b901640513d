"""The queue store in a container: a Valkey of one fixed version that this machine's Docker runs.

Which container it is, its port and its password are in `docker.env` (0600) in the store's
directory; what it keeps is in a volume of the container's name. A container is ours if it carries
our label with the number of this installation; no other is started, stopped or removed. It
outlives whoever started it, and Docker starts it again if it crashes.
"""

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from queueing import access, locks
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

# The same as in compose.yaml.
IMAGE = "valkey/valkey:9.1.2"
LABEL = "claudemem.installation"
_PORT = 6379
_NUMBER = re.compile(r"[0-9a-f]{12}")
# The words by which Docker calls a container in which nothing runs; "" for none at all.
_ENDED = {"", "created", "exited", "dead"}
_COMMAND_SECONDS = 10.0
_PULL_SECONDS = 600.0
_POLL_SECONDS = 0.1
_OTHER_MODES = (
    "or set CLAUDE_MEM_REDIS_MODE to managed, for a server that claudemem runs itself, or to "
    "external, for one of yours that CLAUDE_MEM_REDIS_URL names"
)
# The password reaches the server by its standard input: a command line is seen by everybody.
_SERVE = 'exec valkey-server "$@" - <<END\nrequirepass $STORE_PASSWORD\nEND'
_SETTINGS = (
    "--dir", "/data", "--appendonly", "yes", "--appendfsync", "everysec", "--save", "60 1",
    "--stop-writes-on-bgsave-error", "no", "--maxmemory-policy", "noeviction",
)  # fmt: skip
# As in compose.yaml: no more rights than it needs, and nothing written but to its volume.
_CONFINED = (
    "--user", "valkey", "--read-only", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges:true", "--log-driver", "local",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Known:
    """What `docker.env` says: the number of the installation, and how to reach its store."""

    number: str
    access: Access

    @property
    def name(self) -> str:
        return f"claudemem-store-{self.number}"


class DockerStore(Store):
    """The container of the installation whose store's directory is `directory`.

    It may fill `megabytes` of memory with messages; `program` is Docker's command.
    """

    mode = "docker"

    def __init__(
        self, directory: Path, megabytes: int = MEGABYTES, program: str = "docker"
    ) -> None:
        self.directory = directory
        self._megabytes = megabytes
        self._program = program

    @property
    def url(self) -> str:
        known = self._read()
        return known.access.url if known else ""

    @property
    def name(self) -> str:
        """That of the container and of its volume; "" if none was ever started."""
        known = self._read()
        return known.name if known else ""

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:
        """As any store; the first start may also take as long as it takes to fetch the image."""
        with explaining("started", self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                known = self._read() or _Known(secrets.token_hex(6), access.fresh())
                state = self._state(known)
                adopted = state not in _ENDED
                if not adopted:
                    known = self._launch(known, bool(state), may_move)
                return replace(self._await(known, timeout), adopted=adopted)

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:
        known = self._read()
        if known is None or not self._is_here():
            return False
        with explaining("stopped", self.directory), self._locked():
            if self._state(known) in _ENDED:
                return False
            self._do("stop", "-t", f"{timeout:.0f}", known.name, timeout=timeout + _COMMAND_SECONDS)
            return True

    def running(self) -> Server | None:
        known = self._read()
        server = self._answering(known) if known else None
        return None if server is None or server.loading else server

    def ended(self) -> bool:
        """Whether nobody listens at its port: Docker stopped it, or somebody told Docker to."""
        known = self._read()
        return known is None or access.is_closed(known.access)

    def remove(self, *, data: bool) -> bool:
        """Remove the container, which must be stopped, and with `data` what it kept as well.

        False if there was none. Raises StoreFailed.
        """
        known = self._read()
        if known is None or not self._is_here():
            return False
        with explaining("removed", self.directory), self._locked():
            is_there = bool(self._state(known))
            if is_there:
                self._do("rm", known.name)
            if data:
                self._do("volume", "rm", "--force", known.name)
            return is_there

    def out_of_reach(self) -> str:
        known = self._read()
        if known is None or self._is_here():
            return ""
        return f"the container and the volume {known.name}, if there are any: Docker is not here"

    def _launch(self, known: _Known, is_there: bool, may_move: bool) -> _Known:
        """Make a container, in the place of one that was stopped: its data are in the volume."""
        if not access.bindable(known.access.port):
            known = _moved(known, may_move)
        self._fetch_image()
        self._write(known)
        if is_there:
            self._do("rm", known.name)
        self._make(known)
        return known

    def _make(self, known: _Known) -> None:
        self._do("volume", "create", "--label", f"{LABEL}={known.number}", known.name)
        try:
            self._do(
                "run", "--detach", "--name", known.name, "--label", f"{LABEL}={known.number}",
                "--env-file", str(self._file), "--volume", f"{known.name}:/data",
                "--publish", f"{access.HOST}:{known.access.port}:{_PORT}",
                "--restart", "on-failure", "--memory", f"{2 * self._megabytes}m", *_CONFINED,
                IMAGE, "sh", "-c", _SERVE, "sh", *_SETTINGS, "--maxmemory", f"{self._megabytes}mb",
                timeout=START_SECONDS,
            )  # fmt: skip
        except StoreFailed:
            self._ask("rm", "--force", known.name)  # it exists even where it could not be started
            raise

    def _fetch_image(self) -> None:
        if self._ask("image", "inspect", IMAGE).returncode != 0:
            self._do("pull", "--quiet", IMAGE, timeout=_PULL_SECONDS)

    def _await(self, known: _Known, timeout: float) -> Server:
        deadline = time.monotonic() + timeout
        while True:
            server = self._answering(known)
            if server is not None and not server.loading:
                return server
            if self._state(known) in _ENDED or time.monotonic() > deadline:
                raise StoreFailed(
                    f"the queue store in the container {known.name} does not answer: `docker logs "
                    f"{known.name}` says why; stop it with `docker stop {known.name}` and start "
                    "again"
                )
            time.sleep(_POLL_SECONDS)

    def _answering(self, known: _Known) -> Server | None:
        try:
            lines = access.ask(known.access, "INFO").splitlines()
            told = dict(line.split(":", 1) for line in lines if ":" in line)
            return Server(
                mode=self.mode,
                product="Valkey",
                version=told["valkey_version"],
                address=f"{access.HOST}:{known.access.port}",
                loading=told["loading"] != "0",
            )
        except (access.NoAnswer, OSError, KeyError):
            return None

    def _state(self, known: _Known) -> str:
        """What Docker says of our container: "running", "exited", or another word of its own.

        "" if there is none. Raises StoreFailed if Docker does not answer.
        """
        label = f"label={LABEL}={known.number}"
        if not self._is_here():
            raise StoreFailed(f"there is no Docker here: install it, {_OTHER_MODES}")
        asked = self._ask("container", "ls", "--all", "--filter", label, "--format", "{{.State}}")
        if asked.returncode != 0:
            raise StoreFailed(f"Docker does not answer ({_last(asked)}): start it, {_OTHER_MODES}")
        return asked.stdout.strip()

    def _do(self, *words: str, timeout: float = _COMMAND_SECONDS) -> None:
        asked = self._ask(*words, timeout=timeout)
        if asked.returncode != 0:
            raise StoreFailed(
                f"`docker {words[0]}` failed ({_last(asked)}): mend that and start again, "
                f"{_OTHER_MODES}"
            )

    def _ask(
        self, *words: str, timeout: float = _COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return _run(self._program, *words, timeout=timeout)

    def _is_here(self) -> bool:
        """Whether there is Docker's command. Without it no container of ours can be looked after.

        One that does not answer may have one that runs.
        """
        return shutil.which(self._program) is not None

    @property
    def _file(self) -> Path:
        return self.directory.absolute() / "docker.env"

    @property
    def _home(self) -> str:
        # On one line, whatever its name.
        return str(self._file.parent).encode("unicode_escape").decode()

    def _read(self) -> _Known | None:
        """None too where the file was copied from elsewhere: that container is another's."""
        try:
            lines = self._file.read_text().splitlines()
            told = dict(line.split("=", 1) for line in lines)
            if told["STORE_HOME"] != self._home:
                return None
            # Both are put on command lines, and the password into a script.
            if not _NUMBER.fullmatch(told["STORE_NUMBER"]):
                return None
            return _Known(
                told["STORE_NUMBER"], access.of_ours(told["STORE_PORT"], told["STORE_PASSWORD"])
            )
        except (OSError, KeyError, ValueError):
            return None

    def _write(self, known: _Known) -> None:
        new = self._file.with_name("docker.env.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(
                f"STORE_NUMBER={known.number}\n"
                f"STORE_HOME={self._home}\n"
                f"STORE_PORT={known.access.port}\n"
                f"STORE_PASSWORD={known.access.password}\n"
            )
        new.replace(self._file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, over all processes."""
        # No such lock on Windows, where Docker still lets no second container have the name.
        lock = nullcontext() if os.name == "nt" else locks.hold(self.directory / "docker.lock")
        with lock:
            yield


def version(program: str = "docker") -> str:
    """The version of the Docker that answers here, or ""."""
    asked = _run(program, "version", "--format", "{{.Server.Version}}")
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _run(
    program: str, *words: str, timeout: float = _COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """What Docker's command did; one that cannot be run, or says nothing in time, has failed."""
    command = [program, *words]
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        said = f"nothing within {timeout:g} s"
    except OSError as error:  # it is no program of this machine, say
        said = error.strerror or str(error)
    return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)


def _moved(known: _Known, may_move: bool) -> _Known:
    if not may_move:
        raise StoreFailed(
            f"port {known.access.port} of the queue store was taken by another program while the "
            "store was down: stop that program, or stop and start claudemem to move to another port"
        )
    # Whoever called there meanwhile told the stranger our password.
    return replace(known, access=access.fresh())


def _last(asked: subprocess.CompletedProcess[str]) -> str:
    """What Docker said at last, which is its reason."""
    said = asked.stderr.strip() or asked.stdout.strip() or f"exit code {asked.returncode}"
    return said.splitlines()[-1]
