"""The first tables."""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import queueing.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Lane",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=200, unique=True)),
                ("project_id", models.CharField(db_index=True, max_length=36)),
                ("head", models.BigIntegerField(default=1)),
                ("tail", models.BigIntegerField(default=0)),
                ("woken_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("head__lte", models.F("tail"))),
                        fields=["id"],
                        name="lane_busy",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("head__gte", 1),
                            (
                                "head__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("tail"), "+", models.Value(1)
                                ),
                            ),
                        ),
                        name="lane_head_within_tail",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="GenerationJob",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=queueing.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue_job_id", models.CharField(max_length=80, unique=True)),
                ("seq", models.BigIntegerField()),
                ("kind", models.CharField(max_length=20)),
                ("state", models.CharField(default="queued", max_length=12)),
                ("token", models.BigIntegerField(default=0)),
                ("attempts", models.IntegerField(default=0)),
                ("max_attempts", models.IntegerField(default=3)),
                ("lease_until", models.DateTimeField(null=True)),
                ("leased_by", models.CharField(default="", max_length=100)),
                ("due_at", models.DateTimeField()),
                (
                    "size",
                    models.IntegerField(default=0, help_text="Estimated tokens of its input."),
                ),
                ("team_id", models.CharField(max_length=36)),
                ("project_id", models.CharField(max_length=36)),
                ("session_id", models.CharField(max_length=36, null=True)),
                ("source_type", models.CharField(max_length=40)),
                ("source_id", models.CharField(max_length=36)),
                (
                    "covers",
                    models.BigIntegerField(
                        default=0, help_text="The last event number that it covers."
                    ),
                ),
                (
                    "origin",
                    models.JSONField(
                        default=dict, help_text="Who asked for it, and by what route."
                    ),
                ),
                ("retried_count", models.IntegerField(default=0)),
                ("last_error", models.JSONField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("completed_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("cancelled_at", models.DateTimeField(null=True)),
                (
                    "lane",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="jobs",
                        to="queueing.lane",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="GenerationJobEvent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("event", models.CharField(max_length=20)),
                ("state_after", models.CharField(max_length=12)),
                ("attempt", models.IntegerField(default=0)),
                ("details", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                (
                    "job",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="history",
                        to="queueing.generationjob",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "event__in",
                                (
                                    "queued",
                                    "processing",
                                    "completed",
                                    "failed",
                                    "cancelled",
                                    "retry_scheduled",
                                    "released",
                                    "retried",
                                ),
                            )
                        ),
                        name="job_event_known",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="generationjob",
            index=models.Index(fields=["project_id", "-id"], name="job_of_project"),
        ),
        migrations.AddIndex(
            model_name="generationjob",
            index=models.Index(
                condition=models.Q(("kind", "summary")),
                fields=["source_id", "covers"],
                name="job_summary",
            ),
        ),
        migrations.AddIndex(
            model_name="generationjob",
            index=models.Index(fields=["state", "kind"], name="job_state_kind"),
        ),
        migrations.AddConstraint(
            model_name="generationjob",
            constraint=models.UniqueConstraint(fields=("lane", "seq"), name="job_seq_in_lane"),
        ),
        migrations.AddConstraint(
            model_name="generationjob",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ("queued", "processing", "completed", "failed", "cancelled"))
                ),
                name="job_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="generationjob",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lease_until__isnull", False), ("state", "processing")),
                    models.Q(
                        models.Q(("state", "processing"), _negated=True),
                        ("lease_until__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="job_leased_iff_processing",
            ),
        ),
        migrations.AddConstraint(
            model_name="generationjob",
            constraint=models.CheckConstraint(
                condition=models.Q(("attempts__gte", 0), ("attempts__lte", models.F("token"))),
                name="job_attempts_within_token",
            ),
        ),
    ]
