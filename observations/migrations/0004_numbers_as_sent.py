"""Payloads and metadata are read by a decoder of ours; nothing changes in the database."""

from django.db import migrations, models

import observations.models

_PLAIN = models.JSONField(decoder=observations.models.Decoder)
_EMPTY = models.JSONField(default=dict, decoder=observations.models.Decoder)


class Migration(migrations.Migration):
    dependencies = [("observations", "0003_postgresql_search")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("event", "payload", _PLAIN),
                migrations.AlterField("event", "metadata", _EMPTY),
                migrations.AlterField("session", "metadata", _EMPTY.clone()),
                migrations.AlterField("observation", "metadata", _EMPTY.clone()),
            ]
        )
    ]
