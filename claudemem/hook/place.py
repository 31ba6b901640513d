"""Where a directory is: its repository, branch and part, read from files. No git is run.

The hook client runs this before every session, so it needs nothing but the standard library, reads
little, and says what it could find out; what it cannot read, it leaves out.
"""

import os
import stat
from collections.abc import Iterator

NAME = ".claude-mem.toml"
# What a repository's parts are recognised by.
MANIFESTS = (
    "package.json", "pyproject.toml", "Cargo.toml", "go.mod", "pom.xml", "build.gradle",
    "build.gradle.kts", "composer.json", "Gemfile", "mix.exs", "setup.py",
)  # fmt: skip
# Remotes by whose address a repository is known; else the first that it has.
_PREFERRED = ("origin", "upstream")

_MOST_BYTES = 256 * 1024
_MOST_LEVELS = 100
_LONGEST_PATH, _LONGEST_NAME = 2048, 200


def place(cwd: str) -> dict[str, str]:
    """What is known of a directory; what is not is left out. Never raises.

    `project` and `part` as `.claude-mem.toml` says them, `remote` the address of the repository's
    origin without user and password, `common` its directory that all worktrees share, `root` where
    the worktree begins, or the directory itself where there is none, `branch`, `part` the directory
    of the nearest manifest below the root, and `born`, the nanosecond at which this clone was made.
    """
    try:
        here = os.path.realpath(cwd)
        if not os.path.isabs(cwd) or not os.path.isdir(here):
            return {}
        return _told(_facts(here))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _facts(here: str) -> dict[str, str]:
    above = list(_upwards(here))
    root, git = next(
        ((path, git) for path in above if (git := _git_of(path)) is not None), ("", "")
    )
    facts = _of_git(root, git) if git else {}
    if os.path.basename(root) == ".git":  # inside the git directory itself
        root = os.path.dirname(root)
    within = above[: above.index(root) + 1] if root else above
    said_in = next((path for path in within if _is_file(os.path.join(path, NAME))), "")
    said = _said(said_in) if said_in else {}
    top = root or (said_in if said else here)
    if isinstance(project := said.get("project"), str):
        facts["project"] = project
    facts["root"] = top
    facts["part"] = _part(here, top, said_in, said.get("parts"))
    return facts


def _told(facts: dict[str, str]) -> dict[str, str]:
    """The facts as they can be sent: printable text of a bounded length."""
    told = {}
    for name, value in facts.items():
        text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
        most = _LONGEST_PATH if name in ("root", "common", "remote") else _LONGEST_NAME
        if 0 < len(text) <= most and text.isprintable():
            told[name] = text
    return told


def _upwards(path: str) -> Iterator[str]:
    for _ in range(_MOST_LEVELS):
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above


def _git_of(path: str) -> str | None:
    """The git directory of the worktree at `path`; None if none begins here.

    "" stands for one that is named and not there, as of a worktree whose repository has gone.
    """
    dot = os.path.join(path, ".git")
    if os.path.isdir(dot):
        return dot if _is_git(dot) else None
    if _is_file(dot):
        said = _read(dot).strip()
        if not said.startswith("gitdir:"):
            return ""
        git = os.path.realpath(os.path.join(path, said[len("gitdir:") :].strip()))
        return git if _is_git(git) else ""
    return path if _is_bare(path) else None


def _is_git(path: str) -> bool:
    return os.path.lexists(os.path.join(path, "HEAD"))


def _is_bare(path: str) -> bool:
    return _is_git(path) and all(
        os.path.isdir(os.path.join(path, name)) for name in ("objects", "refs")
    )


def _of_git(root: str, git: str) -> dict[str, str]:
    common = _common(git)
    config = _config(_read(os.path.join(common, "config")))
    facts = {"common": common, "branch": _branch(git), "remote": _remote(config, root)}
    if born := _born(common):
        facts["born"] = born
    return facts


def _common(git: str) -> str:
    said = _read(os.path.join(git, "commondir")).strip()
    return os.path.realpath(os.path.join(git, said)) if said else git


