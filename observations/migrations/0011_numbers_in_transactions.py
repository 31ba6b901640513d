"""Whoever numbers an audit entry has a transaction id before: `observations.journal` relies on it.

A statement draws the numbers of its rows before it writes the first of them, and may get its
transaction id only then. SQLite has one writer, and needs nothing.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_MAKE = (
    """CREATE FUNCTION claudemem_begin_to_write() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_current_xact_id(); RETURN NULL; END $$""",
    """CREATE TRIGGER audit_is_numbered_in_transactions
    BEFORE INSERT ON observations_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION claudemem_begin_to_write()""",
)
_DROP = (
    "DROP TRIGGER audit_is_numbered_in_transactions ON observations_auditentry",
    "DROP FUNCTION claudemem_begin_to_write()",
)


def make(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """See to it from now on."""
    _run(_MAKE, editor)


def drop(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Do so no more."""
    _run(_DROP, editor)


def _run(statements: tuple[str, ...], editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        for statement in statements:
            editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("observations", "0010_said_of_projects")]

    operations = [migrations.RunPython(make, drop)]
