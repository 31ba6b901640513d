"""Projects whose memory is to go, until it is gone."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("observations", "0014_tellings")]

    operations = [
        migrations.CreateModel(
            name="Clearance",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="observations.project",
                    ),
                ),
                ("until", models.DateTimeField()),
                (
                    "origin",
                    models.JSONField(
                        default=dict, help_text="Who asked for it, and by what route."
                    ),
                ),
                ("counts", models.JSONField(default=dict)),
                ("worked_at", models.DateTimeField(null=True)),
            ],
        ),
    ]
