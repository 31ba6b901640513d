"""A project that is emptied remembers nothing, and what works for it meanwhile does no harm."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count, islice
from typing import Any

import pytest
from django.db import connection, transaction

from observations import audit, emptying, ingest, memories, merging, portions, tasks
from observations.clearances import Clearance
from observations.errors import Conflict, NotFound
from observations.models import AuditEntry, Event, Observation, Project, Session, Team, Telling
from queueing import direct, leases, operations, outbox, retention
from queueing.errors import LeaseLost
from queueing.models import GenerationJob, GenerationJobEvent, Lane
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    audit.attend()
    monkeypatch.setattr(portions, "AT_ONCE", 2)
    monkeypatch.setattr(portions, "LANES", 2)


@pytest.fixture
def lived_in() -> Project:
    team = Team.objects.create(name="weasels")
    project = Project.objects.create(team=team, name="weasel")
    for session in "abc":
        for number in range(3):
            ingest.capture_hook(team.id, project.id, hook(session, number), origin={})
    memories.remember(team.id, project.id, content="The weasel lives in the hills")
    return project


def left(project: Project) -> dict[str, int]:
    models: list[Any] = [Event, Observation, Session, GenerationJob, Lane]
    counted = {
        model.__name__: model._default_manager.filter(project_id=project.id).count()
        for model in models
    }
    return {name: count for name, count in counted.items() if count}


def test_more_than_goes_at_once_goes_in_portions(lived_in: Project) -> None:
    session = Session.objects.filter(project=lived_in)[0]
    Telling.objects.create(session=session, moment="prompt", created_at=direct.now())
    gone = emptying.empty(lived_in.team_id, lived_in.id)
    counts = gone.counts
    assert gone.done
    assert (counts.observations, counts.events, counts.sessions, counts.jobs) == (1, 9, 3, 9)
    assert left(lived_in) == {}
    assert not GenerationJobEvent.objects.exists()


def test_a_worker_that_has_one_of_its_jobs_loses_its_lease(lived_in: Project) -> None:
    job = GenerationJob.objects.order_by("seq")[0]
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    emptying.empty(lived_in.team_id, lived_in.id)
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=False)
    assert left(lived_in) == {}


def test_a_worker_loses_its_lease_before_its_event_goes_also_if_its_lane_goes_on(
    lived_in: Project,
) -> None:
    job = GenerationJob.objects.order_by("id")[0]
    lease = leases.claim(job.id, "worker")
    assert lease is not None
    until = direct.now()
    late = ingest.capture_hook(lived_in.team_id, lived_in.id, hook("a", 9), origin={}).event
    GenerationJob.objects.filter(source_id=late.id).update(created_at=until + timedelta(seconds=1))
    steps = portions.delete(lived_in.id, until, portions.Counts())
    while Event.objects.filter(pk=job.source_id).exists():
        with transaction.atomic():
            next(steps)
    assert Lane.objects.filter(pk=job.lane_id, woken_at=None).exists()
    with pytest.raises(LeaseLost):
        leases.settle(lease, dict, worker="worker", go_on=False)


def test_jobs_that_ended_go_before_their_lane_does(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    drop = portions.outbox.drop

    def watched(lanes: Any) -> None:
        sizes.append(GenerationJob.objects.filter(lane__in=lanes).count())
        drop(lanes)

    monkeypatch.setattr(portions.outbox, "drop", watched)
    for job in GenerationJob.objects.order_by("seq"):
        operations.cancel(job.id)
    assert emptying.empty(lived_in.team_id, lived_in.id).counts.jobs == 9
    assert sizes == [0, 0]
    assert left(lived_in) == {}
    assert not GenerationJobEvent.objects.exists()


def test_a_session_that_goes_on_meanwhile_goes_with_what_came(lived_in: Project) -> None:
    emptying.empty(lived_in.team_id, lived_in.id, tell=capturing(lived_in, iter([3, 4, 5])))
    assert left(lived_in) == {}


def test_a_session_that_begins_meanwhile_stays_whole(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    end, once = portions._end, iter("z")

    def capturing(sessions: Any, counts: Any) -> None:
        for name in once:
            ingest.capture_hook(lived_in.team_id, lived_in.id, hook(name, 1), origin={})
        end(sessions, counts)

    monkeypatch.setattr(portions, "_end", capturing)
    emptying.empty(lived_in.team_id, lived_in.id)
    assert left(lived_in) == {"Event": 1, "Session": 1, "GenerationJob": 1, "Lane": 1}


def test_a_session_that_cannot_be_had_is_left_to_the_next_pass(lived_in: Project) -> None:
    tries = iter([False] * 60)
    gone = emptying.empty(
        lived_in.team_id,
        lived_in.id,
        tell=capturing(lived_in, count(3)),
        allowed=budget(lambda: next(tries, True)),
    )
    assert not gone.done
    assert Session.objects.filter(project=lived_in).exists()
    tasks.empty_projects()
    assert left(lived_in) == {}


def capturing(project: Project, numbers: Iterator[int]) -> Callable[[Any], None]:
    """Have something of a session captured after each portion, as long as there are numbers."""

    def capture(_: Any) -> None:
        for number in islice(numbers, 1):
            ingest.capture_hook(project.team_id, project.id, hook("a", number), origin={})

    return capture


def budget(stop: Any = lambda: False, seconds: float = 600.0) -> retention.Budget:
    return retention.budget(seconds, stop)


def test_who_does_not_wait_leaves_the_rest_to_workers_and_all_is_counted(
    lived_in: Project,
) -> None:
    steps = iter([False] * 4)
    gone = emptying.empty(
        lived_in.team_id, lived_in.id, origin={"source": "api"},
        allowed=budget(lambda: next(steps, True)),
    )  # fmt: skip
    assert not gone.done
    assert gone.counts.jobs > 0
    assert left(lived_in)
    assert not AuditEntry.objects.filter(action="project.memory_purged").exists()
    assert tasks.empty_projects() == 1
    assert left(lived_in) == {}
    entry = AuditEntry.objects.get(action="project.memory_purged")
    told = {"observations": 1, "agentEvents": 9, "sessions": 3, "jobs": 9, "source": "api"}
    assert told.items() <= entry.details.items()
    assert tasks.empty_projects() == 0


def test_what_somebody_sees_to_is_left_to_them_until_they_fall_silent(lived_in: Project) -> None:
    steps = iter([False] * 4)
    asked = budget(lambda: next(steps, True))
    emptying.empty(lived_in.team_id, lived_in.id, allowed=asked)
    Clearance.objects.update(worked_at=direct.now())
    before = left(lived_in)
    assert emptying.go_on(budget()) == 0
    assert left(lived_in) == before
    Clearance.objects.update(worked_at=direct.now() - emptying.SILENCE - timedelta(seconds=1))
    assert emptying.go_on(budget()) == 1
    assert left(lived_in) == {}


def test_what_is_given_up_stays_and_what_went_is_entered(lived_in: Project) -> None:
    steps = iter([False] * 6)
    emptying.empty(lived_in.team_id, lived_in.id, allowed=budget(lambda: next(steps, True)))
    before = left(lived_in)
    emptying.give_up(lived_in.id)
    assert tasks.empty_projects() == 0
    assert left(lived_in) == before != {}
    entry = AuditEntry.objects.get(action="project.memory_purged")
    assert entry.details["jobs"] > 0
    assert entry.details["givenUp"]


def test_that_it_was_given_up_is_told_until_the_next_is_asked_for(lived_in: Project) -> None:
    begun(lived_in)
    far = emptying.last(lived_in.id)
    emptying.give_up(lived_in.id)
    stopped = emptying.last(lived_in.id)
    assert far
    assert stopped
    assert stopped.given_up_at
    assert (stopped.counts, stopped.asked_at) == (far.counts, far.asked_at)
    emptying.give_up(lived_in.id)
    assert emptying.last(lived_in.id) == stopped
    gone = emptying.empty(lived_in.team_id, lived_in.id)
    assert (gone.done, gone.counts.events) == (True, 9)
    assert emptying.last(lived_in.id) is None
    assert left(lived_in) == {}
    assert AuditEntry.objects.filter(action="project.memory_purged").count() == 2


def test_who_waits_for_what_is_given_up_is_told_so(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(lived_in)
    Clearance.objects.update(worked_at=direct.now())
    monkeypatch.setattr(emptying.time, "sleep", lambda _: emptying.give_up(lived_in.id))
    with pytest.raises(Conflict, match="has stopped this deletion"):
        emptying.empty(lived_in.team_id, lived_in.id)
    assert left(lived_in)


def test_who_deletes_what_is_given_up_just_then_is_told_so(lived_in: Project) -> None:
    with pytest.raises(Conflict, match="has stopped this deletion"):
        emptying.empty(lived_in.team_id, lived_in.id, tell=lambda _: emptying.give_up(lived_in.id))
    assert left(lived_in)


def test_a_project_whose_emptying_was_given_up_is_merged(lived_in: Project) -> None:
    whole = Project.objects.create(team_id=lived_in.team_id, name="mustelids")
    begun(lived_in)
    emptying.give_up(lived_in.id)
    merging.merge(whole.team_id, lived_in.id, whole.id)
    assert left(lived_in) == {}


def test_what_came_since_stays_where_others_join_in(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking_meanwhile(lived_in, monkeypatch, anew=False)
    gone = emptying.empty(lived_in.team_id, lived_in.id, origin={"source": "first"})
    assert (gone.done, gone.counts.events) == (True, 9)
    assert left(lived_in) == {"Event": 1, "Session": 1, "GenerationJob": 1, "Lane": 1}
    assert AuditEntry.objects.get(action="project.memory_purged").details["source"] == "first"


def test_what_is_asked_anew_meanwhile_goes_with_what_came_since(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking_meanwhile(lived_in, monkeypatch, anew=True)
    assert emptying.empty(lived_in.team_id, lived_in.id).counts.events == 10
    assert left(lived_in) == {}
    assert AuditEntry.objects.filter(action="project.memory_purged").count() == 1


def asking_meanwhile(project: Project, monkeypatch: pytest.MonkeyPatch, *, anew: bool) -> None:
    """Have somebody ask once more when all is gone but an event that came since."""
    concluded, once = emptying._concluded, iter("z")

    def asking(wish: Clearance, counts: Any) -> bool:
        for name in once:
            ingest.capture_hook(project.team_id, project.id, hook(name, 1), origin={})
            spent = budget(lambda: True)
            emptying.empty(project.team_id, project.id, allowed=spent, anew=anew)
        return concluded(wish, counts)

    monkeypatch.setattr(emptying, "_concluded", asking)


def test_how_far_it_is_can_be_seen_until_it_is_done(lived_in: Project) -> None:
    assert emptying.last(lived_in.id) is None
    begun(lived_in)
    seen = emptying.last(lived_in.id)
    assert seen is not None
    assert (seen.done, seen.counts.jobs > 0) == (False, True)
    assert seen.asked_at == Clearance.objects.get().until
    assert tasks.empty_projects() == 1
    assert emptying.last(lived_in.id) is None


def begun(project: Project) -> None:
    """Have the project's emptying begin, and be left after some portions."""
    steps = iter([False] * 4)
    allowed = budget(lambda: next(steps, True))
    assert not emptying.empty(project.team_id, project.id, allowed=allowed).done


