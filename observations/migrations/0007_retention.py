"""On PostgreSQL, the room of audit entries that were pruned is used again soon."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLE = "observations_auditentry"
SOON = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000"
NAMES = "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"


def vacuum_soon(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Have what was deleted given back when it is a fiftieth of the table."""
    if editor.connection.vendor == "postgresql":
        editor.execute(f"ALTER TABLE {TABLE} SET ({SOON})")


def vacuum_as_usual(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """As the server has it for all tables."""
    if editor.connection.vendor == "postgresql":
        editor.execute(f"ALTER TABLE {TABLE} RESET ({NAMES})")


class Migration(migrations.Migration):
    dependencies = [("observations", "0006_members")]

    operations = [migrations.RunPython(vacuum_soon, vacuum_as_usual)]
