"""In which zone people read times: the one they named, else the machine's."""

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

# What a Unix machine keeps its own zone in.
MACHINE = Path("/etc/localtime")


def wrong(name: str) -> str:
    """What is wrong with a zone's name, and what to do; "" for one that is known here."""
    if _named(name):
        return ""
    return "must be a time zone of this machine's, such as Europe/Berlin"


def chosen(name: str, environment: str, machine: Path = MACHINE) -> tzinfo:
    """The zone of that `name`, else that of the variable TZ, else the machine's, else UTC."""
    return _named(name) or _named(environment.removeprefix(":")) or _of_file(machine) or UTC


def _named(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _of_file(path: Path) -> tzinfo | None:
    try:
        with path.open("rb") as content:
            return ZoneInfo.from_file(content)
    except (ValueError, OSError):
        return None
