"""Which container is the installation's: what `docker.env` in the store's directory says.

The file names the directory in which it was written. A directory that was moved takes its
container along; one that was copied leaves it to the original.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from queueing import access
from queueing.access import Access

NAME = "docker.env"
NUMBER = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Known:
    """The number of the installation, and how to reach its store.

    `moved_from` is the directory where it was before; "" if it is where it was.
    """

    number: str
    access: Access
    moved_from: str = ""

    @property
    def name(self) -> str:
        """That of the container and of its volume."""
        return name_of(self.number)


def name_of(number: str) -> str:
    """The name of the container of an installation."""
    return f"claudemem-store-{number}"


def fresh() -> Known:
    """Those of an installation that has none."""
    return Known(secrets.token_hex(6), access.fresh())


def read(directory: Path) -> Known | None:
    """What the file says; None if there is none, none of ours, or that of another directory."""
    told = _told(directory)
    try:
        # Both are put on command lines, and the password into a script.
        if not NUMBER.fullmatch(told["STORE_NUMBER"]):
            return None
        known = access.of_ours(told["STORE_PORT"], told["STORE_PASSWORD"])
        home = told["STORE_HOME"]
        if home == spelt(directory):
            return Known(told["STORE_NUMBER"], known)
        there = Path(_meant(home))
        if _is_same(there, directory):
            return Known(told["STORE_NUMBER"], known)
        if _told(there).get("STORE_NUMBER") == told["STORE_NUMBER"]:
            return None
        return Known(told["STORE_NUMBER"], known, moved_from=home)
    except (OSError, KeyError, ValueError):
        return None


def write(directory: Path, known: Known) -> None:
    """Note it: for its owner's eyes only, and never seen half written. Raises OSError."""
    new = directory.absolute() / f"{NAME}.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            f"STORE_NUMBER={known.number}\n"
            f"STORE_HOME={spelt(directory)}\n"
            f"STORE_PORT={known.access.port}\n"
            f"STORE_PASSWORD={known.access.password}\n"
        )
    new.replace(directory.absolute() / NAME)


def spelt(directory: Path) -> str:
    """The directory's name on one line, whatever it is."""
    return str(directory.absolute()).encode("unicode_escape").decode()


def _meant(home: str) -> str:
    return home.encode("ascii").decode("unicode_escape")


def _told(directory: Path) -> dict[str, str]:
    """The file's lines. Where there is no file, nothing; raises OSError if that cannot be told."""
    try:
        lines = (directory / NAME).read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return dict(line.split("=", 1) for line in lines)


def _is_same(there: Path, directory: Path) -> bool:
    """Whether both names lead to one directory."""
    try:
        return there.samefile(directory)
    except (FileNotFoundError, NotADirectoryError):
        return False
