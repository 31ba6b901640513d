"""What agents are told at hooks, and projects in which hooks do less."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("observations", "0011_numbers_in_transactions")]

    operations = [
        migrations.CreateModel(
            name="Telling",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("moment", models.CharField(max_length=20)),
                ("about", models.TextField(default="")),
                ("numbers", models.JSONField(default=list)),
                ("tokens", models.IntegerField(default=0)),
                ("afresh", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tellings",
                        to="observations.session",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        # A program of before names neither: the database knows what they are.
        migrations.AddField(
            model_name="project",
            name="capture",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether what hooks report here is stored.",
            ),
        ),
        migrations.AddField(
            model_name="project",
            name="context",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether agents are told here what is remembered.",
            ),
        ),
        migrations.AddIndex(
            model_name="project",
            index=models.Index(
                fields=["id"],
                name="project_switched_off",
                condition=Q(capture=False) | Q(context=False),
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(
                fields=["project", "kind", "-occurred_at", "-number"],
                name="observation_that_lasts",
                condition=Q(kind__in=["summary", "decision", "manual"]),
            ),
        ),
    ]
