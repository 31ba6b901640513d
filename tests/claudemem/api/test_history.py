"""Lists of what happened: sessions, events, what was made of one, and the audit."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from observations import audit
from observations.entries import Entry
from observations.models import (
    AuditEntry,
    Event,
    Observation,
    ObservationSource,
    Project,
    Session,
    Team,
)
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.claudemem.api.test_pages import walked

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def started(project: Project, minute: int, **fields: Any) -> Session:
    at = NOW.replace(minute=minute)
    times = dict.fromkeys(("started_at", "last_event_at", "created_at", "updated_at"), at)
    return Session.objects.create(team=project.team, project=project, **times, **fields)


def reported(project: Project, place: int, **fields: Any) -> Event:
    at = NOW.replace(minute=place // 2)  # two at a time
    times = dict.fromkeys(("occurred_at", "received_at", "created_at"), at)
    told = {"source_adapter": "api", "event_type": "tool_use", "payload": {"place": place}}
    return Event.objects.create(
        team=project.team,
        project=project,
        dedupe_key=f"{project.id}{place}",
        **times,
        **(told | fields),
    )


def ids(pages: list[list[Any]]) -> list[str]:
    return [one["id"] for page in pages for one in page]


def test_sessions_are_walked_latest_first(api: Api, team: Team, project: Project) -> None:
    rows = [started(project, minute // 2) for minute in range(7)]
    started(Project.objects.create(team=team, name="other"), 3)
    pages = walked(api, "/v1/sessions", "sessions", projectId=project.id, limit=3)
    assert [len(page) for page in pages] == [3, 3, 1]
    newest_first = sorted(rows, key=lambda row: (row.started_at, row.id), reverse=True)
    assert ids(pages) == [row.id for row in newest_first]
    shown = told(api.get(f"/v1/sessions/{rows[0].id}"), 200)["session"]
    assert pages[-1][-1] == shown


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("externalSessionId=x", [1]),
        ("contentSessionId=y", [2]),
        ("platformSource=Cursor", [2]),
        ("ended=true", [3]),
        ("ended=false", [2, 1]),
        ("since=2026-03-01T12:02", [3, 2]),
        ("until=2026-03-01T12:02", [1]),
        ("externalSessionId=nobody", []),
    ],
)
def test_each_filter_narrows_the_sessions(
    api: Api, project: Project, asked: str, found: list[int]
) -> None:
    rows = {
        1: started(project, 1, external_session_id="x"),
        2: started(project, 2, content_session_id="y", platform_source="cursor"),
        3: started(project, 3, ended_at=NOW),
    }
    page = told(api.get(f"/v1/sessions?projectId={project.id}&{asked}"), 200)
    assert [one["id"] for one in page["sessions"]] == [rows[number].id for number in found]


def test_a_flag_is_true_or_false(api: Api, project: Project) -> None:
    answer = api.get(f"/v1/sessions?projectId={project.id}&ended=yes")
    assert refused(answer, 400, "ValidationError") == "ended"


def test_events_are_walked_newest_first(api: Api, team: Team, project: Project) -> None:
    rows = [reported(project, number) for number in range(7)]
    reported(Project.objects.create(team=team, name="other"), 3)
    pages = walked(api, "/v1/events", "events", projectId=project.id, limit=3)
    newest_first = sorted(rows, key=lambda row: (row.received_at, row.id), reverse=True)
    assert ids(pages) == [row.id for row in newest_first]
    shown = told(api.get(f"/v1/events/{pages[0][0]['id']}"), 200)["event"]
    assert pages[0][0] == shown


def test_events_of_a_session_are_walked_by_their_number(api: Api, project: Project) -> None:
    session = started(project, 1)
    rows = [reported(project, number, session=session, number=5 - number) for number in range(5)]
    reported(project, 7)
    pages = walked(api, "/v1/events", "events", sessionId=session.id, limit=2)
    assert ids(pages) == [row.id for row in rows]


def test_events_of_anothers_session_are_refused_as_the_session_is(
    api: Api, raw_key: RawKey, team: Team, project: Project
) -> None:
    session = started(project, 1)
    other = Project.objects.create(team=team, name="other")
    sibling, stranger = Api(raw_key(project=other)), Team.objects.create(name="strangers")
    path = f"/v1/events?sessionId={session.id}"
    for outsider, status in ((sibling, 403), (Api(raw_key(owner=stranger)), 404)):
        told(outsider.get(path), status)
        told(outsider.get(f"/v1/sessions/{session.id}"), status)
    assert told(api.get(f"{path}&projectId={other.id}"), 200)["events"] == []
    assert told(api.get(f"{path}&projectId={project.id}"), 200)["events"] == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("eventType=Stop", [4]),
        ("eventType=Stop&eventType=tool_use", [6, 4, 2]),
        ("sourceType=hook", [6]),
        ("platformSource=Codex%20CLI", [6]),
        ("since=2026-03-01T12:02", [6, 4]),
        ("until=2026-03-01T12:02", [2]),
        ("eventType=nothing", []),
    ],
)
@pytest.mark.parametrize("of", ["projectId", "sessionId"])
def test_each_filter_narrows_the_events(
    api: Api, project: Project, of: str, asked: str, found: list[int]
) -> None:
    session = started(project, 0)
    rows = {
        2: reported(project, 2, session=session, number=1),
        4: reported(project, 4, event_type="Stop", session=session, number=2),
        6: reported(project, 6, source_adapter="hook", platform_source="codex", session=session,
                    number=3),
    }  # fmt: skip
    named = project.id if of == "projectId" else session.id
    page = told(api.get(f"/v1/events?{of}={named}&{asked}"), 200)
    assert [one["id"] for one in page["events"]] == [rows[number].id for number in found]


def test_what_was_made_of_an_event_is_told_whole_or_in_pages(api: Api, project: Project) -> None:
    event = reported(project, 1)
    for number in range(5):
        row = Observation.objects.create(
            team=project.team, project=project, content=str(number), occurred_at=NOW,
            created_at=NOW, updated_at=NOW,
        )  # fmt: skip
        ObservationSource.objects.create(
            observation=row, event=event, source_type="agent_event", source_id=event.id,
            created_at=NOW,
        )  # fmt: skip
    path = f"/v1/events/{event.id}/observations"
    whole = told(api.get(path), 200)
    assert list(whole) == ["eventId", "observations"]
    assert [one["content"] for one in whole["observations"]] == list("01234")
    pages = walked(api, path, "observations", limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one for page in pages for one in page] == whole["observations"]
    assert refused(api.get(f"{path}?cursor=x"), 400, "ValidationError") == "cursor"


ENTRY = [
    "id", "teamId", "projectId", "actorId", "apiKeyId", "action", "resourceType", "resourceId",
    "details", "createdAtEpoch",
]  # fmt: skip


def entered(project: Project, *actions: str, team_id: str = "") -> None:
    audit.write(
        Entry(action, "thing", str(place), team_id or project.team_id, project.id, {"source": "t"})
        for place, action in enumerate(actions)
    )


@pytest.fixture
def auditor(raw_key: RawKey) -> Api:
    api = Api(raw_key("memories:admin"))
    AuditEntry.objects.all().delete()
    return api


def test_the_audit_tells_who_did_what(api: Api, auditor: Api, project: Project) -> None:
    memory = {"projectId": project.id, "content": "c"}
    added = told(api.post("/v1/memories", memory, X_Request_Id="request-1"), 201)["memory"]
    page = told(auditor.get("/v1/audit"), 200)
    (entry,) = page["audit"]
    assert list(entry) == ENTRY
    assert (entry["action"], entry["resourceType"]) == ("memory.write", "observation")
    assert (entry["resourceId"], entry["projectId"]) == (added["id"], project.id)
    assert entry["details"]["requestId"] == "request-1"
    assert entry["apiKeyId"]
    # That it was read is entered too.
    (read, *_) = told(auditor.get("/v1/audit"), 200)["audit"]
    assert (read["action"], read["details"]["mode"]) == ("observation.read", "audit_list")


@pytest.mark.parametrize("scope", ["admin", "memories:admin", "*"])
def test_who_administers_reads_the_audit(raw_key: RawKey, db: None, scope: str) -> None:
    told(Api(raw_key(scope)).get("/v1/audit"), 200)


def test_others_do_not(raw_key: RawKey, db: None) -> None:
    told(Api(raw_key("memories:read", "memories:write", "jobs:read")).get("/v1/audit"), 403)


def test_the_audit_of_others_is_not_told(
    auditor: Api, raw_key: RawKey, team: Team, project: Project
) -> None:
    other = Project.objects.create(team=team, name="other")
    own = Api(raw_key("admin", project=other))
    entered(project, "mine")
    entered(other, "sibling's")
    entered(project, "stranger's", team_id="strangers")

    def actions(api: Api, asked: str = "") -> list[str]:
        told_of = told(api.get(f"/v1/audit?action=mine&action=sibling%27s&{asked}"), 200)
        return [one["action"] for one in told_of["audit"]]

    assert actions(auditor) == ["sibling's", "mine"]
    assert actions(auditor, f"projectId={project.id}") == ["mine"]
    assert actions(own) == ["sibling's"]
    told(own.get(f"/v1/audit?projectId={project.id}"), 403)
    told(auditor.get("/v1/audit?projectId=nowhere"), 403)
    assert told(auditor.get("/v1/audit?action=stranger%27s"), 200)["audit"] == []


def test_the_audit_is_walked_through_those_of_others(
    auditor: Api, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observations.listings.MOST_LOOKED_THROUGH", 5)
    entered(project, *("mine", "other") * 6)
    pages = walked(auditor, "/v1/audit", "audit", action="mine", limit=4)
    assert [one["resourceId"] for page in pages for one in page] == [
        str(place) for place in range(10, -1, -2)
    ]
    assert len(pages) <= 7
    assert all(len(page) <= 4 for page in pages)


def test_filters_and_times_narrow_the_audit(auditor: Api, project: Project) -> None:
    entered(project, "a", "b", "c")
    now = timezone.now()
    tomorrow, yesterday = (now + timedelta(days=n) for n in (1, -1))
    for asked, found in (
        ("resourceType=thing", "cba"),
        ("resourceId=1", "b"),
        ("resourceType=thing&apiKeyId=x", ""),
        (f"resourceType=thing&since={int(yesterday.timestamp() * 1000)}", "cba"),
        (f"resourceType=thing&since={int(tomorrow.timestamp() * 1000)}", ""),
        (f"resourceType=thing&until={int(tomorrow.timestamp() * 1000)}", "cba"),
        (f"resourceType=thing&until={int(yesterday.timestamp() * 1000)}", ""),
    ):
        page = told(auditor.get(f"/v1/audit?{asked}"), 200)
        assert "".join(one["action"] for one in page["audit"]) == found, asked
