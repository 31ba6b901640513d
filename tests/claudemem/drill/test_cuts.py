"""What can be cut where, and the way around for the drill's own workers."""

from pathlib import Path

import pytest
from django.conf import LazySettings

from claudemem import databases
from claudemem.drill import cuts
from claudemem.drill.errors import NotHere
from queueing import addresses
from queueing.managed import ManagedStore

pytestmark = pytest.mark.once

LIMITS = databases.Limits(pool=1, idle=1, connect=1000, statement=1000, silence=5000)


def to_database(url: str) -> dict[str, str]:
    _, ways = cuts._to_database(databases.postgresql(url, LIMITS, sslmode=""), url)
    return databases.postgresql(ways(9)["CLAUDE_MEM_SERVER_DATABASE_URL"], LIMITS, sslmode="")


def to_store(url: str) -> str:
    _, ways = cuts._to_store(addresses.parse(url))
    variables = ways(9)
    assert variables.pop("CLAUDE_MEM_REDIS_MODE") == "external"
    return variables["CLAUDE_MEM_REDIS_URL"]


@pytest.mark.parametrize(
    ("url", "way"),
    [
        ("redis://store.example:6380/3", "redis://127.0.0.1:9/3"),
        ("redis://:se%2Fcret@store.example", "redis://:se%2Fcret@127.0.0.1:9/0"),
        ("valkey://me:secret@store.example", "redis://me:secret@127.0.0.1:9/0"),
        ("unix:///run/store.sock?db=2", "redis://127.0.0.1:9/2"),
    ],
)
def test_the_way_to_a_store_keeps_all_but_its_place(url: str, way: str) -> None:
    assert to_store(url) == way


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("rediss://store.example", "by TLS"),
        ("sentinel://one.example,two.example/primary", "Sentinels"),
    ],
)
def test_where_nothing_can_be_put_in_between_the_reason_is_told(url: str, why: str) -> None:
    with pytest.raises(NotHere, match=why):
        to_store(url)


def test_the_way_to_a_database_keeps_the_name_that_tls_verifies() -> None:
    known = to_database("postgres://me:se%40cret@db.example:5433/memory?sslmode=verify-full")
    assert (known["HOST"], str(known["PORT"]), known["NAME"]) == ("db.example", "9", "memory")
    assert (known["USER"], known["PASSWORD"]) == ("me", "se@cret")
    assert known["OPTIONS"]["hostaddr"] == "127.0.0.1"
    assert known["OPTIONS"]["sslmode"] == "verify-full"


def test_the_way_to_a_database_behind_a_socket_leads_by_a_port() -> None:
    known = to_database("postgres://me@%2Frun%2Fpostgresql/memory")
    assert (known["HOST"], str(known["PORT"])) == ("localhost", "9")
    assert known["OPTIONS"]["hostaddr"] == "127.0.0.1"


def test_a_database_in_a_file_has_no_way_that_could_be_cut(settings: LazySettings) -> None:
    settings.QUEUE_ENGINE, settings.STORE, settings.DATABASE_URL = "database", None, ""
    with cuts.chosen(gentle=False) as cut, pytest.raises(NotHere, match="a file here"):
        cut.take()
    assert cuts.stoppable() is None


def test_a_store_that_does_not_run_is_not_stopped(settings: LazySettings, tmp_path: Path) -> None:
    settings.QUEUE_ENGINE, settings.STORE = "celery", ManagedStore(tmp_path / "r", tmp_path)
    assert cuts.stoppable() is settings.STORE
    with cuts.chosen(gentle=False) as cut, pytest.raises(NotHere, match="not found running"):
        cut.take()
