"""The drill's own workers: processes as the supervisor starts them, but for one team alone."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]
from django.conf import settings

from claudemem import storechoice
from claudemem.drill.scratch import Scratch

WORKERS = 2
# Fewer at once than sessions come: so that some wait.
THREADS = 4
# So long each call of the provider lasts (ms): long enough to be met by a fault.
CALL_MS = 600
# One that was killed is gone within so long (s), also where its disk is slow.
_GRACE_SECONDS = 10.0
_TOLD_CHARACTERS = 2000
_HERE = Path(__file__).resolve().parents[2]


class Crew:
    """Two workers, and with Celery a beat, within its block; they say what they say into a log.

    `ways` are variables that lead them to the store or the database by a way of our own. They end
    with the drill, however that ends: it holds the other end of their standard input.
    """

    def __init__(self, scratch: Scratch, ways: Mapping[str, str]) -> None:
        self._environment = {
            **os.environ,
            # What the drill found by its settings holds for its workers, wherever it is written.
            "CLAUDE_MEM_DATA_DIR": str(settings.DATA_DIR.root),
            "CLAUDE_MEM_ONLY_TEAM": scratch.team_id,
            "CLAUDE_MEM_SERVER_PROVIDER": "offline",
            "CLAUDE_MEM_PROVIDER_DELAY_MS": str(CALL_MS),
            "CLAUDE_MEM_WORKER_THREADS": str(THREADS),
            "CLAUDE_MEM_POSTGRES_POOL_MAX": str(THREADS),
            "CLAUDE_MEM_ALIVE_FILE": "",
            **ways,
        }
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._beat: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for _ in range(WORKERS):
            self.add()
        if settings.QUEUE_ENGINE == storechoice.CELERY:
            self._beat = self._started("beat")
        return self

    def __exit__(self, *_: object) -> None:
        everyone = [*self._workers.values(), *([self._beat] if self._beat else [])]
        for process in everyone:
            process.kill()  # whatever is in hand is about to be deleted
        for process in everyone:
            _buried(process)
        self._log.close()

    def add(self) -> None:
        """Start another worker."""
        process = self._started("worker", "start")
        self._workers[process.pid] = process

    @property
    def pids(self) -> list[int]:
        """The numbers of the workers that live."""
        return [pid for pid, process in self._workers.items() if process.poll() is None]

    def kill(self, pid: int) -> None:
        """Kill a worker, as `kill -9` does."""
        process = self._workers.pop(pid)
        process.send_signal(signal.SIGKILL)
        _buried(process)

    @property
    def said(self) -> str:
        """The last that they said."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-_TOLD_CHARACTERS:]

    def _started(self, *role: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "claudemem", *role, "--supervised"],
            stdin=subprocess.PIPE,  # the leash
            stdout=self._log,
            stderr=self._log,
            cwd=_HERE,
            env=self._environment,
            process_group=0,  # out of reach of the terminal's Ctrl-C
        )


def end_orphans(scratch: Scratch) -> None:
    """End what a killed drill left running on this host; returns when it is gone.

    Its workers let go of the team by themselves, but not at once: what they still wrote would be
    left behind for good.
    """
    orphans = [each for each in psutil.process_iter() if _is_of(scratch, each)]
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, _GRACE_SECONDS)


def _is_of(scratch: Scratch, process: psutil.Process) -> bool:
    try:
        return bool(process.environ().get("CLAUDE_MEM_ONLY_TEAM") == scratch.team_id)
    except (psutil.Error, OSError):  # gone, or another user's
        return False


def _buried(process: "subprocess.Popen[bytes]") -> None:
    process.wait(_GRACE_SECONDS)
    if process.stdin is not None:
        process.stdin.close()
