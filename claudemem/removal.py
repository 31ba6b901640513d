"""`claudemem uninstall`: what of a data directory is ours, and its removal.

Only what is named here is removed, each by its own name. Symbolic links are never followed: the
link goes, and what it leads to stays.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from claudemem import daylogs, serverfiles, statefile

# What is made anew when it is missing.
_MADE = ("redis", "wake", *serverfiles.NAMES, statefile.NAME, "migrate.lock", "start.lock")
_DATABASE = "claude-mem.sqlite3"
# What cannot be made again, the database first.
_KEPT = (_DATABASE, f"{_DATABASE}-wal", f"{_DATABASE}-shm", "settings.json", "secret_key",
         "flower_password", "modes", "backups", "client")  # fmt: skip
_LOCK = "up.lock"
# Any of these says that the directory is ours; others have a settings.json too. The lock goes last,
# so that a removal that was broken off can be repeated.
_MARKS = (_DATABASE, "secret_key", _LOCK)


@dataclass(frozen=True, slots=True)
class Removed:
    """Something that was taken away; `link` if it only led to what it is named for."""

    path: Path
    link: bool = False


def refusal(root: Path, home: Path) -> str:
    """Why the directory must not be touched, or ""."""
    real = root.resolve()
    if real in {Path(real.anchor), home.resolve(), *home.resolve().parents}:
        return f"{root} is no directory of claudemem's alone: nothing in it is removed"
    if not any((root / name).is_file() and not (root / name).is_symlink() for name in _MARKS):
        return (
            f"{root} does not look like a data directory of claudemem: it has neither a database "
            "nor a secret_key; name the right one with --data-dir"
        )
    return ""


def remove(root: Path, *, data: bool) -> Iterator[Removed]:
    """Take away what can be made anew, and with `data` everything of ours; yields what is gone.

    The directory itself goes when nothing is left in it. Raises OSError.
    """
    yield from _take_named(root, *(_KEPT if data else ()), *_MADE)
    yield from _take_logs(root / "logs")
    yield from _take_named(root, _LOCK)
    if not (root.is_symlink() or root.is_mount() or any(root.iterdir())):
        root.rmdir()
        yield Removed(root)


def mounts(root: Path) -> list[Path]:
    """What is mounted in the directory, and so is on another disk or seen elsewhere as well."""
    import psutil  # type: ignore[import-untyped]

    here = root.resolve()
    there = (Path(each.mountpoint) for each in psutil.disk_partitions(all=True))
    return [place for place in there if here in place.parents]


def left(root: Path) -> list[Path]:
    """What still lies in the directory."""
    return sorted(root.iterdir()) if root.is_dir() else []


def is_data(path: Path) -> bool:
    """Whether this is something of ours that cannot be made again."""
    return path.name in _KEPT


def _take_named(root: Path, *names: str) -> Iterator[Removed]:
    for name in names:
        path = root / name
        for each in (path, path.with_name(f"{name}.new")):
            if each.is_symlink() or each.exists():
                yield _take(each)


def _take(path: Path) -> Removed:
    if path.is_symlink() or not path.is_dir():
        removed = Removed(path, link=path.is_symlink())
        path.unlink()
        return removed
    shutil.rmtree(path)  # it follows no link, and refuses to begin at one
    return Removed(path)


def _take_logs(logs: Path) -> Iterator[Removed]:
    """Our logs alone: others may write theirs there as well."""
    if logs.is_symlink():
        yield _take(logs)
    elif logs.is_dir():
        for each in logs.iterdir():
            if daylogs.LOG.fullmatch(each.name):
                each.unlink()
        if not any(logs.iterdir()):
            logs.rmdir()
            yield Removed(logs)
