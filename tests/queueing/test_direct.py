"""Rows that are made without Django's constructor, and the connection that statements go by."""

import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections

from observations.models import Event, Session, Team
from queueing import direct
from queueing.models import GenerationJob


@pytest.mark.parametrize("model", [Event, GenerationJob, Session])
def test_an_instance_has_what_djangos_own_would_have(model):
    given = {"id": "one", "team_id": "a", "project_id": "b", "created_at": None}

    ours, djangos = direct.instance(model, given), model(**given)

    assert _columns(ours) == _columns(djangos)
    assert (ours._state.adding, ours._state.db) == (True, None)


def test_what_is_made_anew_by_default_is_no_two_instances():
    one, other = (direct.instance(Event, {}) for _ in range(2))

    assert one.id != other.id
    assert one.metadata is not other.metadata


@pytest.mark.django_db
def test_a_stored_row_loads_what_was_not_read():
    kept = Team.objects.create(name="kept")

    row = direct.stored_row(Team, {"id": kept.id})

    assert row.get_deferred_fields() == {"name", "created_at"}
    assert row.name == "kept"


@pytest.mark.django_db(transaction=True)
def test_statements_go_by_another_connection_within_the_block_alone():
    own = connections[DEFAULT_DB_ALIAS].copy()
    direct.fetch("SELECT 1")
    try:
        with direct.instead(own):
            direct.fetch("SELECT 1")
            assert direct._connected() is own is connections[DEFAULT_DB_ALIAS]
        assert direct._connected() is connections[DEFAULT_DB_ALIAS] is not own
    finally:
        own.close()


@pytest.mark.django_db
def test_what_a_database_refuses_is_djangos_error():
    Team.objects.create(id="one", name="here")

    with pytest.raises(IntegrityError):
        direct.fetch("INSERT INTO observations_team (id, name) VALUES (%s, %s)", ["one", "again"])


def _columns(row):
    return {name: value for name, value in vars(row).items() if name != "_state"}
