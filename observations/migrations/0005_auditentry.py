"""Who did what: a table that is only appended to. A trigger refuses to change a row.

A migration that makes SQLite remake the table (altering or removing a column) drops the trigger
with the old one: it must end with `seal`, as this one does.
"""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

SEAL = {
    "sqlite": (
        """CREATE TRIGGER audit_is_appended_only BEFORE UPDATE ON observations_auditentry
        BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION claudemem_refuse_change() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'audit entries are never changed'
            USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        """CREATE TRIGGER audit_is_appended_only BEFORE UPDATE ON observations_auditentry
        FOR EACH STATEMENT EXECUTE FUNCTION claudemem_refuse_change()""",
    ),
}
UNSEAL = {
    "sqlite": ("DROP TRIGGER audit_is_appended_only",),
    "postgresql": (
        "DROP TRIGGER audit_is_appended_only ON observations_auditentry",
        "DROP FUNCTION claudemem_refuse_change()",
    ),
}


def seal(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """From now on rows are added, and perhaps removed, but never changed."""
    for statement in SEAL[editor.connection.vendor]:
        editor.execute(statement)


def unseal(_apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Take the trigger away."""
    for statement in UNSEAL[editor.connection.vendor]:
        editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("observations", "0004_numbers_as_sent")]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("action", models.CharField(max_length=60)),
                ("resource_type", models.CharField(max_length=40)),
                ("resource_id", models.CharField(max_length=36, null=True)),
                ("team_id", models.CharField(max_length=36, null=True)),
                ("project_id", models.CharField(max_length=36, null=True)),
                ("api_key_id", models.CharField(max_length=36, null=True)),
                ("actor_id", models.CharField(max_length=200, null=True)),
                ("details", models.JSONField(default=dict)),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit",
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(project_id__isnull=True)
                        | models.Q(team_id__isnull=False),
                        name="audit_project_needs_team",
                    )
                ],
            },
        ),
        migrations.RunPython(seal, unseal),
    ]
