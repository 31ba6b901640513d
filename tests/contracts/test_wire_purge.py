"""Purging a project's memory on the wire."""

from uuid import uuid4

import pytest

from tests.contracts.conftest import Wire, refused, told
from tests.stack import OPEN
from tests.waiting import until

pytestmark = pytest.mark.stack

KEPT = ("observations_event", "observations_session", "observations_observation")


def test_a_purge_takes_one_projects_data_and_no_others(wire: Wire) -> None:
    two, mine = wire.world.projects["two"], wire.as_("two")
    told(mine.post("/v1/events", wire.event(projectId=two, contentSessionId=uuid4().hex)), 201)
    told(mine.post("/v1/memories", {"projectId": two, "content": "to be forgotten"}), 201)
    wire.remembered("to be kept")
    until(lambda: not wire.stack.jobs(f"{OPEN} AND project_id = '{two}'"))
    others = {table: wire.rows(table, project_id=wire.project) for table in KEPT}
    purged = told(mine.call("DELETE", f"/v1/projects/{two}/memory"), 200)
    assert (purged["purged"], purged["projectId"]) == (True, two)
    assert set(purged["counts"]) >= {"observations", "agentEvents", "sessions", "jobs"}
    assert purged["counts"]["agentEvents"] >= 1
    assert purged["counts"]["observations"] >= 1
    assert not any(wire.rows(table, project_id=two) for table in KEPT)
    assert {table: wire.rows(table, project_id=wire.project) for table in KEPT} == others
    assert wire.rows("observations_project", id=two) == 1


def test_a_purge_of_what_is_not_ones_own_deletes_nothing(wire: Wire) -> None:
    wire.remembered("to be kept")
    kept = wire.rows("observations_observation", project_id=wire.project)
    path = f"/v1/projects/{wire.project}/memory"
    assert wire.as_("away").call("DELETE", path).status_code == 404
    assert wire.as_("home").call("DELETE", "/v1/projects/none/memory").status_code == 404
    assert refused(wire.as_("two").call("DELETE", path), 403, "Forbidden")
    assert wire.rows("observations_observation", project_id=wire.project) == kept
