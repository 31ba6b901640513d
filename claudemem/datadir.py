"""The data directory: where it is, what lies in it, and the secrets that are made in it.

Everything that this installation keeps is below this one directory, readable by its owner only.
"""

import errno
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from queueing.errors import QueueingError

# Bytes. With less, processes that were started could not say so, nor a database keep what they do.
_ROOM = 512 * 1024


class NoHome(QueueingError):
    """Nobody knows where this user's files are."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths below one data directory."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "claude-mem.sqlite3"

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def secret_key(self) -> Path:
        return self.root / "secret_key"

    @property
    def flower_password(self) -> Path:
        return self.root / "flower_password"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def client(self) -> Path:
        """What the hook client has: its configuration, and what it could not send yet."""
        return self.root / "client"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def wake(self) -> Path:
        return self.root / "wake"

    def create(self) -> None:
        """Make the directory (mode 0700) if it is not there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def refusal(self) -> str:
        """Why root must not start or stop anything here, or "".

        What lies in it says which programs are run and which processes are signalled. And what
        root makes in it, its owner could not write to any more.
        """
        if os.name == "nt" or os.geteuid() != 0 or not self.root.exists():
            return ""
        owner = self.root.stat().st_uid
        if owner == 0:
            return ""
        return (
            f"{self.root} belongs to the user {_name(owner)}, and this is root: run it as that "
            f"user, or give the directory to root (`chown -R root {self.root}`)"
        )

    def cramped(self) -> str:
        """Why nothing can be started here for want of room on the disk, or "". Raises OSError."""
        if not self.root.is_dir():
            return ""
        # Written, since what a disk says of its room leaves out quotas and what is kept for root.
        probe = self.root / ".room"
        try:
            probe.write_bytes(bytes(_ROOM))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            said = error.strerror
            return f"there is no room on the disk of {self.root} ({said}): make some, and try again"
        finally:
            probe.unlink(missing_ok=True)
        return ""


def locate(explicit: str) -> DataDir:
    """The data directory named by `explicit`, or `~/.claude-mem` where that is empty.

    Raises NoHome where there is no home to be found.
    """
    named = explicit.strip()
    try:
        return DataDir(Path(named or "~/.claude-mem").expanduser().absolute())
    except RuntimeError:
        raise NoHome(
            "there is no home directory for the data: set HOME, or name a directory with "
            "--data-dir or CLAUDE_MEM_DATA_DIR"
        ) from None


def django_secret(directory: DataDir) -> str:
    """Django's signing key: made once, kept in a 0600 file."""
    directory.create()
    return kept(directory.secret_key, 50)


def kept(path: Path, size: int) -> str:
    """The secret in this file; a missing one is made of `size` random bytes, for its owner alone.

    Several processes may start at once: the first to create the file wins, all read the same.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _written(path)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(size) + "\n")
    return _written(path)


def _name(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _written(path: Path) -> str:
    # A process that loses the race can read the file before its maker has written it.
    until = time.monotonic() + 2.0
    while not (text := path.read_text().strip()):
        if time.monotonic() > until:
            raise OSError(errno.EINVAL, "the file with the secret is empty: delete it", str(path))
        time.sleep(0.01)
    return text
