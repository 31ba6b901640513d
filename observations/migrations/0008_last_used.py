"""When a key was last used."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("observations", "0007_retention")]

    operations = [
        migrations.AddField(
            "apikey", "last_used_at", models.DateTimeField(editable=False, null=True)
        )
    ]
