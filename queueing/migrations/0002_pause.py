"""Where the provider's pause is written down."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("queueing", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Pause",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(max_length=40, unique=True)),
                ("reason", models.TextField()),
                ("classification", models.CharField(max_length=40)),
                ("until", models.DateTimeField()),
                ("failures", models.IntegerField(default=1)),
                ("since", models.DateTimeField()),
            ],
        ),
    ]
