"""The search index of SQLite: an FTS5 table that triggers keep.

The table holds no copy of the text, so a row leaves it by being told what was in it: `_row("old")`
must say exactly what `_row("new")` said. The words of a project's id stand in each row so that one
project's search never visits another's rows.

A migration that makes SQLite remake `observations_observation` (altering or removing a column)
drops the triggers with the old table: it must end with `keep_index`, as this one does.
"""
# ruff: noqa: S608 - every statement is made of the constants below

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLE = """
CREATE VIRTUAL TABLE IF NOT EXISTS observation_index USING fts5(
    project, title, subtitle, facts, narrative, files, concepts, parts,
    content = '', tokenize = 'porter unicode61 remove_diacritics 2'
)
"""
COLUMNS = "rowid, project, title, subtitle, facts, narrative, files, concepts, parts"
WATCHED = (
    "project_id", "title", "subtitle", "facts", "narrative", "content", "files_read",
    "files_modified", "concepts", "parts",
)  # fmt: skip


def _lines(row: str, *columns: str) -> str:
    each = " UNION ALL ".join(f"SELECT value FROM json_each({row}.{name})" for name in columns)
    return f"(SELECT group_concat(value, char(10)) FROM ({each}))"


def _row(row: str) -> str:
    """The values of COLUMNS for the row: a memory without narrative is found by its content."""
    return ", ".join(
        (
            f"{row}.number",
            f"replace({row}.project_id, '-', '')",
            f"{row}.title",
            f"{row}.subtitle",
            _lines(row, "facts"),
            f"CASE {row}.narrative WHEN '' THEN {row}.content ELSE {row}.narrative END",
            _lines(row, "files_read", "files_modified"),
            _lines(row, "concepts"),
            f"{row}.parts",
        )
    )


def _values(row: str) -> str:
    return ", ".join(f"{row}.{name}" for name in WATCHED)


ADD = f"INSERT INTO observation_index ({COLUMNS}) VALUES ({_row('new')});"
REMOVE = (
    f"INSERT INTO observation_index (observation_index, {COLUMNS}) "
    f"VALUES ('delete', {_row('old')});"
)
TRIGGERS = (
    f"""CREATE TRIGGER IF NOT EXISTS observation_indexed
    AFTER INSERT ON observations_observation BEGIN {ADD} END""",
    f"""CREATE TRIGGER IF NOT EXISTS observation_unindexed
    AFTER DELETE ON observations_observation BEGIN {REMOVE} END""",
    f"""CREATE TRIGGER IF NOT EXISTS observation_reindexed
    AFTER UPDATE OF {", ".join(WATCHED)} ON observations_observation
    WHEN ({_values("old")}) IS NOT ({_values("new")}) BEGIN {REMOVE} {ADD} END""",
)
FILL = (
    f"INSERT INTO observation_index ({COLUMNS}) SELECT {_row('o')} FROM observations_observation o"
)


def make_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Create the table, fill it with the rows that are there, and keep it from now on."""
    if editor.connection.vendor == "sqlite":
        editor.execute(TABLE)
        editor.execute(FILL)
        keep_index(apps, editor)


def keep_index(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Put the triggers on the table, where they are not there already."""
    if editor.connection.vendor == "sqlite":
        for trigger in TRIGGERS:
            editor.execute(trigger)


def drop_index(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Take the triggers and the table away."""
    if editor.connection.vendor == "sqlite":
        for name in ("observation_indexed", "observation_unindexed", "observation_reindexed"):
            editor.execute(f"DROP TRIGGER IF EXISTS {name}")
        editor.execute("DROP TABLE IF EXISTS observation_index")


class Migration(migrations.Migration):
    dependencies = [("observations", "0001_initial")]

    operations = [migrations.RunPython(make_index, drop_index)]
