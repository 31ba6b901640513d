"""When each machine started that writes into a SQLite file, so that its processes agree on times."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("queueing", "0005_pauses_by_operators")]

    operations = [
        migrations.CreateModel(
            name="Boot",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("machine", models.CharField(max_length=100, unique=True)),
                (
                    "started",
                    models.FloatField(help_text="Seconds since 1970, by its clock at the time."),
                ),
            ],
        ),
    ]
