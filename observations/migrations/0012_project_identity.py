"""What projects are known by, which was put into which, and where sessions were."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import queueing.models


class Migration(migrations.Migration):
    dependencies = [
        ("observations", "0011_numbers_in_transactions"),
    ]

    operations = [
        migrations.AddField(
            model_name="project",
            name="merged_into",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="merged",
                to="observations.project",
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="branch",
            field=models.CharField(max_length=250, null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="home_id",
            field=models.CharField(editable=False, max_length=36, null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="part",
            field=models.CharField(max_length=250, null=True),
        ),
        migrations.CreateModel(
            name="ProjectMerge",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=queueing.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "origin",
                    models.JSONField(
                        default=dict, help_text="Who asked for it, and by what route."
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("undone_at", models.DateTimeField(null=True)),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "source",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.project",
                    ),
                ),
                (
                    "target",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.project",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="MovedRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sort", models.CharField(max_length=20)),
                ("row", models.CharField(max_length=36)),
                (
                    "merge",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="moved",
                        to="observations.projectmerge",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ProjectAlias",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=queueing.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("sort", models.CharField(max_length=10)),
                ("key", models.CharField(max_length=500)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="aliases",
                        to="observations.project",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "project aliases",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("team", "sort", "key"), name="alias_once_in_team"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="projectmerge",
            constraint=models.UniqueConstraint(
                condition=models.Q(("undone_at__isnull", True)),
                fields=("source",),
                name="merged_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="movedrow",
            constraint=models.UniqueConstraint(fields=("merge", "sort", "row"), name="moved_once"),
        ),
    ]
