"""What a server in containers must be told, and what it must not do there. Pure.

Any container refuses what would open it to strangers. One that says that it is part of a
deployment (`CLAUDE_MEM_DOCKER=1`, as our image does) shares database, queue store and signing key
with others, so they must be named to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

RUNTIMES = frozenset({"server", "server-beta"})
# Shorter than this, a signing key can be guessed from one cookie.
KEY_LENGTH = 32
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the environment says of where and how this process runs.

    `contained`: in a container, `deployed`: as part of a deployment; `database`, `store` and
    `signing_key`: whether they are named to it; `proxied`: with a proxy in front, `open_host`:
    where others than this machine call. `open_project`: in one project callers of this machine
    need no key. `runtime` may be empty.
    """

    contained: bool
    deployed: bool
    auth_mode: str
    bypass: bool
    runtime: str
    database: bool
    store: bool
    signing_key: bool
    proxied: bool = False
    open_project: bool = False
    open_host: bool = False

    @property
    def local_dev(self) -> bool:
        """Whether callers of this machine need no key."""
        return self.auth_mode == "local-dev" and self.bypass

    @property
    def is_shared(self) -> bool:
        """Whether others than the programs of one machine may reach it."""
        return self.contained or self.proxied or self.open_host


def faults(about: Deployment) -> Iterator[str]:
    """A sentence about everything that must be mended, with the variable and what to do."""
    if about.contained:
        yield from _unsafe(about)
    elif about.local_dev:
        yield from _exposed(about, "CLAUDE_MEM_AUTH_MODE: local-dev")
    if about.open_project:
        yield from _exposed(about, "CLAUDE_MEM_LOCAL_PROJECT")
    if about.deployed:
        yield from _missing(about)


def halves(about: Deployment) -> Iterator[str]:
    """A warning where one of the two says that callers need no key, which takes both."""
    if about.auth_mode == "local-dev" and not about.bypass:
        yield (
            "CLAUDE_MEM_AUTH_MODE=local-dev does nothing alone: set "
            "CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS=1 as well, or use API keys"
        )


def hasty_leases(lease: float, heartbeat: float) -> Iterator[str]:
    """A sentence where a lease (in seconds) would not survive two lost heartbeats."""
    if lease <= 3 * heartbeat:
        yield (
            f"a lease of {lease:g} s is not longer than three heartbeats of {heartbeat:g} s: raise "
            "CLAUDE_MEM_LEASE_SECONDS or lower CLAUDE_MEM_HEARTBEAT_SECONDS"
        )


def hasty_verdicts(limit: float, every: float) -> Iterator[str]:
    """A sentence where canaries that come `every` so many seconds are late by the `limit`."""
    if limit <= every:
        yield (
            f"a limit of {limit:g} s for canaries is not longer than the {every:g} s between two: "
            "raise CLAUDE_MEM_HEALTH_CANARY_SECONDS or lower CLAUDE_MEM_CANARY_SECONDS"
        )


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as browsers name where a form comes from."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def host(url: str) -> str:
    """The host of a URL, as browsers name whom they call; empty where there is no URL."""
    name = urlsplit(url).hostname or ""
    return f"[{name}]" if ":" in name else name


def is_loopback(name: str) -> bool:
    """Whether only this machine can call whoever listens at this host."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def weak_key(key: str) -> str:
    """What is wrong with a signing key, or ""."""
    if len(key) >= KEY_LENGTH and len(set(key)) > 5:
        return ""
    return (
        f"must have at least {KEY_LENGTH} random characters: take those of `openssl rand -hex 32`"
    )


def wrong_team(name: str) -> str:
    """What is wrong with the id of a team, or ""."""
    # As ids are made: it goes into statements and into names of keys.
    if _ID.fullmatch(name):
        return ""
    return "must be the id of a team, as `claudemem api-key list` shows it"


def wrong_host(name: str) -> str:
    """What is wrong with a name under which the admin may be called, or ""."""
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name.replace(":", "/")
    if not set(bare) & set("/@?# []"):
        return ""
    return "must have host names alone, with commas between them: no scheme, port or path"


def wrong_network(text: str) -> str:
    """What is wrong with the address or network of a proxy, or ""."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return "must have addresses or networks, with commas between them: 10.0.0.5,10.1.0.0/16"
    return ""


_ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::(?:[0-9]{1,5}|\*))?", re.ASCII)


def wrong_origin(name: str) -> str:
    """What is wrong with an origin whose pages may call the API, or ""."""
    if _ORIGIN.fullmatch(name):
        return ""
    return (
        "must have origins alone, with commas between them, as http://ui.example, or "
        "http://localhost:* for any port: small letters, no path"
    )


def _exposed(about: Deployment, what: str) -> Iterator[str]:
    """Who is let in as a caller of this machine must be one."""
    if about.proxied:
        yield (
            f"{what} is not allowed behind a proxy, whose calls come from this machine: unset it, "
            "or CLAUDE_MEM_PUBLIC_URL and CLAUDE_MEM_TRUSTED_PROXIES"
        )
    if about.open_host:
        yield (
            f"{what} is not allowed where other machines can call: unset it, or leave "
            "CLAUDE_MEM_SERVER_HOST at 127.0.0.1"
        )


def _unsafe(about: Deployment) -> Iterator[str]:
    if about.auth_mode == "local-dev":
        yield (
            "CLAUDE_MEM_AUTH_MODE: local-dev is not allowed in Docker: unset it, and use API keys"
        )
    if about.bypass:
        yield (
            "CLAUDE_MEM_ALLOW_LOCAL_DEV_BYPASS is not allowed in Docker: unset it, and use API keys"
        )
    if about.runtime and about.runtime not in RUNTIMES:
        yield "CLAUDE_MEM_RUNTIME must be server or server-beta in Docker, or not be set"


def _missing(about: Deployment) -> Iterator[str]:
    if not about.database:
        yield (
            "CLAUDE_MEM_SERVER_DATABASE_URL is required in Docker: name the PostgreSQL server as "
            "postgres://user:password@host:5432/name"
        )
    if not about.store:
        yield (
            "CLAUDE_MEM_REDIS_URL is required in Docker: name the Valkey or Redis server as "
            "redis://:password@host:6379/0"
        )
    if not about.signing_key:
        yield (
            "CLAUDE_MEM_SECRET_KEY is required in Docker, the same for all containers: take what "
            "`openssl rand -hex 32` prints"
        )
