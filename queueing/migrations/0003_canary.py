"""Where it is written down when something last went through each queue."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("queueing", "0002_pause")]

    operations = [
        migrations.CreateModel(
            name="Canary",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("queue", models.CharField(max_length=40, unique=True)),
                ("number", models.BigIntegerField(default=1)),
                ("sent_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(null=True)),
                ("seen_by", models.CharField(default="", max_length=100)),
            ],
            options={"verbose_name_plural": "canaries"},
        ),
    ]
