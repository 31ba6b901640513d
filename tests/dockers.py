"""Docker's command: the real one where an engine answers, and one that stands in for it."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from queueing import binaries

_ROOT = Path(__file__).parents[1]


@cache
def real() -> str:
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
