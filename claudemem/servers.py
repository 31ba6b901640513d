"""The Valkey or Redis programs of this machine, and how one is brought to it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from claudemem import packages
from claudemem.packages import Command, Manager
from queueing import binaries
from queueing.binaries import Candidate
from queueing.errors import QueueingError
from queueing.store import StoreFailed

_ASK_SECONDS = 60.0
# Where one package has all programs, they are one, which looks at the name it is called by.
_TOOLS = {"valkey-check-rdb": "valkey-server", "redis-check-rdb": "redis-server"}
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


class InstallFailed(QueueingError):
    """No server could be installed; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server that can be run: what it is, where, and under which other name it must be called."""

    path: Path
    product: str
    version: str
    alias: str = ""


def find(explicit: str = "") -> Program | None:
    """The server at the path `explicit`, else one that this machine has; None if it has none.

    One that is too old, or does not say what it is, counts as none. Raises StoreFailed where
    `explicit` names no server.
    """
    if explicit:
        return _program(binaries.find(explicit))
    try:
        return _program(binaries.find())
    except StoreFailed:
        return _among_tools()


def callable_at(program: Program, directory: Path) -> str:
    """The path by which it must be named, "" where it is found without; makes a link if need be."""
    if not program.alias:
        return ""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = directory / program.alias
    link.unlink(missing_ok=True)
    link.symlink_to(program.path)
    return str(link)


def manager() -> Manager | None:
    """The package manager of this machine, if it is one that is known."""
    return packages.manager(lambda name: shutil.which(name) is not None, root=ROOT)


def may_run(using: Manager) -> bool:
    """Whether this user may install with it. Nobody is made root here."""
    return ROOT or not using.as_root


def package(using: Manager) -> str:
    """The best package that the manager knows, or "". Changes nothing."""
    return next((name for name in using.packages if _knows(using, name)), "")


def run(command: Command) -> None:
    """Run a command of a package manager, which tells the user what it does.

    Raises InstallFailed if it fails.
    """
    sys.stdout.flush()
    try:
        code = subprocess.run(
            command, stdin=subprocess.DEVNULL, env=_quiet(), check=False
        ).returncode
    except OSError as error:
        raise InstallFailed(f"{command[0]} cannot be run ({error.strerror})") from error
    if code:
        raise InstallFailed(
            f"`{packages.typed(command)}` failed (exit code {code}), for the reason above: mend "
            "it, and run this again; nothing was changed in the settings"
        )


def _knows(using: Manager, name: str) -> bool:
    try:
        said = subprocess.run(
            [*using.asks, name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ASK_SECONDS,
            env=_quiet(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and said.stdout.strip() != ""


def _quiet() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "HOMEBREW_NO_AUTO_UPDATE": "1"}


def _program(found: Candidate, alias: str = "") -> Program:
    return Program(found.path, found.product, found.version, alias)


def _among_tools() -> Program | None:
    for name, alias in _TOOLS.items():
        for folder in binaries.folders():
            found = binaries.examine(folder / name, binaries.ON_PATH, called=alias)
            if not found.fault:
                return _program(found, alias)
    return None
