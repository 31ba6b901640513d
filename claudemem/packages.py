"""How each platform's package manager brings a Valkey or Redis server that nobody starts. Pure.

None of them enables or starts a service by these commands. Debian's and Ubuntu's `valkey-server`
and `redis-server` would do both on installation; the packages of their tools bring the same
program, under the name of one of its tools, and no service.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manager:
    """A package manager. To `asks` and `installs` belongs the name of a package behind them.

    `asks` prints something about a package that it knows, to anybody; `refreshes` brings its lists
    of packages up to date; `packages` are the names of the server, the best one first.
    """

    name: str
    asks: Command
    refreshes: Command
    installs: Command
    packages: tuple[str, ...]
    as_root: bool = True


_BOTH = ("valkey", "redis")
MANAGERS = (
    # It installs into its user's directories, and refuses to run as root.
    Manager(
        "brew",
        ("brew", "info"),
        ("brew", "update"),
        ("brew", "install"),
        _BOTH,
        as_root=False,
    ),
    Manager(
        "apt-get",
        ("apt-cache", "show", "--no-all-versions"),
        ("apt-get", "update"),
        ("apt-get", "install", "--yes", "--no-install-recommends"),
        ("valkey-tools", "redis-tools"),
    ),
    Manager(
        "dnf",
        ("dnf", "--quiet", "info"),
        ("dnf", "makecache"),
        ("dnf", "install", "--assumeyes", "--setopt=install_weak_deps=False"),
        _BOTH,
    ),
    Manager(
        "yum",
        ("yum", "--quiet", "info"),
        ("yum", "makecache"),
        ("yum", "install", "--assumeyes"),
        _BOTH,
    ),
    Manager(
        "apk",
        ("apk", "search", "--exact"),
        ("apk", "update"),
        ("apk", "add"),
        _BOTH,
    ),
    Manager(
        "pacman",
        ("pacman", "-Si"),
        ("pacman", "-Sy"),
        ("pacman", "-S", "--needed", "--noconfirm"),
        _BOTH,
    ),
)


def manager(is_here: Callable[[str], bool], *, root: bool) -> Manager | None:
    """The first package manager that is here and serves this user; None where there is none."""
    return next(
        (each for each in MANAGERS if is_here(each.name) and (each.as_root or not root)), None
    )


def typed(command: Command, *, sudo: bool = False) -> str:
    """A command as one types it, with `sudo` before it for those who are not root."""
    return shlex.join(("sudo", *command) if sudo else command)
