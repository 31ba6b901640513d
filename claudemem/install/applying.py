"""Files of agents, read as they are and changed together or not at all.

They are their user's: mode and owner stay, a link goes on leading to the file that is changed. A
reader sees all of a change or none, and whoever wrote to the file after it was read is not undone.
"""

import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from claudemem.install.plan import Change, Found, Plan, Refused

_PRIVATE = 0o600


def read(path: Path) -> Found:
    """The file at a path as it is. Raises Refused for what is no file, or cannot be changed."""
    real = _real(path)
    try:
        content = _content(real)
    except FileNotFoundError:
        _see_parent(path, real)
        return Found(path, None, shared=_is_shared(path, real))
    except OSError as error:
        raise Refused(
            f"{path} cannot be read ({error.strerror}): let this user read it, or move it away"
        ) from None
    _see_parent(path, real)
    # Root may write to all, and whoever made it read-only means that too.
    if not (real.stat().st_mode & stat.S_IWUSR and os.access(real, os.W_OK)):
        raise Refused(f"{path} may not be written: `chmod u+w {path}`, and run this again")
    return Found(path, content, shared=_is_shared(path, real))


def apply(plan: Plan) -> None:
    """Make the changes of a plan, all or none.

    What one that was killed left beside the files is taken away first, also where nothing is due.
    Raises Refused, with everything as it was, where a file is not any more what the plan says it
    was, and where one cannot be written.
    """
    for change in plan.changes:
        _sweep(change.path)
    ready: list[tuple[Change, Path | None]] = []
    try:
        for change in plan.due:
            _see_same(change)
            ready.append((change, _prepared(change)))
        _replace(ready)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise Refused(f"nothing was changed: {error.strerror}{where}") from error
    finally:
        for _change, new in ready:
            if new is not None:
                _drop(new)


def _real(path: Path) -> Path:
    try:
        real = path.resolve(strict=False)
        if path.is_symlink() and not real.exists():
            raise Refused(f"{path} is a link to {real}, which is not there: mend or remove it")
    except (OSError, RuntimeError):
        raise Refused(f"{path} is a link that leads nowhere: mend or remove it") from None
    return real


def _is_shared(path: Path, real: Path) -> bool:
    """Whether a link leads to it, from the home directory on."""
    home = Path.home()
    if path.is_relative_to(home):
        return real != home.resolve() / path.relative_to(home)
    return path.is_symlink() or path.parent.is_symlink()


def _content(real: Path) -> bytes:
    # A pipe would be waited for.
    if not stat.S_ISREG(real.stat().st_mode):
        raise Refused(f"{real} is no file: move it away, and run this again")
    return real.read_bytes()


def _see_parent(path: Path, real: Path) -> None:
    """Refuse a directory in which nothing can be made."""
    parent = next(each for each in real.parents if each.exists())
    if not parent.is_dir():
        raise Refused(f"{path} cannot be made: {parent} is no directory; move it away")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise Refused(f"{path} cannot be changed: this user may not write in {parent}")


def _see_same(change: Change) -> None:
    try:
        now = _content(_real(change.path))
    except FileNotFoundError:
        now = None
    if now != change.before:
        raise Refused(
            f"{change.path} was changed by somebody else meanwhile: nothing was changed; run this "
            "again"
        )


def _prepared(change: Change) -> Path | None:
    """The new file beside the old one, or None where it is to be removed."""
    if change.after is None:
        return None
    target = _real(change.path)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_prefix(target), dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(change.after)
            file.flush()
            os.fsync(file.fileno())
            if change.before is not None:
                _give(file.fileno(), target.stat())
            if (mode := _mode(target, change)) is not None:
                os.fchmod(file.fileno(), mode)
    except BaseException:
        _drop(Path(name))
        raise
    return Path(name)


def _prefix(target: Path) -> str:
    return f".{target.name}.claudemem-"


def _sweep(path: Path) -> None:
    target = _real(path)
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(target.parent):
            if name.startswith(_prefix(target)):
                (target.parent / name).unlink(missing_ok=True)


def _give(handle: int, owner: os.stat_result) -> None:
    # Only root gives files away, and a user's own has the right owner by itself.
    with suppress(PermissionError):
        os.fchown(handle, owner.st_uid, owner.st_gid)


def _drop(new: Path) -> None:
    """Take away a file that was not put in place, and directories that were made for it."""
    new.unlink(missing_ok=True)
    _leave(new.parent)


def _mode(target: Path, change: Change) -> int | None:
    """The mode that the file is to have, None for that of a file made for its owner alone."""
    if change.before is None:
        return None
    mode = stat.S_IMODE(target.stat().st_mode)
    return mode & _PRIVATE if change.secret else mode


def _replace(ready: Sequence[tuple[Change, Path | None]]) -> None:
    done: list[Change] = []
    try:
        for change, new in ready:
            target = _real(change.path)
            if new is None:
                target.unlink(missing_ok=True)
                _leave(target.parent)
            else:
                new.replace(target)
            done.append(change)
    except OSError:
        for change in done:
            _put_back(change)
        raise


def _leave(folder: Path) -> None:
    """Take away hidden directories in which nothing is left, and those in them."""
    home = Path.home()
    with suppress(OSError):
        while any(part.startswith(".") for part in _below(folder, home)):
            folder.rmdir()
            folder = folder.parent


def _below(folder: Path, home: Path) -> tuple[str, ...]:
    """The names on the way from the home directory; elsewhere that of the directory alone."""
    return folder.relative_to(home).parts if folder.is_relative_to(home) else (folder.name,)


def _put_back(change: Change) -> None:
    target = _real(change.path)
    if change.before is None:
        target.unlink(missing_ok=True)
    else:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(change.before)
