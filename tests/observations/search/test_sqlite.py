"""How the FTS5 table follows the rows."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import NotSupportedError, connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observations import search
from observations.models import Observation, Project
from observations.search import sqlite
from observations.search.index import Filters
from observations.search.sqlite import SqliteIndex
from observations.search.terms import query_terms

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(connection.vendor != "sqlite", reason="the database in use is another"),
]
migration = import_module("observations.migrations.0002_search_index")
COLUMNS = ("title", "subtitle", "narrative", "content", "parts")
LISTS = ("facts", "concepts", "files_read", "files_modified")


def add(project: Project, **fields: Any) -> Observation:
    now = timezone.now()
    texts = {"content": "-", **fields}
    return Observation.objects.create(
        team=project.team, project=project, occurred_at=now, created_at=now, updated_at=now, **texts
    )


def find(project: Project, text: str) -> list[int]:
    hits = SqliteIndex().find(query_terms(text), Filters(), project_ids=(project.id,), limit=99)
    return [hit.number for hit in hits]


def writes(project: Project, **change: Any) -> int:
    """How many rows of the database a change of one observation's columns touches."""
    row = add(project, title="lock")
    with connection.cursor() as cursor:
        cursor.execute("SELECT total_changes()")
        before = cursor.fetchone()[0]
        Observation.objects.filter(pk=row.pk).update(**change)
        cursor.execute("SELECT total_changes()")
        return int(cursor.fetchone()[0] - before)


def check_index() -> None:
    """Raises DatabaseError where the index is corrupt."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO observation_index(observation_index) VALUES('integrity-check')")


def indexed_rows() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM observation_index_docsize")
        return int(cursor.fetchone()[0])


def test_a_change_of_other_columns_does_not_touch_the_index(project: Project) -> None:
    assert writes(project, metadata={"seen": 1}, created_by_job_id="evt_1") == 1
    assert writes(project, title="lock", content="-") == 1
    assert writes(project, title="queue") > 1


json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
writable = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
texts = st.fixed_dictionaries(
    dict.fromkeys(COLUMNS, writable) | dict.fromkeys(LISTS, st.lists(json, max_size=3))
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(first=texts, second=texts)
def test_a_row_leaves_the_index_as_clean_as_it_was(
    project: Project, first: dict[str, Any], second: dict[str, Any]
) -> None:
    row = add(project, **first)
    Observation.objects.filter(pk=row.pk).update(**second)
    check_index()
    row.delete()
    check_index()
    assert indexed_rows() == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, observation_index, row)"
        )
        cursor.execute("SELECT count(*) FROM temp.words")
        left = cursor.fetchone()[0]
        cursor.execute("DROP TABLE temp.words")
    assert left == 0


def test_rows_that_are_there_when_the_index_is_made_are_found(project: Project) -> None:
    row = add(project, title="lock", facts=["a fact"])
    editor = connection.schema_editor()
    migration.drop_index(apps, editor)
    migration.make_index(apps, editor)
    assert find(project, "lock") == find(project, "fact") == [row.number]
    other = add(project, title="lock")
    assert find(project, "lock") == [other.number, row.number]


def test_the_triggers_can_be_put_back_after_the_table_was_remade(project: Project) -> None:
    row = add(project, title="lock")
    editor = connection.schema_editor()
    for name in ("observation_indexed", "observation_unindexed", "observation_reindexed"):
        editor.execute(f"DROP TRIGGER {name}")
    for _ in range(2):
        migration.keep_index(apps, editor)
    other = add(project, title="lock")
    row.delete()
    assert find(project, "lock") == [other.number]


def test_words_of_most_rows_count_only_where_no_other_word_finds_anything(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MANY", 4)
    with connection.cursor() as cursor:
        # Numbers go on after rows of earlier tests; how many rows there are is told by them.
        cursor.execute("DELETE FROM sqlite_sequence WHERE name = 'observations_observation'")
    common = [add(project, title=f"The lock of part {n}") for n in range(4)]
    rare = add(project, title="The rusty sextant has a lock")
    assert find(project, "lock sextant") == [rare.number]
    assert len(find(project, "lock compass")) == len(find(project, "lock")) == 5
    assert set(find(project, '"lock of" sextant')) == {row.number for row in (*common, rare)}
    assert find(project, "lock sextant -rusty") == [row.number for row in reversed(common)]


def test_common_words_score_rows_that_rarer_words_find(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "COMMON", 4)
    for n in range(6):
        add(project, title=f"The lock of part {n}")
        add(project, title=f"Filler {n}")
        add(project, title=f"Another filler {n}")
    rare = [add(project, title=title).number for title in ("Rusty sextant", "Sextant with a lock")]
    asked = query_terms("lock sextant")
    two, more = (
        SqliteIndex().find(asked, Filters(), project_ids=(project.id,), limit=limit)
        for limit in (2, 9)
    )
    assert [hit.number for hit in two] == rare[::-1]
    assert [hit.score for hit in two] == pytest.approx([hit.score for hit in more[:2]])
    assert len(more) == 8


def test_a_database_without_a_backend_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_INDEXES", {})
    with pytest.raises(NotSupportedError, match=connection.vendor):
        search.keyword_index()
    monkeypatch.undo()
    assert search.keyword_index() is search.keyword_index()
