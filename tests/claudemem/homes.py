"""A data directory of its own, in which a test starts and stops everything."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from claudemem import serverfiles, statefile
from queueing import access
from queueing.managed import ManagedStore
from queueing.pids import Mark
from tests.postgres import database_of
from tests.stack import environment

ROOT = Path(__file__).resolve().parents[2]
Told = subprocess.CompletedProcess[str]


class Home:
    """The directory, the port of its web, and what its commands get as environment."""

    def __init__(self, root: Path) -> None:
        self.data = root / "memory"
        self.port = access.free_port()
        self.variables = {
            **database_of(self.data),
            "HOME": str(root),
            "CLAUDE_MEM_SERVER_PORT": str(self.port),
            "CLAUDE_MEM_DATA_DIR": str(self.data),
        }
        self.seen: set[Mark] = set()

    def run(self, *arguments: str, **variables: str) -> Told:
        """What a command did."""
        process = self.begin(*arguments, **variables)
        said, complained = process.communicate(timeout=120)
        self.note()
        return subprocess.CompletedProcess(
            arguments, process.returncode, said.decode(), complained.decode()
        )

    def begin(self, *arguments: str, **variables: str) -> "subprocess.Popen[bytes]":
        """A command that is running."""
        return subprocess.Popen(
            [sys.executable, "-m", "claudemem", *arguments],
            cwd=ROOT, env=environment({**self.variables, **variables}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def start(self, *options: str, **variables: str) -> dict[str, Any]:
        """The server's own words once it runs."""
        told = self.run("start", *options, **variables)
        assert told.returncode == 0, told.stderr
        answer: dict[str, Any] = json.loads(told.stdout)
        return answer

    def note(self) -> dict[str, Mark]:
        """The living processes by name, the supervisor among them."""
        state = statefile.read(self.data)
        if state is None:
            return {}
        marks = {member.name: member.process for member in state.members if member.process}
        living = {name: mark for name, mark in {**marks, "supervisor": state.supervisor}.items()
                  if mark.alive}  # fmt: skip
        self.seen |= set(living.values())
        return living

    @property
    def announced(self) -> Mark | None:
        """Who stands in the state files."""
        found = serverfiles.read(self.data)
        return found.process if found else None

    def names(self) -> set[str]:
        return {path.name for path in self.data.iterdir()} if self.data.is_dir() else set()

    def logged(self) -> str:
        return "".join(path.read_text() for path in self.data.glob("logs/*.log"))

    def end(self) -> None:
        """Kill whatever is left. Fails if anything was."""
        self.note()
        left = [mark for mark in self.seen if mark.signal(signal.SIGKILL)]
        ManagedStore(self.data / "redis", self.data / "logs").stop()
        assert not left


@contextmanager
def home(root: Path) -> Iterator[Home]:
    """A home in which nothing runs at the end; it fails if it does in spite of `stop`."""
    made = Home(root)
    try:
        yield made
    finally:
        made.run("stop")
        made.end()


def alive(pid: int) -> bool:
    """Whether a process has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
