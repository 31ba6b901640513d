"""A data directory as the first start leaves it, with a key: made once for all servers of this run.

Those for which a first start is not what is shown begin with a copy, on PostgreSQL of the database
as well. It takes a process as long to make as two to be started.
"""

import atexit
import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree

from tests import postgres

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "stack"
SCOPES = "memories:read,memories:write"
PLACE = "CLAUDE_MEM_TEST_PREPARED"


@dataclass(frozen=True, slots=True)
class Shown:
    """What was shown when it was made."""

    admin_password: str
    key: str
    project_id: str


def environment(overrides: Mapping[str, str] = {}) -> dict[str, str]:
    """This process's environment without any setting of ours, and with `overrides`."""
    ours = ("CLAUDE_MEM_", "CELERY_", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **overrides}


def copied_to(data: Path) -> Shown:
    """Make `data` such a directory, and the database of processes with it one that is prepared.

    `postgres.database_of(data)` is its setting as ever.
    """
    original = _original("postgresql" if postgres.on_postgresql() else "sqlite")
    copytree(original / "data", data)
    if postgres.on_postgresql():
        postgres.database_of(data, like=original / "data")
    return Shown(**json.loads((original / "shown.json").read_text()))


def begin() -> None:
    """Have a place for it, which this process and its children share; it goes with this process."""
    place = Path(tempfile.mkdtemp(prefix="claudemem-prepared-"))
    os.environ[PLACE] = str(place)
    atexit.register(_forget, place)


def is_first(name: str) -> bool:
    """Whether nobody in this test run has asked for this name before."""
    if PLACE not in os.environ:
        begin()
    try:
        Path(os.environ[PLACE], name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _forget(place: Path) -> None:
    # Programs may have a server of their own, to which nothing was copied.
    if postgres.on_postgresql() and (place / "postgresql").exists():
        postgres.forget_shared(place / "postgresql" / "data")
    rmtree(place, ignore_errors=True)


@cache
def _original(database: str) -> Path:
    """The one that is copied, made by whichever process of this run comes first.

    Programs that go through both databases need one of each.
    """
    if PLACE not in os.environ:
        begin()
    place = Path(os.environ[PLACE], database)
    place.mkdir(exist_ok=True)
    with _alone(place / "lock"):
        if not (place / "shown.json").exists():
            shown = json.dumps(asdict(_made(place / "data")))
            (place / "shown.json").write_text(shown)
    return place


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    with place.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _made(data: Path) -> Shown:
    settings = environment({**postgres.shared_database_of(data), "CLAUDE_MEM_DATA_DIR": str(data)})
    (password,) = re.findall(r"admin password +(\S+)", _run(settings, "first-run"))
    made = _run(
        settings, "api-key", "create", "--name", "k", "--scope", SCOPES, "--project", PROJECT
    )
    key = json.loads(made)
    return Shown(password, key["key"], key["projectId"])


def _run(settings: Mapping[str, str], *command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "claudemem", *command], cwd=ROOT, env=settings,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
