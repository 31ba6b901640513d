"""Whether a server is fit for messages, by what it tells of itself."""

import pytest

from queueing import fitness
from queueing.fitness import Facts

pytestmark = pytest.mark.once

INFO = {"redis_version": "7.0.15", "redis_mode": "standalone", "role": "master",
        "maxmemory_policy": "noeviction", "aof_enabled": "1"}  # fmt: skip
HELLO = {"server": "valkey", "version": "9.1.2", "mode": "standalone", "role": "master"}
CONFIG = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec",
          "save": "60 1"}  # fmt: skip
SOUND = fitness.read(INFO, {}, CONFIG)


def test_a_sound_server_has_no_faults_and_earns_no_warning() -> None:
    assert not [*fitness.faults(SOUND), *fitness.warnings(SOUND)]


@pytest.mark.parametrize(
    ("info", "product", "version"),
    [
        ({"redis_version": "7.0.15"}, "Redis", "7.0.15"),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "Valkey", "9.1.2"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-v1.30.0"}, "Dragonfly", "df-v1.30.0"),
    ],
)
def test_a_server_is_called_what_it_calls_itself(
    info: dict[str, str], product: str, version: str
) -> None:
    facts = fitness.read({**INFO, **info}, {}, CONFIG)
    assert (facts.product, facts.version) == (product, version)
    assert not list(fitness.faults(facts))


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("redis_version", "6.0.16", "6.2 is the oldest"),
        ("maxmemory_policy", "volatile-lru", "set it to noeviction"),
        ("redis_mode", "cluster", "a single server"),
        ("role", "slave", "name the primary"),
    ],
)
def test_a_server_that_cannot_serve_has_a_fault_that_says_what_to_do(
    fact: str, value: str, said: str
) -> None:
    (fault,) = fitness.faults(fitness.read({**INFO, fact: value}, {}, CONFIG))
    assert said in fault


@pytest.mark.parametrize("version", ["6.2.0", "7.0.1", "10.0.0", "8.0.0-rc1"])
def test_newer_servers_are_taken(version: str) -> None:
    facts = fitness.read({**INFO, "redis_version": version}, {}, CONFIG)
    assert not list(fitness.faults(facts))


@pytest.mark.parametrize(
    ("aof", "config", "persistence"),
    [
        ("1", {"appendfsync": "everysec"}, "append-only file, every second"),
        ("1", {"appendfsync": "always"}, "append-only file, every write"),
        ("1", {}, "append-only file"),
        ("0", {"save": "3600 1"}, "snapshots"),
        ("0", {"save": ""}, "none"),
        ("0", {}, "no append-only file"),
    ],
)
def test_what_it_keeps_is_put_into_words(
    aof: str, config: dict[str, str], persistence: str
) -> None:
    facts = fitness.read({**INFO, "aof_enabled": aof}, {}, config)
    assert facts.persistence == persistence
    warned = any("set appendonly yes" in said for said in fitness.warnings(facts))
    assert warned is (aof == "0")


def test_one_that_tells_nothing_of_itself_earns_warnings_and_no_fault() -> None:
    facts = fitness.read({}, {}, {})
    assert facts == Facts()
    assert not list(fitness.faults(facts))
    assert [said.partition(":")[0] for said in fitness.warnings(facts)] == [
        "does not tell us its maxmemory-policy (INFO and CONFIG GET are not allowed)",
        "does not tell us whether it keeps messages over a restart (INFO is not allowed)",
    ]


def test_where_info_is_forbidden_the_greeting_and_the_configuration_do() -> None:
    facts = fitness.read({}, HELLO, CONFIG)
    assert facts == Facts(
        "Valkey", "9.1.2", "9.1.2", "noeviction", "append-only file, every second"
    )
    assert list(fitness.faults(fitness.read({}, {**HELLO, "mode": "cluster"}, {})))
    assert list(fitness.faults(fitness.read({}, {**HELLO, "role": "replica"}, {})))
