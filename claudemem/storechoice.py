"""Which engine and which queue store the environment asks for. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

MANAGED, EXTERNAL, DOCKER = MODES = ("managed", "external", "docker")
HOST, PORT = "127.0.0.1", 6379
CELERY, DATABASE = "celery", "database"
# Their names, and those that other servers of this kind have for them.
ENGINES = {CELERY: CELERY, DATABASE: DATABASE, "bullmq": CELERY, "sqlite": DATABASE}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was given; "" and 0 for what was not."""

    mode: str
    url: str
    host: str
    port: int


def mode(asked: Asked) -> str:
    """Who runs the store. Whoever names a server means that one."""
    if asked.mode:
        return asked.mode
    return EXTERNAL if asked.url or asked.host or asked.port else MANAGED


def external_url(asked: Asked) -> str:
    """The URL of the server that is meant, "" where none is."""
    if mode(asked) != EXTERNAL:
        return ""
    host = asked.host or HOST
    place = f"[{host}]" if ":" in host else host
    return asked.url or f"redis://{place}:{asked.port or PORT}/0"


def faults(asked: Asked) -> Iterator[str]:
    """A sentence about everything that contradicts itself, with the variable and what to do."""
    if asked.mode in {MANAGED, DOCKER}:
        for name in _naming(asked):
            yield (
                f"{name} names a server of your own, and CLAUDE_MEM_REDIS_MODE is {asked.mode}: "
                f"unset {name}, or set CLAUDE_MEM_REDIS_MODE to external"
            )
    elif asked.url and not _agree(asked):
        yield (
            "CLAUDE_MEM_REDIS_URL and CLAUDE_MEM_REDIS_HOST or CLAUDE_MEM_REDIS_PORT name "
            "different servers: unset what is not meant"
        )


def is_named(engine: str, asked: Asked) -> bool:
    """Whether the store is known to all who share it: there is none, or its place was given."""
    return engine == DATABASE or bool(asked.url or asked.host)


def wrong_host(name: str) -> str:
    """What is wrong with the name or address of a server, or ""."""
    if not set(name) & set("/@?#[] "):
        return ""
    return "must be a host name or an address alone: no scheme, port, path or brackets"


def _naming(asked: Asked) -> Iterator[str]:
    for name, given in (("URL", asked.url), ("HOST", asked.host), ("PORT", asked.port)):
        if given:
            yield f"CLAUDE_MEM_REDIS_{name}"


def _agree(asked: Asked) -> bool:
    if not (asked.host or asked.port):
        return True
    there = urlsplit(asked.url)
    return asked.host.lower() in {"", there.hostname} and asked.port in {0, there.port or PORT}
