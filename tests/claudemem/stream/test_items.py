"""What the journal says becomes items, in its order, each with a place of its own."""

import json
from typing import Any

import pytest
from django.db import transaction

from claudemem.stream import items
from observations import audit, entries, journal, memories
from observations.entries import Entry
from observations.journal import Horizon
from observations.models import Project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("alone_on_the_server"),
]


def told(project: Project, sort: str = "") -> list[Any]:
    settled = Horizon().look()
    assert settled is not None
    made = items.of(journal.read(0, settled.number, [project.team_id], 1000))
    return [json.loads(each.frame.partition(b"data: ")[2]) for each in made
            if sort in ("", each.sort)]  # fmt: skip


def enter(project: Project, action: str, kind: str, resource_id: str) -> None:
    with transaction.atomic():
        audit.write([Entry(action, kind, resource_id, project.team_id, project.id)])


def test_an_observation_is_told_as_made_changed_and_gone(project: Project) -> None:
    kept = memories.remember(project.team_id, project.id, content="kept")
    enter(project, entries.OBSERVATION_UPDATED, entries.OBSERVATION, kept.id)
    enter(project, entries.OBSERVATION_DELETED, entries.OBSERVATION, "gone")
    enter(project, entries.MEMORY_WRITE, entries.OBSERVATION, "gone")
    enter(project, entries.MEMORY_PURGED, "project", project.id)
    assert [(each["change"], each["id"]) for each in told(project, "observation")] == [
        ("created", kept.id), ("changed", kept.id), ("deleted", "gone"), ("purged", project.id),
    ]  # fmt: skip


def test_a_summary_is_a_type_of_its_own(project: Project) -> None:
    memories.remember(project.team_id, project.id, content="all of it", kind="summary")
    assert [each["content"] for each in told(project, "summary")] == ["all of it"]
    assert told(project, "observation") == []


@pytest.mark.parametrize(
    ("action", "change"),
    [
        (entries.JOB_PROCESSING, "processing"),
        (entries.JOB_COMPLETED, "completed"),
        (entries.JOB_STALLED, "stalled"),
        (entries.JOB_FAILED, "failed"),
        (entries.JOB_RETRIED, "queued"),
        (entries.JOB_CANCELLED, "cancelled"),
    ],
)
def test_each_deed_to_a_job_is_told(project: Project, action: str, change: str) -> None:
    enter(project, action, entries.JOB, "job-1")
    (data,) = told(project)
    assert (data["change"], data["id"], data["projectId"]) == (change, "job-1", project.id)
