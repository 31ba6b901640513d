"""Whether the role in a container is alive."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from claudemem import alive
from tests.stack import ROOT, environment, free_port

pytestmark = pytest.mark.once


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "alive")


def test_a_role_that_announced_itself_is_known(file: str) -> None:
    alive.announce(file, alive.BEAT)
    assert alive.role_of(file) == "beat"


def test_without_a_file_nothing_is_written_and_nobody_is_known(file: str) -> None:
    alive.announce("", alive.BEAT)
    assert alive.role_of("") == alive.role_of(file) == ""


def test_a_role_that_is_silent_for_long_hangs(file: str) -> None:
    alive.announce(file, alive.WORKER)
    os.utime(file, (1000.0, 1000.0))
    assert alive.silence(file, 1000.0 + alive.LATE_SECONDS - 1) == ""
    assert "the worker has shown no life for 30 s" in alive.silence(file, 1030.0)
    alive.beat(file)
    assert alive.silence(file, time.time()) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_web_that_does_not_answer_is_not_alive(host: str) -> None:
    port = free_port()
    said = alive.unanswered(alive.WEB, host, port, "/healthz")
    assert said == f"the web does not answer at 127.0.0.1:{port}"


def asked(file: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What `claudemem healthcheck` says beside that file."""
    settings = {"CLAUDE_MEM_ALIVE_FILE": file, "CLAUDE_MEM_DATA_DIR": f"{file}-data",
                "CLAUDE_MEM_SECRET_KEY": "9b2e6f0a7c41d853e6f90b1a2c3d4e5f"}  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "claudemem", "healthcheck", *words], cwd=ROOT,
        env=environment(settings), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_asks_the_role_that_is_there(file: str) -> None:
    alive.announce(file, alive.WORKER)
    assert asked(file).returncode == 0
    os.utime(file, (0.0, 0.0))
    late = asked(file, "worker")
    assert (late.returncode, late.stdout) == (1, "")
    assert "the worker has shown no life" in late.stderr


def test_the_command_needs_a_role(file: str) -> None:
    assert "no role has announced itself" in asked(file).stderr
    assert "no beat has announced itself" in asked(file, "beat").stderr
    alive.announce(file, alive.WORKER)
    assert asked(file, "beat").returncode == 1
