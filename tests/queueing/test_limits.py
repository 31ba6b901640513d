"""What counts when it is asked whether a claim is within its limits."""

import pytest
from django.conf import LazySettings

from queueing import broker, leases, runner, shares
from queueing.models import Share
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed
from tests.queueing.test_outages import Refused

pytestmark = pytest.mark.django_db


def test_a_limit_counts_lanes_and_those_of_its_own_team_alone(enqueue: Enqueue) -> None:
    Share.objects.create(team_id="bound", max_in_flight=2)
    Share.objects.create(team_id="free", weight=3)
    for lane in ("one of others", "another of others"):
        claimed(enqueue(lane, team="free")[0].id)
    assert len(claimed(enqueue("a lane of three", 3, team="bound")[0].id).jobs) == 3
    assert shares.Desk().view().room("bound", "project") == 1
    claimed(enqueue("another", team="bound")[0].id)
    assert leases.claim(enqueue("one too many", team="bound")[0].id, "worker") is None


def test_a_projects_limit_counts_its_own_lanes_alone(enqueue: Enqueue) -> None:
    Share.objects.create(team_id="team", project_id="bound", max_in_flight=1)
    claimed(enqueue("of another", project="free")[0].id)
    claimed(enqueue("of its own", project="bound")[0].id)
    assert leases.claim(enqueue("one too many", project="bound")[0].id, "worker") is None


@pytest.mark.django_db(transaction=True)
def test_a_worker_keeps_to_a_limit_whatever_it_saw_before(
    enqueue: Enqueue, settings: LazySettings
) -> None:
    """What a look found may have had room then."""
    settings.QUEUE_ENGINE = broker.DATABASE
    Share.objects.create(team_id="team", max_in_flight=1)
    (first,), (second,) = enqueue("one"), enqueue("two")
    claimed(first.id)
    assert runner.run(second.id, Refused(lambda: None)) == 0
