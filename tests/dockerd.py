"""An engine of Docker that belongs to the tests alone: with its own data, socket, containers,
bridge and namespace, beside whatever Docker this machine has, which notices nothing of it.

It needs root and the program `dockerd`; no registry and no rule of the firewall, since what is
published on loopback is carried by a program of Docker's.
"""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests import valkey_image
from tests.postgres import die_with_parent
from tests.waiting import until

START_SECONDS = 60.0
STOP_SECONDS = 60.0
_NEEDED = ("dockerd", "docker", "containerd", "runc", "docker-proxy", "ip")
# Also for those who have /usr/sbin on no PATH.
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_BRIDGE = "cmdocker"


class NotHere(Exception):
    """No engine can be started on this machine; the message says why."""


class Engine:
    """An engine that may be stopped and started again; `command` is Docker's command for it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / "d.sock"
        self.url = f"unix://{self.socket}"
        self.bridge = f"{_BRIDGE}{secrets.token_hex(3)}"
        self.command = _command(home / "bin", self.url)
        self._log = home / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers. Raises NotHere with its own last words."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PATH": _PATH}, preexec_fn=die_with_parent(),
            )  # fmt: skip
        process = self._process
        until(lambda: process.poll() is not None or self.answers(), START_SECONDS)
        if process.poll() is not None:
            raise NotHere(f"dockerd cannot be started here: {self._last_words()}")

    def answers(self) -> bool:
        """Whether its command says so."""
        return self.ask("version").returncode == 0

    def ask(self, *words: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """What its command did."""
        return subprocess.run(
            [self.command, *words], input=given, capture_output=True, check=False, timeout=60
        )

    def say(self, *words: str, given: bytes | None = None) -> str:
        """What its command printed. It must have succeeded."""
        asked = self.ask(*words, given=given)
        assert asked.returncode == 0, asked.stderr.decode()
        return asked.stdout.decode().strip()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, and its containers unless it is killed."""
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None
            # Its containerd ends with it, a moment later, and may stay a zombie for longer: the
            # next engine would take that for its own.
            until(lambda: not [one for one in self._left() if one.info["name"] == "containerd"])
            (self.home / "x" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def sweep(self) -> None:
        """End what an engine that was killed has left behind."""
        for process in self._left():
            for each in (*process.children(recursive=True), process):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        mounted = [each.mountpoint for each in psutil.disk_partitions(all=True)]
        for place in sorted((each for each in mounted if str(self.home) in each), reverse=True):
            subprocess.run(["umount", "--lazy", place], capture_output=True, check=False)

    def _left(self) -> list[psutil.Process]:
        """The processes that run for it, by what they were called with."""
        return [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if any(str(self.home) in word for word in process.info["cmdline"] or ())
        ]

    def _words(self) -> list[str]:
        return [
            "dockerd", "--data-root", str(self.home / "data"), "--exec-root", str(self.home / "x"),
            "--host", self.url, "--pidfile", str(self.home / "pid"), "--bridge", self.bridge,
            # No rule of this machine's firewall is touched, nor another engine's containers.
            "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false",
            "--containerd-namespace", self.bridge, "--containerd-plugins-namespace",
            f"{self.bridge}-plugins",
        ]  # fmt: skip

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        said = [line for line in lines if "level=" not in line or "level=fatal" in line]
        return (said or lines or ["nothing"])[-1]


@contextmanager
def private() -> Iterator[Engine]:
    """An engine that has the image of the docker store; gone with all that it made at the end.

    Raises NotHere.
    """
    if reason := missing():
        raise NotHere(reason)
    home = Path(tempfile.mkdtemp(prefix="cm-docker-"))
    engine = Engine(home)
    try:
        _add_bridge(engine.bridge)
        engine.start()
        changes = [word for change in valkey_image.CHANGES for word in ("--change", change)]
        engine.say("import", *changes, "-", valkey_image.NAME, given=valkey_image.packed())
        _try(engine)
        yield engine
    finally:
        engine.stop()
        engine.sweep()
        subprocess.run(["ip", "link", "delete", engine.bridge], capture_output=True, check=False)
        shutil.rmtree(home)


def _try(engine: Engine) -> None:
    """Run a container, which a machine that is one itself may refuse. Raises NotHere."""
    words = ("run", "--rm", "--memory", "64m", "--publish", "127.0.0.1::6379", "--entrypoint", "id")
    tried = engine.ask(*words, valkey_image.NAME)
    if tried.returncode != 0:
        said = tried.stderr.decode(errors="replace").strip() or f"exit code {tried.returncode}"
        raise NotHere(f"no container can be run here: {said.splitlines()[0]}")


def missing() -> str:
    """What this machine lacks for an engine of our own, or ""."""
    if os.name != "posix" or os.geteuid() != 0:
        return "only root can start an engine of its own"
    for name in _NEEDED:
        if shutil.which(name, path=_PATH) is None:
            return f"there is no {name} here"
    return valkey_image.missing()


def _add_bridge(name: str) -> None:
    _ip("link", "add", name, "type", "bridge")
    alone = False
    while not alone:
        # Of the range in which networks are tried out, so that it is nobody's but another test's.
        network = f"198.{18 + secrets.randbelow(2)}.{secrets.randbelow(256)}"
        _ip("address", "add", f"{network}.1/24", "dev", name)
        alone = len(_ip("-o", "address", "show", "to", f"{network}.0/24").splitlines()) == 1
        if not alone:
            _ip("address", "delete", f"{network}.1/24", "dev", name)
    _ip("link", "set", name, "up")


def _ip(*words: str) -> str:
    """What the command said. Raises NotHere."""
    made = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise NotHere(f"there can be no bridge here: {made.stderr.strip()}")
    return made.stdout


def _command(folder: Path, url: str) -> str:
    """Docker's command, in a folder of its own, which speaks to this engine alone."""
    folder.mkdir()
    command = folder / "docker"
    command.write_text(f'#!/bin/sh\nDOCKER_HOST={url} exec {shutil.which("docker")} "$@"\n')
    command.chmod(0o755)
    return str(command)
