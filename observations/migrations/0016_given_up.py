"""When an operator gave up having a project's memory deleted."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("observations", "0015_clearances")]

    operations = [
        migrations.AddField(
            model_name="clearance",
            name="given_up_at",
            field=models.DateTimeField(null=True),
        ),
    ]
