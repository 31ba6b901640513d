"""Docker's command: for an engine of the tests' own, or one that stands in for it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import redis

from queueing import binaries
from queueing.docker import DockerStore
from tests import dockerd

_ROOT = Path(__file__).parents[1]


@contextmanager
def private() -> Iterator[dockerd.Engine]:
    """An engine of our own. The test is skipped, with the reason, where none can be started."""
    try:
        with dockerd.private() as engine:
            yield engine
    except dockerd.NotHere as error:
        pytest.skip(f"no engine of Docker can be started: {error}")


@contextmanager
def real() -> Iterator[str]:
    """The command for an engine of our own, else for the one that answers on this machine.

    The test is skipped where there is neither, with the reason why no engine could be started.
    """
    try:
        with dockerd.private() as engine:
            yield engine.command
    except dockerd.NotHere as error:
        if not answering():
            pytest.skip(f"no Docker answers, and none can be started: {error}")
        yield answering()


@cache
def answering() -> str:
    """Docker's command if its engine answers, else ""."""
    program = shutil.which("docker")
    if program is None:
        return ""
    asked = subprocess.run([program, "version"], capture_output=True, check=False, timeout=30)
    return program if asked.returncode == 0 else ""


def standin(home: Path) -> str:
    """A command that does what Docker would do, and remembers it in `home`."""
    (home / "bin").mkdir(parents=True)
    server = binaries.bundled()
    assert server, "there is no bundled Valkey here"
    (home / "bin" / "valkey-server").symlink_to(server)
    command = home / "docker"
    command.write_text(
        f"#!/bin/sh\nDOCKER_STANDIN='{home}' PYTHONPATH='{_ROOT}' "
        f"exec '{sys.executable}' -S -P -m tests.standin_docker \"$@\"\n"
    )
    command.chmod(0o755)
    return str(command)


def keep(store: DockerStore, word: str) -> None:
    """Have it keep a word."""
    with redis.Redis.from_url(store.url) as client:
        client.set("kept", word)


def kept(store: DockerStore) -> bytes | None:
    """The word that it keeps."""
    with redis.Redis.from_url(store.url) as client:
        found: bytes | None = client.get("kept")
        return found
