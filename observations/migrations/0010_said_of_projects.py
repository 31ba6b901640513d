"""What clients say of a project. Empty where nobody did, also for a program of before."""

from django.db import migrations, models

import observations.models


class Migration(migrations.Migration):
    dependencies = [("observations", "0009_usage")]

    operations = [
        migrations.AddField(
            model_name="project",
            name="root_path",
            field=models.TextField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="project",
            name="metadata",
            field=models.JSONField(blank=True, decoder=observations.models.Decoder, null=True),
        ),
    ]
