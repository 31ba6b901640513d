"""No list costs more when there is more behind it: its queries are counted, and what they read."""

import pytest
from django.test import Client

from observations import audit, keys
from observations.entries import Entry
from observations.models import Event, Project, Team
from tests.fill import fill
from tests.observations.admin.effort import Effort, effort

FEW = 200
MANY = 800
# Whether the project is the team's, where what is looked through ends, and the rows; for a session,
# whether it is the project's. The key and the entry in the audit do not go through Django.
QUERIES = {
    "observations": 1,
    "observations, from a place": 1,
    "observations of a kind": 2,
    "observations of no kind": 2,
    "observations of a file": 2,
    "observations of a platform": 2,
    "observations of a session": 2,
    "observations since": 1,
    "memories": 1,
    "sessions": 1,
    "sessions that are open": 2,
    "events": 1,
    "events, from a place": 1,
    "events of a type": 2,
    "events of no type": 2,
    "events of a session": 3,
    "events of a session and a type": 4,
    "audit": 2,
    "audit of no action": 2,
}


@pytest.fixture
def client(team: Team) -> Client:
    raw = keys.create("test", ("*",), team=team).raw
    return Client(headers={"Authorization": f"Bearer {raw}"})


def addresses(client: Client, project: Project) -> dict[str, str]:
    """An address for each way in which a list is asked for."""
    session_id = Event.objects.filter(project=project).earliest("received_at", "id").session_id
    of, in_session = f"projectId={project.pk}&limit=5", f"sessionId={session_id}&limit=5"
    both = f"{of}&sessionId={session_id}"

    def second(noun: str) -> str:
        first = client.get(f"/v1/{noun}?{of}").json()
        return f"/v1/{noun}?{of}&cursor={first['nextCursor']}"

    return {
        "observations": f"/v1/observations?{of}",
        "observations, from a place": second("observations"),
        "observations of a kind": f"/v1/observations?{of}&kind=decision",
        "observations of no kind": f"/v1/observations?{of}&kind=none",
        "observations of a file": f"/v1/observations?{of}&file=none.py",
        "observations of a platform": f"/v1/observations?{of}&platformSource=none",
        "observations of a session": f"/v1/observations?{both}",
        "observations since": f"/v1/observations?{of}&since=2100-01-01",
        "memories": f"/v1/memories?{of}",
        "sessions": f"/v1/sessions?{of}",
        "sessions that are open": f"/v1/sessions?{of}&ended=false",
        "events": f"/v1/events?{of}",
        "events, from a place": second("events"),
        "events of a type": f"/v1/events?{of}&eventType=Stop",
        "events of no type": f"/v1/events?{of}&eventType=none",
        "events of a session": f"/v1/events?{in_session}",
        "events of a session and a type": f"/v1/events?{in_session}&eventType=none",
        "audit": "/v1/audit?limit=5",
        "audit of no action": "/v1/audit?limit=5&action=none",
    }


@pytest.mark.usefixtures("planned")
def test_a_list_costs_no_more_in_a_database_four_times_as_large(
    client: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observations.listings.MOST_LOOKED_THROUGH", 20)
    few = _efforts(client, project, FEW)
    many = _efforts(client, project, MANY - FEW)
    assert {name: each.queries for name, each in many.items()} == QUERIES
    grown = {
        name: (few[name].work, each.work)
        for name, each in many.items()
        if each.work > 1.5 * few[name].work + 500
    }
    assert grown == {}


def _efforts(client: Client, project: Project, more: int) -> dict[str, Effort]:
    fill(project, more // 2)
    other, _ = Project.objects.get_or_create(
        name="elsewhere", team=Team.objects.get_or_create(name="others")[0]
    )
    fill(other, more // 2)
    team_ids = (project.team_id, other.team_id)
    audit.write(Entry("a", "b", None, team_ids[n % 2], None) for n in range(more))
    asked = addresses(client, project)
    return {name: effort(client, address) for name, address in asked.items()}
