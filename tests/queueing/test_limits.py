"""What counts when it is asked whether a claim is within its limits."""

import pytest

from queueing import leases, shares
from queueing.models import Share
from tests.queueing.conftest import Enqueue
from tests.queueing.test_leases import claimed

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
