"""The journal is read once, in one order and whole, in whichever order it is committed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observations import audit, entries, journal
from observations.entries import Entry
from observations.journal import Horizon, Place
from observations.models import AuditEntry, Team
from tests.postgres import on_postgresql

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("alone_on_the_server"),
]
postgresql = pytest.mark.skipif(not on_postgresql(), reason="SQLite has one writer")

TEAM = "team"
INSERT = """
    INSERT INTO observations_auditentry (created_at, action, resource_type, resource_id, team_id,
        details)
    VALUES (clock_timestamp(), 'memory.write', 'observation', %s, 'team', '{}')"""


def enter(resource: str) -> None:
    with transaction.atomic():
        audit.write([Entry(entries.MEMORY_WRITE, entries.OBSERVATION, resource, TEAM, None)])


@contextmanager
def writers(count: int) -> Iterator[list[Any]]:
    """Connections of others, each of which writes in a transaction."""
    import psycopg

    parameters = {
        name: value
        for name, value in connection.get_connection_params().items()
        if name in ("host", "port", "user", "password", "dbname", "options")
    }
    with ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(**parameters)) for _ in range(count)]


def resources(after: Place, upto: Place) -> list[str | None]:
    return [line.resource_id for line in journal.read(after.number, upto.number, [TEAM], 1000)]


def test_what_is_written_is_settled_at_once_where_nobody_else_writes() -> None:
    horizon = Horizon()
    before = horizon.look()
    assert before == Place()
    enter("a")
    enter("b")
    settled = horizon.look()
    assert settled is not None
    assert resources(before, settled) == ["a", "b"]
    assert horizon.look() == settled
    assert journal.holds(settled)
    assert not journal.holds(Place(settled.number, settled.moment + 1))
    assert not journal.holds(Place(settled.number + 1, settled.moment))


def test_only_what_can_be_followed_is_read_of_those_who_are_asked_for(team: Team) -> None:
    with transaction.atomic():
        audit.write([
            Entry(entries.OBSERVATION_READ, entries.OBSERVATION, "read", TEAM, None),
            Entry(entries.MEMORY_WRITE, entries.OBSERVATION, "other", team.id, None),
            Entry(entries.MEMORY_WRITE, entries.OBSERVATION, "mine", TEAM, "p"),
            Entry(entries.MEMORY_WRITE, entries.OBSERVATION, "elsewhere", TEAM, "q"),
        ])  # fmt: skip
    settled = Horizon().look()
    assert settled is not None
    assert resources(Place(), settled) == ["mine", "elsewhere"]
    found = journal.read(0, settled.number, [TEAM], 1000, "p")
    assert [line.resource_id for line in found] == ["mine"]
    assert journal.read(0, settled.number, [], 1000) == []
    assert len(journal.read(0, settled.number, [TEAM], 1)) == 1


@postgresql
def test_an_entry_that_is_committed_after_a_later_one_is_waited_for() -> None:
    horizon = Horizon()
    with writers(2) as (slow, quick):
        slow.execute(INSERT, ["first"])
        quick.execute(INSERT, ["second"])
        quick.commit()
        assert [horizon.look(), horizon.look()] == [None, None]
        slow.commit()
        settled = horizon.look()
    assert settled is not None
    assert resources(Place(), settled) == ["first", "second"]


@postgresql
def test_so_is_one_whose_transaction_is_younger_than_the_one_that_overtook_it() -> None:
    horizon = Horizon()
    with writers(2) as (slow, quick):
        quick.execute("SELECT pg_current_xact_id()")
        slow.execute(INSERT, ["first"])
        quick.execute(INSERT, ["second"])
        quick.commit()
        assert horizon.look() is None
        slow.commit()
        assert horizon.look() is not None


@postgresql
def test_whoever_draws_a_number_has_a_transaction_id_by_then() -> None:
    with writers(1) as (writer,):
        writer.execute("""
            INSERT INTO observations_auditentry (created_at, action, resource_type, details)
            SELECT clock_timestamp(), 'a', 'b',
                jsonb_build_object('had', pg_current_xact_id_if_assigned() IS NOT NULL)""")
        writer.commit()
    assert AuditEntry.objects.get().details == {"had": True}


STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "commit", "roll back", "look"]),
              st.integers(0, 2)),
    max_size=30,
)  # fmt: skip


@postgresql
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_in_whatever_order_others_commit_each_entry_is_read_once(
    steps: list[tuple[str, int]],
) -> None:
    AuditEntry.objects.all().delete()
    horizon, at = Horizon(), Place()
    read: list[str | None] = []
    kept: list[str] = []
    with writers(3) as others:
        begun: list[list[str]] = [[], [], []]
        for number, (step, who) in enumerate([*steps, *[("commit", who) for who in range(3)]]):
            if step == "write":
                others[who].execute(INSERT, [str(number)])
                begun[who].append(str(number))
            elif step == "commit":
                others[who].commit()
                kept += begun[who]
                begun[who] = []
            elif step == "roll back":
                others[who].rollback()
                begun[who] = []
            elif place := horizon.look():
                read += resources(at, place)
                at = place
        for _ in range(2):
            place = horizon.look()
            assert place is not None
            read += resources(at, place)
            at = place
    assert sorted(read, key=str) == sorted(kept)
    rows = AuditEntry.objects.order_by("id").values_list("resource_id", flat=True)
    assert read == list(rows)