def _born(common: str) -> str:
    """When the clone was made: git writes this file then, and never again."""
    try:
        made = os.stat(os.path.join(common, "description")).st_mtime_ns
    except OSError:
        return ""
    # Whole seconds are what archives and images keep: many copies would share them.
    return str(made) if made % 1_000_000_000 else ""


def _branch(git: str) -> str:
    head = _read(os.path.join(git, "HEAD"))
    name = head[len("ref: refs/heads/") :].strip() if head.startswith("ref: refs/heads/") else ""
    return "" if name == ".invalid" else name


def _remote(remotes: dict[str, str], root: str) -> str:
    name = next((name for name in _PREFERRED if name in remotes), next(iter(remotes), ""))
    return _without_credentials(_absolute(remotes.get(name, ""), root))


def _absolute(remote: str, root: str) -> str:
    """A relative path as a path from the worktree's root; every other address as it is."""
    if remote.startswith("."):
        return os.path.normpath(os.path.join(root, remote))
    return remote


def _without_credentials(remote: str) -> str:
    """The address without user, password, query and fragment; "" where it may still hold some."""
    if "::" in remote:  # a helper's address, which may say anything
        return ""
    scheme, mark, rest = remote.partition("://")
    if not mark:
        host, colon, path = remote.partition("/") if "/" in remote else (remote, "", "")
        return host.rpartition("@")[2] + colon + path
    for end in "?#":
        rest = rest.partition(end)[0]
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    port = authority.rpartition("]")[2].partition(":")[2]
    # No port is a word: this is `user:password` with a slash in it.
    return "" if port and not port.isdigit() else f"{scheme}://{authority}{slash}{path}"


def _config(text: str) -> dict[str, str]:
    """The remotes' names and addresses in a git configuration."""
    remotes: dict[str, str] = {}
    name = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith("["):
            header, _, line = line[1:].partition("]")
            sort, _, named = header.strip().partition(" ")
            name = named.strip().strip('"') if sort.lower() == "remote" else ""
            line = line.strip()
        key, mark, value = line.partition("=")
        if name and mark and key.strip().lower() == "url":
            remotes.setdefault(name, _value(value))
    return {name: url for name, url in remotes.items() if url}


def _value(text: str) -> str:
    """A value of a git configuration: without quotes, comment and escapes."""
    said, quoted, kept = [], False, iter(text.strip())
    for letter in kept:
        if letter == "\\":
            said.append(next(kept, ""))
        elif letter == '"':
            quoted = not quoted
        elif letter in "#;" and not quoted:
            break
        else:
            said.append(letter)
    return "".join(said).strip()


def _part(here: str, top: str, said_in: str, parts: object) -> str:
    """Which part of what begins at `top` the directory belongs to; "" if to none."""
    if isinstance(parts, dict) and parts:
        return _said_part(os.path.relpath(here, said_in), parts)
    for path in _upwards(here):
        if path == top:
            return ""
        if any(_is_file(os.path.join(path, name)) for name in MANIFESTS):
            return os.path.relpath(path, top).replace(os.sep, "/")
    return ""


def _said_part(below: str, parts: dict[object, object]) -> str:
    """The name that the file gives to the longest directory of it that we are in."""
    here = below.replace(os.sep, "/") + "/"
    found = ""
    longest = -1
    for path, name in parts.items():
        within = str(path).strip("/") + "/"
        if isinstance(name, str) and here.startswith(within) and len(within) > longest:
            found, longest = name, len(within)
    return found


def _said(directory: str) -> dict[str, object]:
    """What the file in `directory` says; nothing where it cannot be read as TOML."""
    import tomllib  # most have no such file, and this costs more than all the rest

    try:
        return tomllib.loads(_read(os.path.join(directory, NAME)))
    except (ValueError, RecursionError):
        return {}


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _read(path: str) -> str:
    """The beginning of a regular file; "" where there is none that can be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        return ""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        return os.read(handle, _MOST_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""
    finally:
        os.close(handle)
