"""The queue store in a container: a Valkey of one fixed version that this machine's Docker runs.

Which container it is, its port and its password are in `docker.env` (see `belongings`); what it
keeps is in a volume of the container's name. A container is ours if it carries our label with the
number of this installation; no other is started, stopped or removed. It outlives whoever started
it, and Docker starts it again if it crashes.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

from queueing import access, belongings, locks
from queueing.belongings import NUMBER, Known
from queueing.dockercli import COMMAND_SECONDS, Docker, reason
from queueing.store import (
    MEGABYTES,
    START_SECONDS,
    STOP_SECONDS,
    Server,
    Store,
    StoreFailed,
    StoreOutOfReach,
    explaining,
)

# The same as in compose.yaml.
IMAGE = "valkey/valkey:9.1.2"
LABEL = "claudemem.installation"
# The directory for which it was made, by which it is found if nothing else is known of it.
DIRECTORY = "claudemem.directory"
_PORT = 6379
# The words by which Docker calls a container in which nothing runs; "" for none at all.
_ENDED = {"", "created", "exited", "dead"}
_PAUSED = "paused"
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
        self._docker = Docker(program)

    @property
    def url(self) -> str:
        known = belongings.read(self.directory)
        return known.access.url if known else ""

    @property
    def name(self) -> str:
        """That of the container and of its volume; "" if none was ever started."""
        known = belongings.read(self.directory)
        return known.name if known else ""

    def start(self, *, may_move: bool = True, timeout: float = START_SECONDS) -> Server:
        """As any store; the first start may also take as long as it takes to fetch the image."""
        with explaining("started", self.directory):
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                found = belongings.read(self.directory)
                known = found or belongings.fresh()
                state = self._state(known)
                warnings = tuple(self._said_of(found))
                # What came along with a moved directory is made anew, under its present name.
                adopted = state not in _ENDED and not known.moved_from
                if not adopted:
                    known = self._launch(known, state, may_move)
                server = self._await(known, timeout)
                return replace(server, adopted=adopted, warnings=warnings)

    def fetches(self) -> str:
        asked = self._docker.look("image", "inspect", IMAGE)
        return IMAGE if "no such image" in asked.stderr.lower() else ""

    def stop(self, *, timeout: float = STOP_SECONDS) -> bool:
        known = belongings.read(self.directory)
        if known is None or not self._docker.is_here:
            return False
        with explaining("stopped", self.directory), self._locked():
            if self._state_left(known) in _ENDED:
                return False
            self._stop(known, timeout)
            return True

    def running(self) -> Server | None:
        known = belongings.read(self.directory)
        server = self._answering(known) if known else None
        return None if server is None or server.loading else server

    def ended(self) -> bool:
        """Whether nobody listens at its port: Docker stopped it, or somebody told Docker to."""
        known = belongings.read(self.directory)
        return known is None or access.is_closed(known.access)

    def remove(self, *, data: bool) -> bool:
        """Remove the container, which must be stopped, and with `data` what it kept as well.

        False if there was none. Raises StoreFailed.
        """
        known = belongings.read(self.directory)
        if known is None or not self._docker.is_here:
            return False
        with explaining("removed", self.directory), self._locked():
            is_there = bool(self._state_left(known))
            if is_there:
                self._do("rm", known.name)
            if data:
                self._do("volume", "rm", "--force", known.name)
            return is_there

    def out_of_reach(self) -> str:
        known = belongings.read(self.directory)
        if known is None or self._docker.is_here:
            return ""
        return f"the container and the volume {known.name}, if there are any: Docker is not here"

    def _launch(self, known: Known, state: str, may_move: bool) -> Known:
        """Make a container, in the place of the one that there was: its data are in the volume."""
        if address := self._docker.elsewhere():
            raise StoreOutOfReach(
                f"`docker` leads to {address}, and the queue store must run on this machine: unset "
                f"DOCKER_HOST or choose another context, {_OTHER_MODES}"
            )
        if state not in _ENDED:
            self._stop(known, STOP_SECONDS)
        if not access.bindable(known.access.port):
            known = _moved(known, may_move)
        self._fetch_image()
        belongings.write(self.directory, known)
        if state:
            self._do("rm", known.name)
        self._make(known)
        return known

    def _make(self, known: Known) -> None:
        self._do("volume", "create", "--label", f"{LABEL}={known.number}", known.name)
        try:
            self._do(
                "run", "--detach", "--name", known.name, "--label", f"{LABEL}={known.number}",
                "--label", f"{DIRECTORY}={belongings.spelt(self.directory)}",
                "--env-file", str(self.directory.absolute() / belongings.NAME),
                "--volume", f"{known.name}:/data",
                "--publish", f"{access.HOST}:{known.access.port}:{_PORT}",
                "--restart", "on-failure", "--memory", f"{2 * self._megabytes}m", *_CONFINED,
                IMAGE, "sh", "-c", _SERVE, "sh", *_SETTINGS, "--maxmemory", f"{self._megabytes}mb",
                timeout=START_SECONDS, otherwise=f", {_OTHER_MODES}",
            )  # fmt: skip
        except StoreFailed:
            self._docker.ask(
                "rm", "--force", known.name
            )  # it exists even where it could not be started
            raise

    def _fetch_image(self) -> None:
        if self._docker.look("image", "inspect", IMAGE).returncode != 0:
            self._do("pull", "--quiet", IMAGE, timeout=_PULL_SECONDS, otherwise=f", {_OTHER_MODES}")

    def _await(self, known: Known, timeout: float) -> Server:
        deadline = time.monotonic() + timeout
        while True:
            server = self._answering(known)
            if server is not None and not server.loading:
                return server
            state = self._state(known)
            if state == _PAUSED:
                raise StoreFailed(
                    f"the container {known.name} of the queue store is paused: let it go on with "
                    f"`docker unpause {known.name}`"
                )
            if state in _ENDED or time.monotonic() > deadline:
                raise StoreFailed(
                    f"the queue store in the container {known.name} does not answer: `docker logs "
                    f"{known.name}` says why; stop it with `docker stop {known.name}` and start "
                    "again"
                )
            time.sleep(_POLL_SECONDS)

    def _answering(self, known: Known) -> Server | None:
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

    def _state(self, known: Known, advice: str = _OTHER_MODES) -> str:
        """What Docker says of our container: "running", "exited", or another word of its own.

        "" if there is none. Raises StoreOutOfReach, with this advice, if Docker does not answer.
        """
        if not self._docker.is_here:
            raise StoreOutOfReach(f"there is no Docker here: install it, {advice}")
        asked = self._list(LABEL, known.number, "{{.State}}")
        if asked.returncode == 0:
            return asked.stdout.strip()
        why = reason(asked)
        if "permission denied" in why:
            let_in = "let the user in, on Linux by the group docker"
            raise StoreOutOfReach(f"Docker refuses this user ({why}): {let_in}, {advice}")
        raise StoreOutOfReach(f"Docker does not answer ({why}): start it, {advice}")

    def _state_left(self, known: Known) -> str:
        """The same of one that is to go, for which other modes are no way out."""
        file = self.directory.absolute() / belongings.NAME
        return self._state(
            known,
            f"and do this again, since the container {known.name} may go on; if Docker is gone for "
            f"good, remove {file} first",
        )

    def _said_of(self, found: Known | None) -> Iterator[str]:
        """Sentences about a container that is ours under other circumstances."""
        if found and found.moved_from:
            yield (
                f"this directory was {found.moved_from}: the container {found.name} of its queue "
                "store came along"
            )
        if found is None:
            home = belongings.spelt(self.directory)
            for number in self._list(DIRECTORY, home, f'{{{{.Label "{LABEL}"}}}}').stdout.split():
                if NUMBER.fullmatch(number):
                    name = belongings.name_of(number)
                    yield (
                        f"the container {name} was made for a directory of this name, and nothing "
                        f"in it knows it any more: unless it is another machine's, `docker rm "
                        f"--force {name}` and `docker volume rm {name}` remove it"
                    )

    def _list(self, label: str, value: str, shown: str) -> CompletedProcess[str]:
        which = f"label={label}={value}"
        return self._docker.look("container", "ls", "--all", "--filter", which, "--format", shown)

    def _stop(self, known: Known, seconds: float) -> None:
        self._do("stop", "-t", f"{seconds:.0f}", known.name, timeout=seconds + COMMAND_SECONDS)

    def _do(self, *words: str, timeout: float = COMMAND_SECONDS, otherwise: str = "") -> None:
        asked = self._docker.ask(*words, timeout=timeout)
        if asked.returncode != 0:
            raise StoreFailed(
                f"`docker {words[0]}` failed ({reason(asked)}): mend that and do this again"
                f"{otherwise}"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One start or stop at a time, over all processes."""
        # No such lock on Windows, where Docker still lets no second container have the name.
        lock = nullcontext() if os.name == "nt" else locks.hold(self.directory / "docker.lock")
        with lock:
            yield


def _moved(known: Known, may_move: bool) -> Known:
    if not may_move:
        raise StoreFailed(
            f"port {known.access.port} of the queue store was taken by another program while the "
            "store was down: stop that program, or stop and start claudemem to move to another port"
        )
    # Whoever called there meanwhile told the stranger our password.
    return replace(known, access=access.fresh())
