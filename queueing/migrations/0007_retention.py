"""How far jobs were pruned; and on PostgreSQL, what they leave behind is used again soon."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLES = ("queueing_generationjob", "queueing_generationjobevent", "queueing_lane")
# By default a fifth of a table must be dead before its room is used again: months of jobs.
SOON = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000"
NAMES = "autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"


def vacuum_soon(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Have what was deleted given back when it is a fiftieth of the table."""
    _altered(editor, f"SET ({SOON})")


def vacuum_as_usual(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """As the server has it for all tables."""
    _altered(editor, f"RESET ({NAMES})")


def _altered(editor: BaseDatabaseSchemaEditor, how: str) -> None:
    if editor.connection.vendor == "postgresql":
        for table in TABLES:
            editor.execute(f"ALTER TABLE {table} {how}")


class Migration(migrations.Migration):
    dependencies = [("queueing", "0006_boot")]

    operations = [
        migrations.CreateModel(
            name="Pruning",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=40, unique=True)),
                ("before", models.DateTimeField(null=True)),
                ("ran_at", models.DateTimeField(null=True)),
                ("removed", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.RunPython(vacuum_soon, vacuum_as_usual),
    ]