def test_what_was_there_elsewhere_is_not_merged_into_what_is_being_emptied(
    lived_in: Project,
) -> None:
    other = Project.objects.create(team_id=lived_in.team_id, name="stoat")
    ingest.capture_hook(other.team_id, other.id, hook("s", 1), origin={})
    begun(lived_in)
    for source, target in ((other, lived_in), (lived_in, other)):
        with pytest.raises(Conflict, match="is being deleted"):
            merging.merge(lived_in.team_id, source.id, target.id)
    assert tasks.empty_projects() == 1
    merging.merge(lived_in.team_id, other.id, lived_in.id)
    assert left(lived_in) == {"Event": 1, "Session": 1, "GenerationJob": 1, "Lane": 1}


def test_what_was_merged_into_it_is_not_brought_back_while_it_is_emptied(
    lived_in: Project,
) -> None:
    whole = Project.objects.create(team_id=lived_in.team_id, name="mustelids")
    made = merging.merge(whole.team_id, lived_in.id, whole.id)
    begun(whole)
    with pytest.raises(Conflict, match="is being deleted"):
        merging.undo(whole.team_id, made.id)
    assert tasks.empty_projects() == 1
    merging.undo(whole.team_id, made.id)
    assert left(lived_in) == left(whole) == {}


def test_what_is_merged_into_another_is_not_said_to_be_emptied(lived_in: Project) -> None:
    whole = Project.objects.create(team_id=lived_in.team_id, name="mustelids")
    merging.merge(whole.team_id, lived_in.id, whole.id)
    with pytest.raises(Conflict, match=f"merged into the project {whole.id}"):
        emptying.empty(lived_in.team_id, lived_in.id)
    assert left(whole)["Event"] == 9


