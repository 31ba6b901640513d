"""The rows of identity: what a project is known by, and which project was put into which."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from queueing.models import new_id


class ProjectAlias(models.Model):
    """Something that a project is known by: a repository's address, a clone, a directory, a name.

    `sort` says which (`observations.places`). What agents of the team send from there is its own.
    """

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    # The constraint's index begins with it.
    team = models.ForeignKey(
        "observations.Team", on_delete=models.CASCADE, related_name="+", db_index=False
    )
    project = models.ForeignKey(
        "observations.Project", on_delete=models.CASCADE, related_name="aliases"
    )
    sort = models.CharField(max_length=10)
    key = models.CharField(max_length=500)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name_plural = "project aliases"
        constraints = [
            models.UniqueConstraint(fields=["team", "sort", "key"], name="alias_once_in_team"),
        ]

    def __str__(self) -> str:
        return f"{self.sort} {self.key}"


class ProjectMerge(models.Model):
    """That all of a project (`source`) was put into another (`target`), and how to undo it.

    It is under way until `finished_at`, and again from `undone_at` until `settled_at`.
    """

    id = models.CharField(primary_key=True, max_length=36, default=new_id, editable=False)
    team = models.ForeignKey("observations.Team", on_delete=models.CASCADE, related_name="+")
    source = models.ForeignKey("observations.Project", on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey("observations.Project", on_delete=models.CASCADE, related_name="+")
    origin = models.JSONField(default=dict, help_text="Who asked for it, and by what route.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source"], name="merged_once", condition=Q(undone_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source} into {self.target}"


class MovedRow(models.Model):
    """A row that a merge moved, and that its undoing brings back.

    What hangs on a session goes with it, and has no row here.
    """

    merge = models.ForeignKey(
        ProjectMerge, on_delete=models.CASCADE, related_name="moved", db_index=False
    )
    sort = models.CharField(max_length=20)
    row = models.CharField(max_length=36)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merge", "sort", "row"], name="moved_once"),
        ]

    def __str__(self) -> str:
        return f"{self.sort} {self.row}"
