"""`settings.json` in the data directory: read once a process, written by `claudemem setup`.

It may hold passwords, so that it is its owner's alone, and a reader sees all of a change or none.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from claudemem import kept
from claudemem.kept import Kept


def read(path: Path) -> Kept:
    """What the file says; nothing where there is none. Whatever is wrong with it is a fault."""
    if not _is_there(path):
        return Kept(str(path))
    try:
        text = _text(path)
    except UnicodeDecodeError:
        return Kept(str(path), faults=(f"{path} is no text in UTF-8: mend it, or move it away",))
    except OSError as error:
        return Kept(str(path), faults=(_unreadable(path, error),))
    return replace(kept.parse(text, str(path)), warnings=_exposed(path, text))


def write(path: Path, changes: Mapping[str, str | None]) -> None:
    """Put these values into the file, and take out those that are None; all others stay.

    The file is made if it is missing, and readable by its owner alone from then on. Raises
    kept.Broken, without writing, where what is there is no settings file; OSError.
    """
    # Who keeps it elsewhere and has a link here wants that one changed.
    target = path.resolve()
    try:
        text = _text(target)
    except FileNotFoundError:
        text = ""
    except UnicodeDecodeError:
        raise kept.Broken(f"{path} is no text in UTF-8: mend it, or move it away") from None
    new = kept.changed(text, changes, str(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(target, new)


def _replace(target: Path, text: str) -> None:
    # Made readable by its owner alone.
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    new = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _is_there(path: Path) -> bool:
    # Where a user cannot even look there is no installation of theirs; a role in a container may
    # need none.
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False
    except OSError:
        return True  # a link that leads to itself, say: reading it tells
    return True


def _text(path: Path) -> str:
    # A pipe would be waited for.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file", str(path))
    with path.open("rb") as file:
        return file.read(4 * kept.LARGEST + 1).decode("utf-8-sig")


def _unreadable(path: Path, error: OSError) -> str:
    return (
        f"{path} cannot be read ({error.strerror}): let this user read it, or move it away and "
        "run `claudemem setup`"
    )


def _exposed(path: Path, text: str) -> tuple[str, ...]:
    """A warning where others may read a file with secrets in it."""
    if os.name == "nt" or not path.stat().st_mode & 0o044:
        return ()
    names = kept.secrets(text)
    what = f"{names[0]} and {len(names) - 1} more" if len(names) > 2 else " and ".join(names)
    return (f"{path} holds {what}, and others can read it: `chmod 600 {path}`",) if names else ()
