"""URLs of queue stores: what they say, in the words of those who connect. Pure; loads no client.

    redis://[user[:password]@]host[:port][/database]        also valkey://
    rediss://…                                              the same over TLS, also valkeys://
    unix://[[user]:password@]/path/of/the/socket[?db=1]     also redis+socket://
    sentinel://[user[:password]@]host[:port],host…/primary[/database]
    sentinels://…                                           the same over TLS

TLS verifies certificates and names unless an option says otherwise. No sentence about a URL
repeats any of it: a password may stand where it does not belong.
"""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

PORT, SENTINEL_PORT = 6379, 26379
PREFIX = "claude_mem"
_PLAIN, _TLS = ("redis", "valkey"), ("rediss", "valkeys")
_SENTINEL, _SENTINELS = "sentinel", "sentinels"
_SOCKET = ("unix", "redis+socket")
_SCHEMES = (*_PLAIN, *_TLS, _SENTINEL, _SENTINELS, _SOCKET[0])
_SHAPE = f"must be a URL that begins with {', '.join(f'{name}://' for name in _SCHEMES)}"
_VERIFIES = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

Host = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a queue store is, and how to come in.

    `hosts` are those of its Sentinels where `primary`, the name that they know it by, is given.
    `tls` holds redis-py's options, and None without TLS; `sentinel` those for the Sentinels.
    """

    hosts: tuple[Host, ...] = ()
    path: str = ""
    primary: str = ""
    database: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    tls: Mapping[str, Any] | None = None
    sentinel: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """Where it is, for people: without any password."""
        if self.path:
            return f"{self.path}/{self.database}"
        named = ",".join(_joined(*host) for host in self.hosts)
        return f"{named}/{self.primary or self.database}" + (
            f"/{self.database}" if self.primary else ""
        )

    @property
    def broker_url(self) -> str:
        """The same as kombu writes it, without the options."""
        came_in = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        door = came_in if self.user or self.password else ""
        if self.path:
            return f"redis+socket://{door}{quote(self.path)}?virtual_host={self.database}"
        scheme = _SENTINEL if self.primary else "redis" if self.tls is None else "rediss"
        return ";".join(f"{scheme}://{door}{_joined(*host)}/{self.database}" for host in self.hosts)

    @property
    def broker_options(self) -> dict[str, Any]:
        """What kombu must be told beside the URL and `tls`."""
        if not self.primary:
            return {}
        return {"master_name": self.primary, "sentinel_kwargs": dict(self.sentinel)}


def parse(url: str) -> Address:
    """What `url` says. Raises ValueError; its message goes on after the name of a setting."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"{_SHAPE} and names a host") from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise ValueError("has a /, ? or # in its password: write %2F, %3F or %23 there")
    if parts.scheme in _SOCKET:
        return _socket(parts)
    if parts.scheme in (_SENTINEL, _SENTINELS):
        return _watched(parts)
    if parts.scheme in (*_PLAIN, *_TLS):
        return _server(parts)
    raise ValueError(f"{_SHAPE} and names a host")


def wrong(url: str) -> str:
    """What is wrong with `url`, to go on after the name of a setting; "" if nothing is."""
    try:
        parse(url)
    except ValueError as error:
        return str(error)
    return ""


def shown(url: str) -> str:
    """Where the store of `url` is, without any password; "" for no URL."""
    return parse(url).shown if url else ""


def prefix(asked: str) -> str:
    """What every key of ours begins with, before a colon; the default where nothing is asked."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", asked) or PREFIX


def narrowed(prefix: str, team_id: str) -> str:
    """The prefix of keys of one team's own queues, beneath `prefix`; that itself for no team."""
    return f"{prefix}:{team_id}" if team_id else prefix


def _server(parts: SplitResult) -> Address:
    hosts = tuple(_hosts(parts, PORT))
    if len(hosts) > 1:
        raise ValueError("must name one host: several are named with sentinel://")
    return Address(
        hosts=hosts,
        database=_database(parts.path.strip("/")),
        tls=_tls(parts, parts.scheme in _TLS),
        **_who(parts),
    )


def _watched(parts: SplitResult) -> Address:
    primary, _, database = parts.path.strip("/").partition("/")
    if not primary:
        raise ValueError(
            "must say after the Sentinels' hosts by which name they know the primary, as in "
            "sentinel://host:26379,host:26379/mymaster/0"
        )
    tls = _tls(parts, parts.scheme == _SENTINELS)
    return Address(
        hosts=tuple(_hosts(parts, SENTINEL_PORT)),
        primary=unquote(primary),
        database=_database(database),
        tls=tls,
        sentinel=_sentinel(parts, tls),
        **_who(parts),
    )


def _socket(parts: SplitResult) -> Address:
    options = _options(parts, {"db", "virtual_host"})
    if not parts.path.strip("/") or "," in parts.netloc.rpartition("@")[2]:
        raise ValueError("must name the path of a socket, as in unix:///run/valkey.sock?db=0")
    database = options.get("db") or options.get("virtual_host") or ""
    return Address(path=unquote(parts.path), database=_database(database), **_who(parts))


def _who(parts: SplitResult) -> dict[str, Any]:
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    return {"user": unquote(user), "password": unquote(password)}


def _hosts(parts: SplitResult, default: int) -> Iterator[Host]:
    for place in parts.netloc.rpartition("@")[2].split(","):
        try:
            one = urlsplit(f"//{place}")
            host, port = one.hostname, one.port
        except ValueError:
            host, port = None, 0
        if not host or port == 0:
            raise ValueError(f"{_SHAPE} and names a host, with a port from 1 to 65535 if any")
        yield host, port or default


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must name its database by a number: 0 is the usual one")
    return int(text)


def _tls(parts: SplitResult, wanted: bool) -> Mapping[str, Any] | None:
    known = {name for name in _FOR_SENTINELS if parts.scheme in (_SENTINEL, _SENTINELS)}
    options = _options(parts, known | (set(_FOR_TLS) if wanted else set()))
    if not wanted:
        return None
    told = {name: _FOR_TLS[name](value) for name, value in options.items() if name in _FOR_TLS}
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **told}


def _sentinel(parts: SplitResult, tls: Mapping[str, Any] | None) -> dict[str, Any]:
    options = dict(parse_qsl(parts.query))
    who = {
        name.removeprefix("sentinel_"): options[name]
        for name in ("sentinel_username", "sentinel_password")
        if name in options
    }
    plain = tls is None or not _yes_or_no("sentinel_tls")(options.get("sentinel_tls", "true"))
    return who if plain else {**who, "ssl": True, **(tls or {})}


def _options(parts: SplitResult, known: set[str]) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if set(options) - known:
        raise ValueError(
            f"holds an option that is not known: there are {', '.join(sorted(known))}"
            if known
            else "holds an option, and such a URL has none: those of TLS need rediss://"
        )
    return options


def _verification(value: str) -> ssl.VerifyMode:
    if (word := value.lower().removeprefix("cert_")) not in _VERIFIES:
        raise ValueError("must say in ssl_cert_reqs one of required, optional, none")
    return _VERIFIES[word]


def _yes_or_no(name: str) -> Callable[[str], bool]:
    def read(value: str) -> bool:
        if value.lower() not in _TRUTH:
            raise ValueError(f"must say in {name} either true or false")
        return _TRUTH[value.lower()]

    return read


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_FOR_TLS: dict[str, Callable[[str], Any]] = {
    "ssl_cert_reqs": _verification,
    "ssl_check_hostname": _yes_or_no("ssl_check_hostname"),
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
}
_FOR_SENTINELS = ("sentinel_username", "sentinel_password", "sentinel_tls")
