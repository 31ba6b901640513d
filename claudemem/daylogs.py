"""Files that bear a day in their name, and go when they are old: logs, and what was set aside.

Only what is named as we name it, in the data directory itself; no link is followed.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from claudemem.datadir import DataDir

_DAY = r"(\d{4}-\d\d-\d\d)"
LOG = re.compile(rf"(?:up|redis|web|worker|beat|flower)-{_DAY}\.log")
_ASIDE = re.compile(r"data-damaged-(\d{8})-\d{6}-\d{6}")


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days logs are kept, and what the queue store set aside; 0: for ever."""

    logs: int = 0
    aside: int = 0


def old(data: DataDir, keep: Keep, today: date) -> list[Path]:
    """What is older than it is kept, the oldest first. The day of the last use counts."""
    logs = _dated(data.logs, LOG, keep.logs, today)
    aside = _dated(data.redis, _ASIDE, keep.aside, today)
    return sorted([*logs, *aside], key=lambda path: path.name)


def prune(data: DataDir, keep: Keep, today: date) -> list[Path]:
    """Delete what is old; what could be deleted. What cannot is tried again another day."""
    return [path for path in old(data, keep, today) if _delete(path)]


def _dated(folder: Path, form: re.Pattern[str], days: int, today: date) -> Iterator[Path]:
    if not days or folder.is_symlink() or not folder.is_dir():
        return
    last = today - timedelta(days=days)
    for path in folder.iterdir():
        named = form.fullmatch(path.name)
        if named and not path.is_symlink() and _day(named[1], today) < last:
            yield path


def _day(text: str, today: date) -> date:
    """The day in a name; today where there is no such day."""
    with suppress(ValueError):
        return date.fromisoformat(text)
    return today


def _delete(path: Path) -> bool:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError:
        return False
    return True
