"""Which database: the file in the data directory, or a PostgreSQL server named by a URL. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from environ import Env

from queueing import silence

_SCHEMES = ("postgres", "postgresql", "pgsql", "psql")
# Those of libpq, in the order of their strictness.
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Compiling a statement costs more than any of ours takes. Row locks count on seeing what others
# committed while they were waited for, whatever the role or the database prefers.
_SESSION = r"-c jit=off -c default_transaction_isolation=read\ committed"
# Beyond its statement timeout, a server has so long (seconds) to say that it ended a statement.
GRACE = 5.0
_NO_URL = (
    "must be a PostgreSQL URL such as postgres://user:password@host:5432/name, with what is "
    "neither letter nor digit in user and password percent-encoded; unset, it is SQLite in the "
    "data directory"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may ask of a PostgreSQL server. Times are in milliseconds.

    `pool` connections at most; one that was idle for `idle` is closed; nobody waits longer than
    `connect` for one, and no statement runs longer than `statement`. Who is not heard of for
    `silence` is held for gone, on either side.
    """

    pool: int
    idle: int
    connect: int
    statement: int
    silence: int


def sqlite(path: Path, *, timeout: float) -> dict[str, Any]:
    """Django's settings for the SQLite file; `timeout` is how long to wait for its lock (s)."""
    return {
        "ENGINE": "claudemem.sqlite",
        "NAME": str(path),
        # A file, as in use: threads of a test see one another's commits as processes do.
        "TEST": {"NAME": str(path.parent / "test.sqlite3")},
        # Handlers and tasks keep their connection; opening one costs more than most queries.
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            # A deferred transaction that reads and then writes fails at once when another wrote.
            "transaction_mode": "IMMEDIATE",
            "timeout": timeout,
            # The driver keeps prepared statements a connection, and a worker has one a thread.
            "cached_statements": 32,
            # FULL: what was accepted survives a power cut. A worker has a connection, with a cache
            # of its own, for each of its threads; what is mapped they share.
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; "
                "PRAGMA mmap_size=134217728; PRAGMA cache_size=-1000; "
                # What a long read made the journal grow to is given back when it begins anew.
                "PRAGMA journal_size_limit=67108864;"
            ),
        },
    }


def wrong_url(url: str) -> str:
    """What is wrong with the URL of a PostgreSQL database, without repeating it, or ""."""
    if not (config := _parsed(url)):
        return _NO_URL
    options = config.get("OPTIONS", {})
    if options.get("sslmode", "prefer") not in SSL_MODES:
        return f"has an sslmode that there is not: it must be one of {', '.join(SSL_MODES)}"
    if _threshold(options) == "wrong":
        return (
            "has a prepare_threshold that is none: it must be the number of uses after which a "
            "statement is prepared, or `none` for poolers that cannot keep any"
        )
    return ""


def wrong_schema(name: str) -> str:
    """What is wrong with the name of a schema, or ""."""
    if _SCHEMA.fullmatch(name):
        return ""
    return "must be a name of lower-case letters, digits and underscores, 63 at most"


def postgresql(url: str, limits: Limits, *, sslmode: str, schema: str = "") -> dict[str, Any]:
    """Django's settings for the server at `url`, whose query may hold any option of libpq.

    `sslmode` holds where the URL says nothing; empty leaves it to libpq. `schema` is where tables
    lie; empty leaves that to the role. `wrong_url` and `wrong_schema` find nothing wrong with them.
    """
    config = _parsed(url)
    # A socket's directory is written as a host, percent-encoded, as libpq has it.
    config["HOST"] = unquote(config["HOST"])
    given = config.pop("OPTIONS", {})
    if sslmode:
        given.setdefault("sslmode", sslmode)
    given.setdefault("application_name", "claudemem")
    given["prepare_threshold"] = _threshold(given)
    given.setdefault("connect_timeout", max(1, limits.connect // 1000))
    place = f" -c search_path={schema}" if schema else ""
    # A client that freezes in a transaction, or that the network has lost, holds its locks.
    idle = f"-c idle_in_transaction_session_timeout={min(limits.statement, limits.silence)}"
    there, here = _probes(limits.silence)
    ours = f"-c statement_timeout={limits.statement} {idle} {there} {_SESSION}{place}"
    given["options"] = _appended(given.get("options", ""), ours)
    for name, value in here.items():
        given.setdefault(name, value)
    given["patience"] = limits.statement / 1000 + GRACE
    given["pool"] = {
        "min_size": 1,
        "max_size": limits.pool,
        "timeout": limits.connect / 1000,
        "max_idle": limits.idle / 1000,
        # After an outage the next who needs a connection tries at once, not after a long pause.
        "reconnect_timeout": 2.0,
    }
    return {
        **config,
        # A thread keeps its connection for a request or a step of a job; the pool keeps it open.
        "CONN_MAX_AGE": 0,
        # A pooler that gives a connection away after each transaction loses what is kept in one.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": given,
    }


def place(options: Mapping[str, Any]) -> str:
    """Where a database is, for people: its file, or its server and name, without its password."""
    if not options.get("HOST"):
        return str(options["NAME"])
    return f"{options['NAME']} at {options['HOST']}:{options.get('PORT') or 5432}"


def hurried(options: Mapping[str, Any]) -> dict[str, Any]:
    """The `options` of PostgreSQL's settings, for a probe: no pool, and a second for an answer."""
    return {
        **options,
        "pool": None,
        "connect_timeout": 1,
        "patience": 1.5,
        "options": _appended(options.get("options", ""), "-c statement_timeout=1000"),
    }


def unhurried(options: Mapping[str, Any]) -> dict[str, Any]:
    """The `options` of PostgreSQL's settings, for work on whole tables: no pool and no limit."""
    return {
        **options,
        "pool": None,
        "patience": 0,
        "options": _appended(
            options.get("options", ""),
            "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0",
        ),
    }


def _probes(milliseconds: int) -> tuple[str, dict[str, int]]:
    """How the server's kernel notices that we are gone, and ours that the server is.

    Both overlook it on a socket of this machine, where nobody can get lost.
    """
    asked = silence.probes(milliseconds / 1000)
    there = (
        f"-c tcp_keepalives_idle={asked.idle} -c tcp_keepalives_interval={asked.interval} "
        f"-c tcp_keepalives_count={asked.count}"
    )
    return there, {
        "keepalives_idle": asked.idle,
        "keepalives_interval": asked.interval,
        "keepalives_count": asked.count,
        "tcp_user_timeout": milliseconds,
    }


def _threshold(options: Mapping[str, Any]) -> int | Literal["wrong"] | None:
    """The hot path's statements are planned once a connection (queueing/direct.py), not each time.

    Some poolers cannot keep them: for those it is `none` in the URL.
    """
    given = options.get("prepare_threshold", 3)
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    return None if str(given).lower() == "none" else "wrong"


def _appended(options: str, more: str) -> str:
    """Of two that say the same, the last holds."""
    return f"{options} {more}".strip()


def _parsed(url: str) -> dict[str, Any]:
    """Django's words for where it is; empty where it is no such URL."""
    scheme, _, rest = url.partition("://")
    # Behind the first slash of all stands a name. With an @ in it, that was the password's slash.
    name = rest.partition("?")[0].partition("/")[2]
    if scheme not in _SCHEMES or not name or "@" in name:
        return {}
    try:
        config: dict[str, Any] = Env.db_url_config(url, engine="claudemem.postgresql")
    except ValueError:
        return {}
    return config if config.get("NAME") else {}
