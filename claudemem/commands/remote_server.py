"""A server somewhere else: its address, a key for it, and a look whether both are right."""

import ipaddress
import re
import sys
from urllib.parse import urlsplit

import click
import httpx

from claudemem.install.clientfile import Target

_TIMEOUT = 10.0
_REFUSED = (401, 403)
# What a URL may be made of that agents, shells and people read.
_PLAIN = re.compile(r"[A-Za-z0-9:/._~@%\[\]-]+")


def target(url: str, key: str | None, config: Target | None) -> Target:
    """The server at a URL with a key that it takes, asked for where none is given.

    Raises ClickException where it is no server of this kind, or does not take the key.
    """
    place = address(url)
    known = config if config is not None and config.url == place else None
    raw = key or (known.key if known else _asked(place))
    ca = known.ca if known else ""
    _look(place, raw, ca)
    return Target(place, raw, ca)


def address(url: str) -> str:
    """The URL of a server without a slash at its end. Raises UsageError where it is none."""
    try:
        parts = urlsplit(url.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or not _PLAIN.fullmatch(url.strip()):
        raise click.UsageError(f"--remote needs the URL of a server, https://…: not {url!r}")
    if "@" in parts.netloc:
        raise click.UsageError("--remote takes no name or password: give the key with --key")
    if parts.scheme == "http" and not _is_here(host):
        click.echo("Note: over http:// others on the way can read the key: prefer https", err=True)
    return url.strip().rstrip("/")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _asked(url: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"a key for {url} is needed: give it with --key or in CLAUDE_MEM_SERVER_API_KEY"
        )
    said: str = click.prompt(f"A key for {url}", hide_input=True)
    return said.strip()


def _look(url: str, key: str, ca: str) -> None:
    """See that the key may read and write there; nothing is stored by that."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise click.ClickException("the key is none: it has characters that no key has")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    try:
        with httpx.Client(headers=headers, timeout=_TIMEOUT, verify=ca or True) as client:
            read = client.get(f"{url}/v1/connect")
            # No payload: whoever may write is told that.
            written = client.post(f"{url}/v1/hooks/claude-code", content="null")
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise click.ClickException(
            f"no server answers at {url} ({type(error).__name__}: {error}): nothing was changed"
        ) from error
    if read.status_code in _REFUSED or written.status_code in _REFUSED:
        raise click.ClickException(
            f"{url} does not take the key: it needs memories:read and memories:write there; "
            "nothing was changed"
        )
    if read.status_code != 200 or written.status_code != 400:
        raise click.ClickException(
            f"{url} is no memory server, or is not well (it answered {read.status_code} and "
            f"{written.status_code}): nothing was changed"
        )