def test_what_an_undone_merge_still_brings_back_is_not_deleted(lived_in: Project) -> None:
    whole = Project.objects.create(team_id=lived_in.team_id, name="mustelids")
    before = left(lived_in)
    made = merging.merge(whole.team_id, lived_in.id, whole.id)
    merging.undo(whole.team_id, made.id, allowed=budget(lambda: True))
    for either in (whole, lived_in):
        with pytest.raises(Conflict, match="still being undone"):
            emptying.empty(either.team_id, either.id)
    assert tasks.empty_projects() == 0
    merging.gather()
    emptying.empty(whole.team_id, whole.id)
    assert left(lived_in) == before


def test_what_of_a_merge_is_still_to_follow_is_forgotten_as_well(lived_in: Project) -> None:
    whole = Project.objects.create(team_id=lived_in.team_id, name="mustelids")
    merging.merge(whole.team_id, lived_in.id, whole.id, allowed=budget(lambda: True))
    assert emptying.empty(whole.team_id, whole.id).counts.events == 9
    merging.gather()
    assert left(lived_in) == left(whole) == {}


def test_jobs_that_cannot_be_had_are_left_to_the_next_pass(
    lived_in: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        busy.setattr(outbox, "_LOCK_TRIES", 0)
        begun(lived_in)
    assert tasks.empty_projects() == 1
    assert left(lived_in) == {}


def test_a_memory_that_somebody_changes_just_then_is_waited_for(lived_in: Project) -> None:
    changes, done = threading.Event(), threading.Event()

    def change() -> None:
        with transaction.atomic():
            list(Observation.objects.select_for_update().filter(project=lived_in))
            changes.set()
            done.wait(0.5)
        connection.close()

    with ThreadPoolExecutor(1) as somebody:
        changed = somebody.submit(change)
        assert changes.wait(30.0)
        emptying.empty(lived_in.team_id, lived_in.id)
        done.set()
        changed.result()
    assert left(lived_in) == {}


def test_another_teams_project_is_not_there(lived_in: Project) -> None:
    before = left(lived_in)
    with pytest.raises(NotFound):
        emptying.empty(Team.objects.create(name="strangers").id, lived_in.id)
    assert left(lived_in) == before
    assert not AuditEntry.objects.filter(action="project.memory_purged").exists()
