"""A verdict sees what it is there to see: each fault is put into the rows by hand."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from claudemem.drill import verdict
from observations import ingest
from observations.models import Event, Observation, Project
from queueing import leases, states
from queueing.leases import Lease
from queueing.models import GenerationJob, GenerationJobEvent
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)

Break = Callable[[Project], object]


@pytest.fixture
def accepted(project: Project) -> set[str]:
    """Three events of a session that were captured and settled, an observation of each."""
    taken = [
        ingest.capture_hook(project.team_id, project.id, hook("session", number), origin={})
        for number in range(3)
    ]
    for lease in _leases(project):
        leases.settle(lease, partial(_stored, project, lease), worker="worker", go_on=False)
    return {one.event.id for one in taken}


def _leases(project: Project) -> Iterator[Lease]:
    """Each job alone, in order."""
    for job in GenerationJob.objects.filter(project_id=project.id).order_by("seq"):
        # One that was tried before takes no others along.
        GenerationJob.objects.filter(pk=job.pk).update(attempts=1, token=1)
        lease = leases.claim(job.id, "worker")
        assert lease is not None
        yield lease


def _stored(project: Project, lease: Lease) -> dict[str, dict[str, int]]:
    observe(project, lease.head.id)
    return {lease.head.id: {"observationCount": 1}}


def observe(project: Project, job_id: str) -> None:
    at = project.created_at
    Observation.objects.create(
        team=project.team, project=project, content="x", created_by_job_id=job_id,
        occurred_at=at, created_at=at, updated_at=at,
    )  # fmt: skip


def first(project: Project) -> GenerationJob:
    return GenerationJob.objects.filter(project_id=project.id).order_by("seq")[0]


def counted(project: Project, accepted: set[str]) -> tuple[int, int, int]:
    """How much is lost, repeated and out of order."""
    counts = verdict.judge(project.id, accepted)
    assert counts.kept == (not any([counts.lost, counts.repeated, counts.out_of_order]))
    return len(counts.lost), len(counts.repeated), len(counts.out_of_order)


def test_nothing_is_wrong_where_all_was_settled_in_turn(
    project: Project, accepted: set[str]
) -> None:
    assert counted(project, accepted) == (0, 0, 0)
    assert verdict.settled(project.id)


def lose_event(project: Project) -> None:
    Event.objects.filter(pk=first(project).source_id).delete()


def lose_job(project: Project) -> None:
    first(project).delete()


def reopen(project: Project) -> None:
    GenerationJob.objects.filter(pk=first(project).pk).update(state=states.QUEUED)


def fail(project: Project) -> None:
    GenerationJob.objects.filter(pk=first(project).pk).update(state=states.FAILED)


def never_complete(project: Project) -> None:
    GenerationJobEvent.objects.filter(job=first(project), event=states.COMPLETED).delete()


def lose_observation(project: Project) -> None:
    Observation.objects.filter(created_by_job_id=first(project).pk).delete()


@pytest.mark.parametrize("harm", [lose_job, reopen, fail, lose_event, lose_observation])
def test_what_is_lost_is_seen(project: Project, accepted: set[str], harm: Break) -> None:
    harm(project)
    lost, _, disordered = counted(project, accepted)
    assert (lost > 0, disordered) == (True, 0)


def test_a_state_without_its_line_in_the_history_is_not_believed(
    project: Project, accepted: set[str]
) -> None:
    never_complete(project)
    lost, *_ = counted(project, accepted)
    assert lost == 1


def test_an_open_job_is_not_settled(project: Project, accepted: set[str]) -> None:
    reopen(project)
    assert not verdict.settled(project.id)


def complete_again(project: Project) -> None:
    line = GenerationJobEvent.objects.filter(event=states.COMPLETED).order_by("-id")[0]
    line.pk = None
    line.save(force_insert=True)


def observe_again(project: Project) -> None:
    observe(project, first(project).id)


def observe_for_nobody(project: Project) -> None:
    observe(project, "nobody")


def capture_again(project: Project) -> None:
    event = Event.objects.get(pk=first(project).source_id)
    event.pk, event.number, event.dedupe_key = "again", 9, "again"
    event.save(force_insert=True)


def enqueue_again(project: Project) -> None:
    job = first(project)
    job.pk, job.seq, job.queue_job_id = "again", 9, "again"
    job.save(force_insert=True)
    GenerationJobEvent.objects.create(
        job_id="again", event=states.COMPLETED, state_after=states.COMPLETED,
        created_at=job.created_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    "harm", [complete_again, observe_again, observe_for_nobody, capture_again, enqueue_again]
)
def test_what_is_repeated_is_seen(project: Project, accepted: set[str], harm: Break) -> None:
    harm(project)
    assert counted(project, accepted) == (0, 1, 0)


def test_what_is_out_of_order_is_seen(project: Project, accepted: set[str]) -> None:
    done = GenerationJobEvent.objects.filter(event=states.COMPLETED).order_by("id")
    one, two = done[0], done[1]
    GenerationJobEvent.objects.filter(pk=one.pk).update(job_id=two.job_id)
    GenerationJobEvent.objects.filter(pk=two.pk).update(job_id=one.job_id)
    _, _, disordered = counted(project, accepted)
    assert disordered > 0


def test_another_projects_faults_are_laid_at_its_own_door(
    project: Project, accepted: set[str]
) -> None:
    other = Project.objects.create(team=project.team, name="other")
    ingest.capture_hook(project.team_id, other.id, hook("elsewhere", 1), origin={})
    assert counted(project, accepted) == (0, 0, 0)
    assert counted(other, set()) == (1, 1, 0)
