"""Who is at the other end: what a caller sends of itself, and where it calls from.

What a request says of where it comes from is believed only of the proxies that are trusted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from django.conf import settings

Address = IPv4Address | IPv6Address

LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
# What proxies and tunnels add, each its own few: one is enough to tell that a call is not direct.
FORWARDING: Final = frozenset({
    "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SERVER",
    "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_TRUE_CLIENT_IP", "HTTP_CF_CONNECTING_IP",
})  # fmt: skip
# So many hops are looked at: the header is as long as its sender likes.
MOST_HOPS: Final = 16
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::\d+)?", re.ASCII | re.IGNORECASE)
# A household or a rented server has all addresses of such a network.
_SITE_BITS = 64


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of who sends it.

    `raw` is the key, `peer` the address of the other end of the connection, `host` whom it calls,
    `forwarded` whether it came by way of somebody who said so and `hops` what X-Forwarded-For
    names. `origin` and `site` are a browser's: the page that asks, and how that page is related.
    """

    raw: str | None = None
    peer: str = ""
    host: str = ""
    forwarded: bool = False
    hops: str = ""
    origin: str = ""
    site: str = ""

    @classmethod
    def of_environ(cls, environ: Mapping[str, Any]) -> "Caller":
        """Of a WSGI request."""
        get = environ.get
        hops = get("HTTP_X_FORWARDED_FOR")
        return cls(
            _key(get("HTTP_AUTHORIZATION", ""), get("HTTP_X_API_KEY", "")),
            get("REMOTE_ADDR", ""),
            get("HTTP_HOST", ""),
            not FORWARDING.isdisjoint(environ),
            hops or "",
            get("HTTP_ORIGIN", ""),
            get("HTTP_SEC_FETCH_SITE", ""),
        )

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> "Caller":
        """Of an ASGI request."""
        environ = {"REMOTE_ADDR": (scope.get("client") or ("",))[0] or ""}
        for name, value in scope["headers"]:
            if b"_" in name:  # It would pass for another one.
                continue
            said, key = value.decode("latin-1"), _environ_name(name.decode("latin-1"))
            environ[key] = f"{environ[key]},{said}" if key in environ else said
        return cls.of_environ(environ)


def local(caller: Caller) -> bool:
    """Whether a program of this machine calls it directly, and by its own name.

    That is a peer on loopback that is no trusted proxy, a Host of loopback, and nothing that was
    forwarded. The Host keeps out pages whose name was made to lead here.
    """
    if caller.forwarded or host_name(caller.host) not in LOOPBACK_HOSTS:
        return False
    peer = address(caller.peer)
    return peer is not None and peer.is_loopback and not _trusted(peer)


def foreign(caller: Caller) -> bool:
    """Whether a browser asks on behalf of a page that is not of the host that is called."""
    if caller.site not in ("", "same-origin", "none"):
        return True
    if not caller.origin:
        return False
    scheme, _, host = caller.origin.partition("://")
    return scheme not in ("http", "https") or host.lower() != caller.host.lower()


def client(caller: Caller) -> str:
    """The address from which the call comes: the last one that no trusted proxy has."""
    return str(_client(caller) or caller.peer)


def site(caller: Caller) -> str:
    """What stands for everybody at the caller's place: its address, or its network of IPv6."""
    found = _client(caller)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((int(found) >> _SITE_BITS << _SITE_BITS, _SITE_BITS)))
    return str(found or caller.peer)


def address(text: str) -> Address | None:
    """The address that a text names, with or without brackets and port; None for none.

    One of IPv4 in the clothes of IPv6 is that of IPv4.
    """
    try:
        found = ip_address(_bare(text.strip()))
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def host_name(host: str) -> str:
    """The host of a Host header, in small letters and without its port."""
    named = _HOST.fullmatch(host)
    return (named[1] if named else host).lower()


def _client(caller: Caller) -> Address | None:
    found = address(caller.peer)
    for hop in _from_the_last(caller.hops):
        if found is None or not _trusted(found):
            break
        further = address(hop)
        if further is None:
            break
        found = further
    return found


def _from_the_last(hops: str) -> Sequence[str]:
    return hops.rsplit(",", MOST_HOPS)[: -MOST_HOPS - 1 : -1] if hops else ()


def _trusted(found: Address) -> bool:
    proxies = settings.TRUSTED_PROXIES
    return bool(proxies) and any(found in network for network in _networks(tuple(proxies)))


@lru_cache(maxsize=4)
def _networks(named: tuple[str, ...]) -> list[Any]:
    return [ip_network(name, strict=False) for name in named]


def _bare(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _key(authorization: str, named: str) -> str | None:
    """The key in `Authorization: Bearer <key>`, else in `X-Api-Key: <key>`, if there is one."""
    if authorization:
        match authorization.split(None, 1):
            case [scheme, key] if scheme.lower() == "bearer":
                return key.strip()
    return named.strip() or None


def _environ_name(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"
