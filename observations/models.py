"""The rows of memory: who it belongs to, what happened, and what was made of it.

A foreign key has no index of its own where a composite one begins with it, or where only the
deletion of a whole team would use it: each index is written with every captured event.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from observations.aliases import MovedRow, ProjectAlias, ProjectMerge
from observations.clearances import Clearance
from observations.numbers import Decoder
from queueing.models import new_id

__all__ = [
    "ApiKey", "AuditEntry", "Clearance", "DailyUsage", "Decoder", "Event", "Member", "MonthlyUsage",
    "MovedRow", "Observation", "ObservationSource", "Project", "ProjectAlias", "ProjectMerge",
    "RateCount", "Session", "Team", "Telling", "new_id",
]  # fmt: skip


class Team(models.Model):
    """Who shares memory. Every other row belongs to exactly one team."""

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A user of the admin in a team: an admin acts in it, a viewer looks. Superusers need none."""

    class Role(models.TextChoices):
        """What a member may do."""

        ADMIN = "admin", "Admin"
        VIEWER = "viewer", "Viewer"

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    # The constraint's index begins with it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members")
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "team"], name="member_once_in_team"),
            models.CheckConstraint(
                condition=Q(role__in=["admin", "viewer"]), name="member_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Project(models.Model):
    """What memory is about: usually one repository."""

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, related_name="projects", db_index=False
    )
    name = models.CharField(max_length=200)
    # What clients say of it: where it lies on their machine, and what else they like.
    root_path = models.TextField(null=True, blank=True)
    metadata = models.JSONField(null=True, blank=True, decoder=Decoder)
    # Whatever is named or known as this project is that one, for as long as it is merged.
    merged_into = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, editable=False, related_name="merged"
    )
    # What hooks do here: whether their payloads are stored, and whether agents are told anything.
    capture = models.BooleanField(
        default=True, db_default=True, help_text="Whether what hooks report here is stored."
    )
    context = models.BooleanField(
        default=True,
        db_default=True,
        help_text="Whether agents are told here what is remembered.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "name"], name="project_name_in_team"),
        ]
        # Projects in which hooks do less are few, and looked for every few seconds.
        indexes = [
            models.Index(
                fields=["id"],
                name="project_switched_off",
                condition=Q(capture=False) | Q(context=False),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """The right to call. Only the SHA-256 of the key is kept; the key itself is shown once."""

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="keys")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, null=True, blank=True, related_name="keys"
    )
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # To the minute: written off the request (`lastused`).
    last_used_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=Q(project__isnull=True) | Q(team__isnull=False),
                name="api_key_project_needs_team",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Session(models.Model):
    """One run of an agent in a project.

    `home_id` is the project by whose id its keys are made, where that is another: what a project
    that was merged is still called by, and what its deliveries are known again by. `last_number`
    numbers its events; `news_number` is the newest event that a summary would have
    something to say about, `summarised_number` how far the latest summary job reaches.
    """

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="sessions", db_index=False
    )
    identity_key = models.CharField(max_length=120, null=True, unique=True, editable=False)
    lane_key = models.CharField(max_length=200, editable=False)
    external_session_id = models.CharField(max_length=500, null=True)
    content_session_id = models.CharField(max_length=500, null=True)
    agent_id = models.CharField(max_length=500, null=True)
    agent_type = models.CharField(max_length=500, null=True)
    platform_source = models.CharField(max_length=100, null=True)
    cwd = models.TextField(default="")
    home_id = models.CharField(max_length=36, null=True, editable=False)
    # Of its repository, as far as its agent's client said.
    branch = models.CharField(max_length=250, null=True)
    part = models.CharField(max_length=250, null=True)
    generation_status = models.CharField(max_length=20, default="idle")
    metadata = models.JSONField(default=dict, decoder=Decoder)
    last_number = models.BigIntegerField(default=0)
    news_number = models.BigIntegerField(default=0)
    summarised_number = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    last_event_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=100, default="")
    last_generated_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["project", "-started_at"], name="session_of_project"),
            models.Index(
                fields=["project", "content_session_id", "-started_at"], name="session_by_content"
            ),
            # What people have at hand is the name that the agent gave it.
            models.Index(fields=["content_session_id"], name="session_content_name"),
            models.Index(fields=["external_session_id"], name="session_external_name"),
            # By its start, not by its last event: only opening and closing writes it.
            models.Index(
                fields=["started_at"], name="session_open", condition=Q(ended_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return self.external_session_id or self.content_session_id or self.id


class Event(models.Model):
    """What a hook or client reported, after scrubbing. Never edited.

    `removed` counts what was cut out at the door, by rule; `number` is its place in its session.
    """

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="events", db_index=False
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, null=True, related_name="events", db_index=False
    )
    number = models.BigIntegerField(null=True)
    source_adapter = models.CharField(max_length=100)
    source_event_id = models.CharField(max_length=500, null=True)
    dedupe_key = models.CharField(max_length=100, unique=True, editable=False)
    event_type = models.TextField()
    platform_source = models.CharField(max_length=100, null=True)
    payload = models.JSONField(decoder=Decoder)
    metadata = models.JSONField(default=dict, decoder=Decoder)
    removed = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["received_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["session", "number"], name="event_number_in_session"),
        ]
        indexes = [
            models.Index(fields=["project", "-received_at"], name="event_of_project"),
            # Prompts are few among events: what was asked for can be looked through.
            models.Index(
                fields=["project", "-id"],
                name="event_prompts_of_project",
                condition=Q(event_type="UserPromptSubmit"),
            ),
            models.Index(
                fields=["-id"], name="event_prompts", condition=Q(event_type="UserPromptSubmit")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"


class Observation(models.Model):
    """What was made of one or more events; the unit of memory. A summary is one kind.

    `number` is its short name in contexts and the row of the search index; `id` is on the wire.
    `parts` holds the pieces of identifiers and paths, so that each can be found by its parts.
    `generation_key` makes a repeated settlement harmless.
    """

    number = models.BigAutoField(primary_key=True)
    id = models.CharField(max_length=36, unique=True, default=new_id, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="observations", db_index=False
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, null=True, related_name="observations", db_index=False
    )
    kind = models.CharField(max_length=100, default="observation")
    title = models.TextField(default="")
    subtitle = models.TextField(default="")
    narrative = models.TextField(default="")
    facts = models.JSONField(default=list)
    concepts = models.JSONField(default=list)
    files_read = models.JSONField(default=list)
    files_modified = models.JSONField(default=list)
    content = models.TextField()
    parts = models.TextField(default="", editable=False)
    metadata = models.JSONField(default=dict, decoder=Decoder)
    generation_key = models.CharField(max_length=200, null=True, unique=True, editable=False)
    created_by_job_id = models.CharField(max_length=36, null=True)
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["-occurred_at", "-number"]
        indexes = [
            models.Index(
                fields=["project", "-occurred_at", "-number"], name="observation_of_project"
            ),
            models.Index(fields=["session", "occurred_at"], name="observation_of_session"),
            # What lasts is told at each session's start, however much has come since.
            models.Index(
                fields=["project", "kind", "-occurred_at", "-number"],
                name="observation_that_lasts",
                condition=Q(kind__in=["summary", "decision", "manual"]),
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.content[:80]


class ObservationSource(models.Model):
    """What an observation was made of: one row a source."""

    observation = models.ForeignKey(
        Observation, on_delete=models.CASCADE, related_name="sources", db_index=False
    )
    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, null=True, related_name="sources")
    source_type = models.CharField(max_length=40)
    source_id = models.CharField(max_length=36)
    generation_job_id = models.CharField(max_length=36, null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["observation", "source_type", "source_id"], name="source_of_observation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source_type} {self.source_id}"


class Telling(models.Model):
    """What was put before an agent at a hook: so that nothing is told to a session twice.

    `numbers` are those of the observations, `about` the file that was asked about. `afresh`: the
    agent has forgotten what it was told before.
    """

    id = models.BigAutoField(primary_key=True)
    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="tellings")
    moment = models.CharField(max_length=20)
    about = models.TextField(default="")
    numbers = models.JSONField(default=list)
    tokens = models.IntegerField(default=0)
    afresh = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.moment} of {self.session_id}"


class AuditEntry(models.Model):
    """Who did what: written with what it records, and never changed.

    It outlives what it is about, so it names that by ids and points to nothing. Every capture
    writes one and every job three: the only index is that of the number, whose order is time's.
    """

    created_at = models.DateTimeField()
    action = models.CharField(max_length=60)
    resource_type = models.CharField(max_length=40)
    resource_id = models.CharField(max_length=36, null=True)
    team_id = models.CharField(max_length=36, null=True)
    project_id = models.CharField(max_length=36, null=True)
    api_key_id = models.CharField(max_length=36, null=True)
    actor_id = models.CharField(max_length=200, null=True)
    details = models.JSONField(default=dict)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit"
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(project_id__isnull=True) | Q(team_id__isnull=False),
                name="audit_project_needs_team",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.resource_id or ''}".rstrip()


class DailyUsage(models.Model):
    """What was used on a day in UTC: a row for each team, project, key and kind, counted up.

    What belongs to no one project, or to no key, has "" there. It outlives what it is about.
    """

    team_id = models.CharField(max_length=36)
    project_id = models.CharField(max_length=36, default="")
    api_key_id = models.CharField(max_length=36, default="")
    day = models.DateField()
    kind = models.CharField(max_length=40)
    quantity = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = "usage"
        verbose_name_plural = "usage"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["team_id", "day", "kind", "project_id", "api_key_id"],
                name="usage_once_a_day",
            ),
        ]
        # A member's list is the newest of a team; the constraint's index would have all of them.
        indexes = [models.Index(fields=["team_id", "-id"], name="usage_of_team")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.day}"


class MonthlyUsage(models.Model):
    """What a team used in a month in UTC of what can be capped: the row that a cap is held against.

    `month` is the first day of it.
    """

    team_id = models.CharField(max_length=36)
    month = models.DateField()
    kind = models.CharField(max_length=40)
    quantity = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team_id", "month", "kind"], name="usage_once_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.month:%Y-%m}"


class RateCount(models.Model):
    """The calls of a key in the minute that began at `started`, in seconds since 1970."""

    api_key_id = models.CharField(max_length=36, primary_key=True)
    started = models.BigIntegerField()
    count = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.count} calls since {self.started}"
