"""Whether a server can carry messages, by what it tells of itself. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Of Redis, and of what speaks like it.
OLDEST = (6, 2)
NOEVICTION = "noeviction"
APPENDED, SNAPSHOTS, NOTHING = "append-only file", "snapshots", "none"
UNAPPENDED = "no append-only file"

# Servers that speak Redis's protocol give a version of Redis's as well; their own tells them apart.
_PRODUCTS = (("dragonfly_version", "Dragonfly"), ("valkey_version", "Valkey"))
_FSYNC = {"always": "every write", "everysec": "every second", "no": "when the system sees fit"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a server told; "" for what it did not, perhaps because our user may not ask.

    `compatible` is the version of Redis that it says it is like, which for Redis is its own.
    `persistence` is APPENDED (and how often it is written), SNAPSHOTS or NOTHING, or UNAPPENDED
    where it does not say which of the last two.
    """

    product: str = ""
    version: str = ""
    compatible: str = ""
    policy: str = ""
    persistence: str = ""
    clustered: bool = False
    replica: bool = False


def read(info: Mapping[str, str], hello: Mapping[str, str], config: Mapping[str, str]) -> Facts:
    """The facts in the answers to INFO, HELLO and CONFIG GET; any of them may be empty."""
    key, product = next(((k, p) for k, p in _PRODUCTS if k in info), ("redis_version", ""))
    version = info.get(key) or hello.get("version") or ""
    return Facts(
        product=product or (hello.get("server") or ("redis" if info else "")).capitalize(),
        version=version,
        compatible=info.get("redis_version") or version,
        policy=info.get("maxmemory_policy") or config.get("maxmemory-policy") or "",
        persistence=_persistence(info, config),
        clustered="cluster" in (info.get("redis_mode"), hello.get("mode")),
        replica=bool({"slave", "replica"} & {info.get("role"), hello.get("role")}),
    )


def faults(facts: Facts) -> Iterator[str]:
    """Why it must not be used: each with what to do."""
    if facts.compatible and _numbers(facts.compatible) < OLDEST:
        yield f"its version is {facts.version}, and 6.2 is the oldest that is supported"
    if facts.policy not in {"", NOEVICTION}:
        yield (
            f"its maxmemory-policy is {facts.policy}, by which it may drop messages: set it to "
            "noeviction"
        )
    if facts.clustered:
        yield "it is a cluster, where no one command reads several queues: name a single server"
    if facts.replica:
        yield "it is a replica, which takes no messages: name the primary"


def warnings(facts: Facts) -> Iterator[str]:
    """What should be otherwise, or could not be learned: as what follows the server's name."""
    if not facts.policy:
        yield (
            "does not tell us its maxmemory-policy (INFO and CONFIG GET are not allowed): see to "
            "it yourself that it is noeviction"
        )
    if not facts.persistence:
        yield (
            "does not tell us whether it keeps messages over a restart (INFO is not allowed): see "
            "to it yourself that appendonly is yes"
        )
    elif not facts.persistence.startswith(APPENDED):
        yield (
            "has no append-only file: after a restart of it jobs wait until reconcile has sent "
            "them again; set appendonly yes"
        )


def _persistence(info: Mapping[str, str], config: Mapping[str, str]) -> str:
    appends = info.get("aof_enabled") == "1" or config.get("appendonly") == "yes"
    if appends:
        often = _FSYNC.get(config.get("appendfsync", ""))
        return f"{APPENDED}, {often}" if often else APPENDED
    if "save" in config:
        return SNAPSHOTS if config["save"] else NOTHING
    return UNAPPENDED if "aof_enabled" in info else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
