"""The rows of delivery: lanes, jobs and their history. The rows are the truth, messages are nudges.

This package has never heard of sessions or observations: what a job is about stands in opaque
columns (`source_id`, `session_id`, `project_id`, `team_id`) that it only stores and filters by.
"""

from django.db import models
from django.db.models import F, Q
from uuid_utils import uuid7

from queueing import states


def new_id() -> str:
    """A fresh UUIDv7 as text: unique, and in the order of time."""
    return str(uuid7())


class Lane(models.Model):
    """The strict first-in-first-out line of one session's jobs.

    Jobs take consecutive `seq` from `tail` under this row's lock. The only job that may run is the
    one at `head`; the lane is idle when `head = tail + 1`. `kind` is the head's: whoever moves the
    head writes it.
    """

    key = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, default="")
    team_id = models.CharField(max_length=36, default="")
    project_id = models.CharField(max_length=36, db_index=True)
    head = models.BigIntegerField(default=1)
    tail = models.BigIntegerField(default=0)
    woken_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(head__gte=1) & Q(head__lte=F("tail") + 1), name="lane_head_within_tail"
            ),
        ]
        indexes = [
            # Busy lanes as fairness looks at them: whose they are, and which was nudged first.
            models.Index(
                fields=["kind", "team_id", "project_id", "woken_at"],
                name="lane_in_line",
                condition=Q(head__lte=F("tail")),
            ),
        ]

    def __str__(self) -> str:
        return self.key


class GenerationJob(models.Model):
    """One unit of generation work, and its outbox row.

    `token` is the fence: it grows with every claim and never shrinks. `attempts` is the retry
    budget: it grows with every claim and is given back by a clean release or an operator.
    """

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    queue_job_id = models.CharField(max_length=80, unique=True)
    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="jobs", db_index=False)
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=12, default=states.QUEUED)
    token = models.BigIntegerField(default=0)
    attempts = models.IntegerField(default=0)
    max_attempts = models.IntegerField(default=3)
    lease_until = models.DateTimeField(null=True)
    leased_by = models.CharField(max_length=100, default="")
    due_at = models.DateTimeField()
    size = models.IntegerField(default=0, help_text="Estimated tokens of its input.")
    team_id = models.CharField(max_length=36)
    project_id = models.CharField(max_length=36)
    session_id = models.CharField(max_length=36, null=True)
    source_type = models.CharField(max_length=40)
    source_id = models.CharField(max_length=36)
    covers = models.BigIntegerField(default=0, help_text="The last event number that it covers.")
    origin = models.JSONField(default=dict, help_text="Who asked for it, and by what route.")
    retried_count = models.IntegerField(default=0)
    last_error = models.JSONField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["lane", "seq"], name="job_seq_in_lane"),
            models.CheckConstraint(condition=Q(state__in=states.ALL), name="job_state_known"),
            models.CheckConstraint(
                condition=Q(state=states.PROCESSING, lease_until__isnull=False)
                | (~Q(state=states.PROCESSING) & Q(lease_until__isnull=True)),
                name="job_leased_iff_processing",
            ),
            models.CheckConstraint(
                condition=Q(attempts__gte=0) & Q(attempts__lte=F("token")),
                name="job_attempts_within_token",
            ),
        ]
        indexes = [
            # Ids are in the order of time.
            models.Index(fields=["project_id", "-id"], name="job_of_project"),
            models.Index(
                fields=["source_id", "covers"], name="job_summary", condition=Q(kind="summary")
            ),
            models.Index(fields=["state", "kind"], name="job_state_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Pause(models.Model):
    """Why something is not worked; no row, no pause.

    A provider's own pause ends at `until`, by one job that tries; `failures` counts the tries that
    were refused since the last that was not. A pause without `until` is an operator's, for whom
    `origin` has a name: it lasts until it is resumed; or that of a team whose quota is spent.
    """

    subject = models.CharField(max_length=80)
    reason = models.TextField()
    classification = models.CharField(max_length=40)
    until = models.DateTimeField(null=True)
    failures = models.IntegerField(default=1)
    since = models.DateTimeField()
    origin = models.JSONField(default=dict, help_text="Who asked for it, and by what route.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], name="pause_of_operator", condition=Q(until__isnull=True)
            ),
            models.UniqueConstraint(
                fields=["subject"], name="pause_of_provider", condition=Q(until__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} paused"


class Share(models.Model):
    """What a team, or one of its projects, has of the workers; no row, a weight of 1 and no limit.

    `max_in_flight` bounds how many of its lanes are worked at once, which is how many calls of the
    provider are made for it.
    """

    team_id = models.CharField(max_length=36)
    project_id = models.CharField(max_length=36, default="", blank=True)
    weight = models.PositiveIntegerField(default=1)
    max_in_flight = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team_id", "project_id"], name="share_of_one"),
            models.CheckConstraint(
                condition=Q(weight__gte=1) & Q(weight__lte=1000), name="share_weight_in_range"
            ),
            models.CheckConstraint(
                condition=Q(max_in_flight__isnull=True) | Q(max_in_flight__gte=1),
                name="share_limit_lets_something_through",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project_id or self.team_id}: weight {self.weight}"


class Canary(models.Model):
    """When something was last sent through a queue, and when and by which worker it was seen.

    `number` grows with each that is sent. One is under way until it is seen, or is lost.
    """

    queue = models.CharField(max_length=40, unique=True)
    number = models.BigIntegerField(default=1)
    sent_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    seen_by = models.CharField(max_length=100, default="")

    class Meta:
        verbose_name_plural = "canaries"

    def __str__(self) -> str:
        return f"{self.queue} {self.number}"


class Pruning(models.Model):
    """How far something was pruned: whatever ended before `before` may be gone, and is over.

    `ran_at` is when that was last seen to, `removed` how many rows went then.
    """

    subject = models.CharField(max_length=40, unique=True)
    before = models.DateTimeField(null=True)
    ran_at = models.DateTimeField(null=True)
    removed = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.subject} pruned"


class Boot(models.Model):
    """When a machine started whose processes write into a SQLite file (`queueing.clock`)."""

    machine = models.CharField(max_length=100, unique=True)
    started = models.FloatField(help_text="Seconds since 1970, by its clock at the time.")

    def __str__(self) -> str:
        return self.machine


class GenerationJobEvent(models.Model):
    """One line of a job's history: every transition is one row, never edited."""

    job = models.ForeignKey(GenerationJob, on_delete=models.CASCADE, related_name="history")
    event = models.CharField(max_length=20)
    state_after = models.CharField(max_length=12)
    attempt = models.IntegerField(default=0)
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(event__in=states.HISTORY), name="job_event_known"),
        ]

    def __str__(self) -> str:
        return f"{self.event} (attempt {self.attempt})"
