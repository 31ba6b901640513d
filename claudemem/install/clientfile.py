"""The hook client's `config.json`: where it sends what hooks bring, and with which key. Pure."""

import json
from dataclasses import dataclass
from pathlib import Path

from claudemem.install.plan import Change, Found, Refused

NAME = "config.json"


@dataclass(frozen=True, slots=True)
class Target:
    """A server, a key for it, and the file with the authority that signed its certificate."""

    url: str
    key: str
    ca: str = ""


def read(found: Found) -> Target | None:
    """What the file says; None where there is none. Raises Refused for anything else."""
    if found.content is None:
        return None
    try:
        said = json.loads(found.content)
        url, key, ca = said["url"], said["key"], said.get("ca") or ""
    except (ValueError, KeyError, TypeError, AttributeError):
        url = key = ca = None
    if not (isinstance(url, str) and isinstance(key, str) and isinstance(ca, str)):
        raise Refused(f"{found.path} cannot be understood: remove it, and run this again")
    return Target(url, key, ca)


def change(found: Found, target: Target) -> Change:
    """The file as it has to be for this target. A file that says so already stays as it is."""
    said = {"url": target.url, "key": target.key, "ca": target.ca or None}
    text = json.dumps(said, indent=2) + "\n"
    same = found.content is not None and read(found) == target
    after = found.content if same else text.encode()
    return Change(found.path, found.content, after, secret=True)


def path(directory: Path) -> Path:
    """Where it is, in the directory of the client."""
    return directory / NAME
