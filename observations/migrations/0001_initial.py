"""The first tables."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import observations.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Project",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Team",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=200, unique=True)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "identity_key",
                    models.CharField(editable=False, max_length=120, null=True, unique=True),
                ),
                ("lane_key", models.CharField(editable=False, max_length=200)),
                ("external_session_id", models.CharField(max_length=500, null=True)),
                ("content_session_id", models.CharField(max_length=500, null=True)),
                ("agent_id", models.CharField(max_length=500, null=True)),
                ("agent_type", models.CharField(max_length=500, null=True)),
                ("platform_source", models.CharField(max_length=100, null=True)),
                ("cwd", models.TextField(default="")),
                ("generation_status", models.CharField(default="idle", max_length=20)),
                ("metadata", models.JSONField(default=dict)),
                ("last_number", models.BigIntegerField(default=0)),
                ("news_number", models.BigIntegerField(default=0)),
                ("summarised_number", models.BigIntegerField(default=0)),
                ("started_at", models.DateTimeField()),
                ("last_event_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("end_reason", models.CharField(default="", max_length=100)),
                ("last_generated_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to="observations.project",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at"],
            },
        ),
        migrations.AddField(
            model_name="project",
            name="team",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="projects",
                to="observations.team",
            ),
        ),
        migrations.CreateModel(
            name="Observation",
            fields=[
                ("number", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        unique=True,
                    ),
                ),
                ("kind", models.CharField(default="observation", max_length=100)),
                ("title", models.TextField(default="")),
                ("subtitle", models.TextField(default="")),
                ("narrative", models.TextField(default="")),
                ("facts", models.JSONField(default=list)),
                ("concepts", models.JSONField(default=list)),
                ("files_read", models.JSONField(default=list)),
                ("files_modified", models.JSONField(default=list)),
                ("content", models.TextField()),
                ("parts", models.TextField(default="", editable=False)),
                ("metadata", models.JSONField(default=dict)),
                (
                    "generation_key",
                    models.CharField(editable=False, max_length=200, null=True, unique=True),
                ),
                ("created_by_job_id", models.CharField(max_length=36, null=True)),
                ("occurred_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="observations",
                        to="observations.project",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="observations",
                        to="observations.session",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "ordering": ["-occurred_at", "-number"],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("number", models.BigIntegerField(null=True)),
                ("source_adapter", models.CharField(max_length=100)),
                ("source_event_id", models.CharField(max_length=500, null=True)),
                ("dedupe_key", models.CharField(editable=False, max_length=100, unique=True)),
                ("event_type", models.TextField()),
                ("platform_source", models.CharField(max_length=100, null=True)),
                ("payload", models.JSONField()),
                ("metadata", models.JSONField(default=dict)),
                ("removed", models.JSONField(default=dict)),
                ("occurred_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="observations.project",
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="observations.session",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "ordering": ["received_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("name", models.CharField(max_length=120)),
                ("key_hash", models.CharField(editable=False, max_length=64, unique=True)),
                ("scopes", models.JSONField(default=list)),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="observations.project",
                    ),
                ),
                (
                    "team",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="observations.team",
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
            },
        ),
        migrations.CreateModel(
            name="ObservationSource",
            fields=[
                (
                    "id",
                    models.CharField(
                        default=observations.models.new_id,
                        editable=False,
                        max_length=36,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("source_type", models.CharField(max_length=40)),
                ("source_id", models.CharField(max_length=36)),
                ("generation_job_id", models.CharField(max_length=36, null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "event",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sources",
                        to="observations.event",
                    ),
                ),
                (
                    "observation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sources",
                        to="observations.observation",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("observation", "source_type", "source_id"),
                        name="source_of_observation",
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["project", "-started_at"], name="session_of_project"),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                fields=["project", "content_session_id", "-started_at"], name="session_by_content"
            ),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", True)),
                fields=["started_at"],
                name="session_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="project",
            constraint=models.UniqueConstraint(
                fields=("team", "name"), name="project_name_in_team"
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(
                fields=["project", "-occurred_at", "-number"], name="observation_of_project"
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(fields=["session", "occurred_at"], name="observation_of_session"),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(fields=["project", "-received_at"], name="event_of_project"),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.UniqueConstraint(
                fields=("session", "number"), name="event_number_in_session"
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("project__isnull", True), ("team__isnull", False), _connector="OR"
                ),
                name="api_key_project_needs_team",
            ),
        ),
    ]
