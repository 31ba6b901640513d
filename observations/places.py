"""Where hooks are called, and which project that is: decided from what was read of a place. Pure.

What a place says of itself comes from files of the caller's machine. In the order of their weight:
a name in `.claude-mem.toml`, the address of the repository, the clone, the directory. The name came
with what somebody else may have written, so it leads to a project only from places of that project.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from hashlib import sha256

from observations.privacy import scrub_name

UNKNOWN = "unknown-project"
LONGEST_NAME = 200

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# As ssh and git take it: a host, a colon, a path. One letter is a drive.
_SCP = re.compile(r"(?:[^@/\\]+@)?([^:@/\\]{2,}|\[[0-9A-Fa-f:.]+\]):(?!//)(.+)", re.DOTALL)
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_PORTS = {"http": "80", "https": "443", "git": "9418"}
# One place under two names.
_HOSTS = {
    "ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org", "ssh.dev.azure.com": "dev.azure.com",
}  # fmt: skip
# Where the case of an address makes no other repository of it.
_CASELESS = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org",
                       "dev.azure.com"})  # fmt: skip
_AZURE = re.compile(r"v3/([^/]+)/([^/]+)/([^/]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of the directory in which a hook was called; "" where nothing is."""

    project: str = ""
    remote: str = ""
    common: str = ""
    root: str = ""
    branch: str = ""
    part: str = ""
    born: str = ""

    def __bool__(self) -> bool:
        return self != NOWHERE


NOWHERE = Place()
_NAMES = frozenset(each.name for each in fields(Place))


@dataclass(frozen=True, slots=True)
class Key:
    """Something that a project is known by: unique in a team, whichever project has it.

    `sort` is explicit, remote, clone or disk; or says, for a place that may name the project.
    """

    sort: str
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which project a place is: by `keys`, the weightiest first; `names` to call it, best first.

    `called` is what it was called while no more was known of it than its directory.
    """

    keys: tuple[Key, ...]
    names: tuple[str, ...]
    called: str
    branch: str = ""
    part: str = ""

    @property
    def kept(self) -> tuple[Key, ...]:
        """The keys by which it is known from now on.

        A directory may hold another repository tomorrow: beside an address it says nothing.
        """
        by_address = any(key.sort == "remote" for key in self.keys)
        return tuple(key for key in self.keys if key.sort != "disk" or not by_address)


def of(facts: Mapping[str, str]) -> Place:
    """The place of which these facts were read, without secrets."""
    return Place(**{name: scrub_name(value) for name, value in facts.items() if name in _NAMES})


def project_of(place: Place, cwd: str) -> Identity:
    """Which project a place is, its file's name heeded; `cwd` is the directory of the agent."""
    own = of_its_own(place, cwd)
    if not place.project:
        return own
    name = place.project[:LONGEST_NAME]
    keys = Key("explicit", name), *_short(*[_saying(key, name) for key in own.kept])
    return Identity(keys, (name,), name, place.branch, place.part)


def _saying(key: Key, name: str) -> Key:
    return Key("says", f"{key.text} says {name}")


def of_its_own(place: Place, cwd: str) -> Identity:
    """Which project a place is, whatever its file says."""
    address = normalised(place.remote)
    disk = directory(place.common or place.root or cwd)
    clone = [Key("clone", f"{disk}#{place.born}")] if place.born and place.common else []
    here = [Key("disk", disk)] if disk else []
    there = [Key("disk" if _is_path(address) else "remote", address)] if address else []
    names = _names(address or disk) or (UNKNOWN,)
    called = last_part(disk) or names[0]
    return Identity(_short(*there, *clone, *here), names, called, place.branch, place.part)


def _short(*keys: Key) -> tuple[Key, ...]:
    """Each key once, and none longer than an index takes."""
    short = {
        key if len(key.text) <= 400 else Key(key.sort, sha256(key.text.encode()).hexdigest()): None
        for key in keys
    }
    return tuple(short)


def _names(address: str) -> tuple[str, ...]:
    """What to call what lies there: its last part, and longer where that is taken."""
    parts = [part for part in re.split(r"[\\/]", address) if part]
    long = ["/".join(parts[-length:])[-LONGEST_NAME:] for length in (1, 2, 3)]
    return tuple(dict.fromkeys(name for name in long if name))


def last_part(path: str) -> str:
    """The last part of a path of any system; "" of a root."""
    parts = [part for part in re.split(r"[\\/]" if "\\" in path else "/", path) if part]
    return parts[-1][:LONGEST_NAME] if parts and not parts[-1].endswith(":") else ""


def directory(path: str) -> str:
    """What a directory on a disk is known by: a repository's as the directory that has it."""
    plain = path.replace("\\", "/").rstrip("/") if _DRIVE.match(path) else path.rstrip("/")
    for end in ("/.git", "/.bare", ".git"):
        if plain.endswith(end) and len(plain) > len(end):
            plain = plain[: -len(end)].rstrip("/")
            break
    return plain[0].lower() + plain[1:] if _DRIVE.match(plain) else plain


def normalised(remote: str) -> str:
    """The address of a repository, the same however it is reached; "" for what is no address.

    `host/path` for what lies on a host, without scheme, user, `.git` and the port that says no
    more than the scheme does; an absolute path for what lies on a disk.
    """
    text = remote.strip()
    if _is_path(text):
        return directory(text)
    if found := _SCHEME.fullmatch(text):
        return _of_url(found[1].lower(), found[2])
    if found := _SCP.fullmatch(text):
        return _on_host(found[1], "", found[2])
    return ""


def _of_url(scheme: str, rest: str) -> str:
    rest = rest.partition("?")[0].partition("#")[0]
    authority, _, path = rest.partition("/")
    if scheme == "file":
        return directory(path if _DRIVE.match(path) else f"/{path}")
    host, port = _host_and_port(authority.rpartition("@")[2])
    # Of a host that is reached by ssh the port names no other collection of repositories.
    says_more = "ssh" not in scheme and port and port != _PORTS.get(scheme)
    return _on_host(host, f":{port}" if says_more else "", path)


def _host_and_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, port = text.partition("]")
        return host + "]", port.lstrip(":")
    host, _, port = text.partition(":")
    return host, port


def _on_host(host: str, port: str, path: str) -> str:
    name = host.lower().rstrip(".")
    name = _HOSTS.get(name, name)
    parts = [part for part in path.split("/") if part]
    where = "/".join(parts).removesuffix(".git").rstrip("/")
    if name == "dev.azure.com":
        where = _AZURE.sub(r"\1/\2/_git/\3", where)
    where = where.lower() if name in _CASELESS else where
    return f"{name}{port}/{where}".rstrip("/") if name else ""


def _is_path(text: str) -> bool:
    return text.startswith(("/", "\\\\")) or bool(_DRIVE.match(text))
