"""The rows of forgetting: which project's memory somebody asked to be forgotten."""

from django.db import models


class Clearance(models.Model):
    """That all which a project remembered at a moment is to go; until all of it is gone.

    `counts` says how much went so far, `worked_at` when whoever sees to it last deleted something.
    One that was given up, at `given_up_at`, is kept to be told of until the next is asked for.
    """

    project = models.OneToOneField(
        "observations.Project", on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    until = models.DateTimeField()
    origin = models.JSONField(default=dict, help_text="Who asked for it, and by what route.")
    counts = models.JSONField(default=dict)
    worked_at = models.DateTimeField(null=True)
    given_up_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"memory of {self.project_id}"
