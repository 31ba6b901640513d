"""Members of teams, and indices for what the admin looks for."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import observations.models


class Migration(migrations.Migration):
    dependencies = [
        ("observations", "0005_auditentry"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Member",
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
                    "role",
                    models.CharField(
                        choices=[("admin", "Admin"), ("viewer", "Viewer")],
                        default="viewer",
                        max_length=10,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("event_type", "UserPromptSubmit")),
                fields=["project", "-id"],
                name="event_prompts_of_project",
            ),
        ),
        migrations.AddIndex(
            model_name="event",
            index=models.Index(
                condition=models.Q(("event_type", "UserPromptSubmit")),
                fields=["-id"],
                name="event_prompts",
            ),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["content_session_id"], name="session_content_name"),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(fields=["external_session_id"], name="session_external_name"),
        ),
        migrations.AddField(
            model_name="member",
            name="team",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="members",
                to="observations.team",
            ),
        ),
        migrations.AddField(
            model_name="member",
            name="user",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="member",
            constraint=models.UniqueConstraint(fields=("user", "team"), name="member_once_in_team"),
        ),
        migrations.AddConstraint(
            model_name="member",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["admin", "viewer"])), name="member_role_known"
            ),
        ),
    ]
