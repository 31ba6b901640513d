"""Where payloads are sent, and with which key: from the client's own file, or the environment."""

from __future__ import annotations

import json
import os

# One that never belongs to a server which the environment names.
SPOOL = "spool"
_MOST = 65536


class NoTarget(Exception):
    """Nobody says where to send to, or nobody can read it; the message says what to do.

    `passing` is whether payloads are to be kept until it is mended.
    """

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


class Target:
    """A server: how to reach it, how to be let in, and the file in which payloads wait for it."""

    __slots__ = ("ca", "host", "key", "path", "port", "secure", "spool")

    def __init__(self, url: str, key: str, ca: str, spool: str) -> None:
        scheme, mark, rest = url.strip().partition("://")
        place, slash, path = rest.partition("/")
        self.secure = scheme.lower() == "https"
        self.host, self.port = _host_and_port(place, 443 if self.secure else 80)
        if not mark or scheme.lower() not in ("http", "https") or not self.host:
            raise ValueError("it is no http:// or https:// URL")
        if not (url + key).isascii() or not (url + key).isprintable() or set(path) & set("?# "):
            raise ValueError("URL and key are printable ASCII, without query or spaces")
        self.path = (slash + path).rstrip("/")
        self.key = key.strip()
        self.ca = os.path.expanduser(ca)
        self.spool = spool

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """The URL as it is told, with nothing secret in it."""
        return f"http{'s' if self.secure else ''}://{self.authority}{self.path}"


def read(folder: str) -> Target:
    """The target that the environment names, or else `config.json` in `folder`.

    A key is sent to the server that it was given with and to no other: beside a file with a key,
    another URL of the environment's needs a key of the environment's. Raises NoTarget.
    """
    url = os.environ.get("CLAUDE_MEM_SERVER_URL", "").strip()
    key = os.environ.get("CLAUDE_MEM_SERVER_API_KEY", "").strip()
    kept = _file(folder, quiet=bool(url))
    own_url, own_key = kept.get("url", ""), kept.get("key", "")
    is_own = not url or url.rstrip("/") == own_url.rstrip("/")
    if is_own and key in ("", own_key):
        return _made(own_url, own_key, kept.get("ca", ""), SPOOL, folder)
    if own_key and not key:
        raise NoTarget(
            "CLAUDE_MEM_SERVER_URL names another server than config.json, whose key is not sent "
            "there: set CLAUDE_MEM_SERVER_API_KEY as well",
            passing=False,
        )
    ca = kept.get("ca", "") if is_own else ""
    return _made(url or own_url, key, ca, _apart(url or own_url, key), folder)


def _made(url: str, key: str, ca: str, spool: str, folder: str) -> Target:
    try:
        return Target(url, key, ca, spool)
    except ValueError as error:
        where = "the environment" if spool != SPOOL else os.path.join(folder, "config.json")
        raise NoTarget(
            f"the server's address in {where} cannot be used: {error}", passing=True
        ) from None


def _file(folder: str, *, quiet: bool = False) -> dict[str, str]:
    path = os.path.join(folder, "config.json")
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            said = json.loads(os.read(handle, _MOST).decode().removeprefix("\ufeff"))
        finally:
            os.close(handle)
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        return {name: value for name, value in said.items() if isinstance(value, str)}
    except (OSError, ValueError, RecursionError) as error:
        if quiet:
            return {}
        gone = isinstance(error, FileNotFoundError)
        raise NoTarget(
            f"{path} is missing: `claudemem install` makes it"
            if gone
            else f"{path} cannot be read ({type(error).__name__}): mend it, or let "
            "`claudemem install` make it again",
            passing=not gone,
        ) from None


def _host_and_port(place: str, usual: int) -> tuple[str, int]:
    if "@" in place:
        raise ValueError("a user in it is not sent: use a key")
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or rest[:1] not in ("", ":"):
            raise ValueError("its IPv6 address does not end with ]")
        port = rest[1:]
    else:
        host, _, port = place.partition(":")
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("its port is no number from 1 to 65535")
    return host, int(port) if port else usual


def _apart(url: str, key: str) -> str:
    """The file for a server of the environment's: what waits for one key is sent with no other."""
    import hashlib

    return f"{SPOOL}-{hashlib.sha256(f'{url} {key}'.encode()).hexdigest()[:16]}"
