"""What teams and projects have of the workers, and lanes that know whose they are."""

from django.db import migrations, models
from django.db.models import F, Q

# Of a busy lane what its head says, of an idle one what its last job does, if that is kept still.
TELL = """
    UPDATE queueing_lane SET
        team_id = COALESCE((SELECT job.team_id FROM queueing_generationjob job
            WHERE job.lane_id = queueing_lane.id
                AND job.seq = CASE WHEN head <= tail THEN head ELSE tail END), ''),
        kind = COALESCE((SELECT job.kind FROM queueing_generationjob job
            WHERE job.lane_id = queueing_lane.id
                AND job.seq = CASE WHEN head <= tail THEN head ELSE tail END), '')"""


class Migration(migrations.Migration):
    dependencies = [("queueing", "0003_canary")]

    operations = [
        migrations.CreateModel(
            name="Share",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("team_id", models.CharField(max_length=36)),
                ("project_id", models.CharField(blank=True, default="", max_length=36)),
                ("weight", models.PositiveIntegerField(default=1)),
                ("max_in_flight", models.PositiveIntegerField(blank=True, null=True)),
            ],
        ),
        migrations.AddConstraint(
            model_name="share",
            constraint=models.UniqueConstraint(
                fields=("team_id", "project_id"), name="share_of_one"
            ),
        ),
        migrations.AddConstraint(
            model_name="share",
            constraint=models.CheckConstraint(
                condition=Q(("weight__gte", 1), ("weight__lte", 1000)),
                name="share_weight_in_range",
            ),
        ),
        migrations.AddConstraint(
            model_name="share",
            constraint=models.CheckConstraint(
                condition=Q(
                    ("max_in_flight__isnull", True), ("max_in_flight__gte", 1), _connector="OR"
                ),
                name="share_limit_lets_something_through",
            ),
        ),
        migrations.RemoveIndex(model_name="lane", name="lane_busy"),
        migrations.AddField(
            model_name="lane", name="kind", field=models.CharField(default="", max_length=20)
        ),
        migrations.AddField(
            model_name="lane", name="team_id", field=models.CharField(default="", max_length=36)
        ),
        migrations.RunSQL(TELL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="lane",
            index=models.Index(
                condition=Q(("head__lte", F("tail"))),
                fields=["kind", "team_id", "project_id", "woken_at"],
                name="lane_in_line",
            ),
        ),
    ]
