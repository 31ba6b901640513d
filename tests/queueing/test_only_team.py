"""A worker of one team: it has that team's jobs alone, and leaves everybody else's as they are."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from django.conf import LazySettings
from django.db import transaction

from queueing import broker, canaries, kinds, leases, outbox, pauses, reconcile, statements, wakes
from queueing.models import GenerationJob, Lane
from queueing.outbox import Enqueued, NewJob
from queueing.pauses import Gate, Subject
from queueing.polling import Poller
from queueing.statements import fetch

pytestmark = pytest.mark.django_db(transaction=True)

OURS, THEIRS = "01a20324-0000-7000-8000-000000000001", "01a20324-0000-7000-8000-000000000002"


def job(team: str) -> Enqueued:
    """A job of that team, in a lane of its own."""
    new = NewJob(kinds.EVENT, team, kinds.EVENT.job_id(team), "source", team, "project")
    with transaction.atomic():
        return outbox.enqueue([new])[0]


@pytest.fixture
def ours(db: None) -> Enqueued:
    return job(OURS)


@pytest.fixture
def theirs(db: None) -> Enqueued:
    return job(THEIRS)


@pytest.fixture
def only_ours(settings: LazySettings) -> Iterator[None]:
    """We are a worker of one team: statements are made once a process, so here they are anew."""
    settings.ONLY_TEAM = OURS
    _forget_statements()
    yield
    _forget_statements()


def _forget_statements() -> None:
    statements._template.cache_clear()
    statements._text.cache_clear()


@pytest.mark.usefixtures("only_ours")
def test_it_claims_its_teams_jobs_alone(ours: Enqueued, theirs: Enqueued) -> None:
    assert leases.claim(theirs.id, "worker") is None
    assert leases.claim(ours.id, "worker")


def test_what_is_held_is_left_to_it(ours: Enqueued, request: pytest.FixtureRequest) -> None:
    pauses.hold(Subject("team", OURS), "a drill")
    assert leases.claim(ours.id, "worker") is None
    request.getfixturevalue("only_ours")
    assert leases.claim(ours.id, "worker")


@pytest.mark.usefixtures("only_ours", "theirs")
def test_it_sees_its_teams_heads_alone(ours: Enqueued) -> None:
    assert wakes.depths()["event"] == 1
    GenerationJob.objects.filter(pk=ours.id).update(state="cancelled")
    assert wakes.depths()["event"] == 0


@pytest.mark.usefixtures("only_ours", "theirs")
def test_it_nudges_its_teams_heads_alone(
    ours: Enqueued, published: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "can_lose", lambda: True)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    Lane.objects.update(woken_at=None)
    assert reconcile.reconcile() == 1
    assert published == [ours.id]


@pytest.mark.usefixtures("only_ours")
def test_it_buries_no_job_of_another_team(theirs: Enqueued) -> None:
    GenerationJob.objects.filter(pk=theirs.id).update(
        state="processing", attempts=3, token=3, lease_until="2026-01-01T00:00:00Z"
    )
    assert fetch("spent", [10]) == []


@pytest.mark.usefixtures("only_ours")
def test_a_providers_pause_is_not_its_own() -> None:
    pauses.pause("the key is refused", "auth_error", probing=False)
    assert pauses.gate() is Gate.OPEN
    before = pauses.current()
    pauses.look_again()
    after = pauses.current()
    assert before is not None
    assert after is not None
    assert after.left > 0


def test_its_queues_have_no_canaries(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: sent.append(queue))
    monkeypatch.setattr(broker, "canary_waits", lambda queue, number: True)
    settings.ONLY_TEAM = OURS
    assert canaries.send() == []
    settings.ONLY_TEAM = ""
    assert canaries.send() == sent == sorted(canaries.QUEUES)
    settings.ONLY_TEAM = OURS
    assert canaries.answer(canaries.QUEUES, "worker") == 0
    settings.ONLY_TEAM = ""
    assert canaries.answer(canaries.QUEUES, "worker") == len(canaries.QUEUES)


def test_it_takes_nobodys_wakes(settings: LazySettings) -> None:
    settings.ONLY_TEAM = OURS
    poller = Poller(["event", "summary"], 1, print)
    with poller._bell, poller._button, closing(poller._ear):
        assert poller._ear.ends == []
