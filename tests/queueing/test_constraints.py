"""What the database itself refuses, should the protocol ever be wrong."""

from typing import Any

import pytest
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone

from queueing.models import GenerationJob, GenerationJobEvent, Lane, Pause, Share
from tests.queueing.conftest import Enqueue


def refused(rows: models.QuerySet[Any], **values: object) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(**values)


@pytest.fixture
def job(enqueue: Enqueue) -> models.QuerySet[GenerationJob]:
    """The first of two jobs in a lane."""
    first, _ = enqueue(jobs=2)
    return GenerationJob.objects.filter(pk=first.id)


@pytest.mark.parametrize(
    "values",
    [
        {"state": "lost"},
        {"state": "processing"},
        {"lease_until": timezone.now()},
        {"attempts": -1},
        {"attempts": F("token") + 1},
        {"seq": 2},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_job_that_cannot_be_is_refused(
    job: models.QuerySet[GenerationJob], values: dict[str, Any]
) -> None:
    refused(job, **values)


def test_a_jobs_name_is_its_own(job: models.QuerySet[GenerationJob]) -> None:
    (other,) = GenerationJob.objects.exclude(pk__in=job.values("pk"))
    refused(job, queue_job_id=other.queue_job_id)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("head", [0, 4])
def test_a_lanes_head_is_one_of_its_places_or_the_next(head: int) -> None:
    refused(Lane.objects.all(), head=head)
    Lane.objects.update(head=3)


@pytest.mark.usefixtures("job")
def test_nothing_is_written_into_a_history_that_no_transition_has() -> None:
    refused(GenerationJobEvent.objects.all(), event="lost")


@pytest.mark.django_db
@pytest.mark.parametrize("until", [None, timezone.now()], ids=["operator's", "provider's"])
def test_there_is_one_pause_of_a_subject(until: object) -> None:
    made = {"subject": "provider", "since": timezone.now(), "until": until}
    Pause.objects.create(**made)
    with pytest.raises(IntegrityError), transaction.atomic():
        Pause.objects.create(**made)
    Pause.objects.create(**made | {"until": None if until else timezone.now()})


@pytest.mark.django_db
@pytest.mark.parametrize("said", [{"weight": 0}, {"weight": 1001}, {"max_in_flight": 0}])
def test_a_share_that_would_serve_nobody_else_or_not_the_one_is_refused(
    said: dict[str, int],
) -> None:
    Share.objects.create(team_id="team")
    refused(Share.objects.all(), **said)
    with pytest.raises(IntegrityError), transaction.atomic():
        Share.objects.create(team_id="team")
