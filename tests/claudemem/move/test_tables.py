"""No table is forgotten, however many there will be."""

import pytest
from django.apps import apps
from django.db import connection, models

from claudemem.move import tables
from claudemem.move.tables import LEFT_OUT, Table


def names() -> list[str]:
    return [table.name for table in tables.tables()]


@pytest.mark.django_db
def test_every_table_is_moved_or_left_out_for_a_reason() -> None:
    there = set(connection.introspection.table_names())
    # FTS5 keeps its index in tables of its own.
    inner = {name for name in there if name.startswith("observation_index_")}

    assert there - inner == set(names()) | set(LEFT_OUT)
    assert not set(names()) & set(LEFT_OUT)


@pytest.mark.django_db
def test_every_column_is_moved_and_the_key_is_the_first() -> None:
    for table in tables.tables():
        with connection.cursor() as cursor:
            told = connection.introspection.get_table_description(cursor, table.name)
            key = connection.introspection.get_primary_key_column(cursor, table.name)
        assert {column.name for column in table.columns} == {column.name for column in told}
        assert table.key.name == key


def test_a_table_comes_after_those_that_it_points_to() -> None:
    place = {name: n for n, name in enumerate(names())}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if field.remote_field and field.remote_field.model is not model:
                target = field.remote_field.model._meta.db_table
                assert place[target] < place[model._meta.db_table]


def test_a_field_of_an_unknown_sort_is_no_silent_loss() -> None:
    with pytest.raises(NotImplementedError, match="cannot be moved yet"):
        tables._column(models.BinaryField(name="blob"))


def test_rows_with_numbers_for_ids_are_serial() -> None:
    known: dict[str, Table] = {table.name: table for table in tables.tables()}
    assert known["observations_observation"].serial
    assert not known["observations_event"].serial
