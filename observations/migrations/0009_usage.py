"""Where it is counted what was used: by day, by month, and the calls of a key's minute."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TABLES = ("observations_monthlyusage", "observations_dailyusage", "observations_ratecount")


def leave_room(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """On PostgreSQL, a row that is counted up is written beside itself, if there is room."""
    if editor.connection.vendor == "postgresql":
        for table in TABLES:
            editor.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def leave_none(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """As usual."""
    if editor.connection.vendor == "postgresql":
        for table in TABLES:
            editor.execute(f"ALTER TABLE {table} RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("observations", "0008_last_used")]

    operations = [
        migrations.CreateModel(
            name="DailyUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("team_id", models.CharField(max_length=36)),
                ("project_id", models.CharField(default="", max_length=36)),
                ("api_key_id", models.CharField(default="", max_length=36)),
                ("day", models.DateField()),
                ("kind", models.CharField(max_length=40)),
                ("quantity", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "usage",
                "verbose_name_plural": "usage",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["team_id", "day", "kind", "project_id", "api_key_id"],
                        name="usage_once_a_day",
                    )
                ],
                "indexes": [models.Index(fields=["team_id", "-id"], name="usage_of_team")],
            },
        ),
        migrations.CreateModel(
            name="MonthlyUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("team_id", models.CharField(max_length=36)),
                ("month", models.DateField()),
                ("kind", models.CharField(max_length=40)),
                ("quantity", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=["team_id", "month", "kind"], name="usage_once_a_month"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RateCount",
            fields=[
                ("api_key_id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                ("started", models.BigIntegerField()),
                ("count", models.BigIntegerField()),
            ],
        ),
        migrations.RunPython(leave_room, leave_none),
    ]
