"""Which database: the file in the data directory, or a PostgreSQL server named by a URL. Pure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from environ import Env

_SCHEMES = ("postgres", "postgresql", "pgsql", "psql")
# Those of libpq, in the order of their strictness.
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NO_URL = (
    "must be a PostgreSQL URL such as postgres://user:password@host:5432/name, with what is "
    "neither letter nor digit in user and password percent-encoded; unset, it is SQLite in the "
    "data directory"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process may ask of a PostgreSQL server. Times are in milliseconds.

    `pool` connections at most; one that was idle for `idle` is closed; nobody waits longer than
    `connect` for one, and no statement runs longer than `statement`.
    """

    pool: int
    idle: int
    connect: int
    statement: int


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
                "PRAGMA mmap_size=134217728; PRAGMA cache_size=-1000;"
            ),
        },
    }


def wrong_url(url: str) -> str:
    """What is wrong with the URL of a PostgreSQL database, without repeating it, or ""."""
    return "" if _parsed(url) else _NO_URL


def postgresql(url: str, limits: Limits, *, sslmode: str) -> dict[str, Any]:
    """Django's settings for the server at `url`, whose query may hold any option of libpq.

    `sslmode` holds where the URL says nothing; empty leaves it to libpq. The URL is one that
    `wrong_url` finds nothing wrong with.
    """
    config = _parsed(url)
    # A socket's directory is written as a host, percent-encoded, as libpq has it.
    config["HOST"] = unquote(config["HOST"])
    given = config.pop("OPTIONS", {})
    if sslmode:
        given.setdefault("sslmode", sslmode)
    given.setdefault("application_name", "claudemem")
    # The hot path's statements are planned once a connection (queueing/direct.py), not each time.
    given.setdefault("prepare_threshold", 3)
    given.setdefault("connect_timeout", max(1, limits.connect // 1000))
    # Compiling a statement costs more than any of ours takes.
    timeout = f"-c statement_timeout={limits.statement} -c jit=off"
    given["options"] = f"{given['options']} {timeout}" if "options" in given else timeout
    given["pool"] = {
        "min_size": 1,
        "max_size": limits.pool,
        "timeout": limits.connect / 1000,
        "max_idle": limits.idle / 1000,
        # After an outage the next who needs a connection tries at once, not after a long pause.
        "reconnect_timeout": 2.0,
    }
    # A thread keeps its connection for a request or a step of a job; the pool keeps it open.
    return {**config, "CONN_MAX_AGE": 0, "OPTIONS": given}


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
