from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from claudemem.api import waiting
from observations.models import Event, Observation, ObservationSource, Project, Session, Team
from queueing import broker
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

EVENT_KEYS = [
    "id",
    "projectId",
    "teamId",
    "serverSessionId",
    "sourceAdapter",
    "sourceEventId",
    "eventType",
    "platformSource",
    "payload",
    "metadata",
    "occurredAtEpoch",
    "receivedAtEpoch",
    "createdAtEpoch",
]
DESCRIPTOR_KEYS = [
    "id",
    "status",
    "bullmqJobId",
    "sourceType",
    "sourceId",
    "transport",
    "createdAtEpoch",
    "updatedAtEpoch",
]
WAITED_KEYS = [
    "id",
    "status",
    "transport",
    "bullmqJobId",
    "sourceType",
    "sourceId",
    "attempts",
    "maxAttempts",
    "createdAtEpoch",
    "updatedAtEpoch",
]

Body = dict[str, Any]


@pytest.fixture
def settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker so quick that a job is completed as soon as it is published."""

    def complete(job_id: str, kind: str) -> None:
        GenerationJob.objects.filter(pk=job_id).update(state="completed", attempts=1, token=1)

    monkeypatch.setattr(broker, "publish", complete)


def test_an_event_is_stored_with_its_job(api: Api, event: Body) -> None:
    answer = told(api.post("/v1/events", event), 201)
    assert list(answer) == ["event", "generationJob"]
    assert list(answer["event"]) == EVENT_KEYS
    assert list(answer["generationJob"]) == DESCRIPTOR_KEYS
    stored = Event.objects.get(pk=answer["event"]["id"])
    assert (
        answer["event"]
        | {
            "projectId": stored.project_id,
            "sourceAdapter": "api",
            "eventType": "tool_use",
            "payload": event["payload"],
            "metadata": {},
            "occurredAtEpoch": 1_700_000_000_123,
            "serverSessionId": None,
            "platformSource": None,
        }
        == answer["event"]
    )
    job = GenerationJob.objects.get(pk=answer["generationJob"]["id"])
    assert (job.source_type, job.source_id) == ("agent_event", stored.id)
    assert answer["generationJob"]["bullmqJobId"] == job.queue_job_id
    assert told(api.get(f"/v1/events/{stored.id}"), 200) == {"event": answer["event"]}


def test_without_a_queue_store_it_is_queued_only(api: Api, event: Body) -> None:
    answer = told(api.post("/v1/events", event), 201)
    assert (answer["generationJob"]["status"], answer["generationJob"]["transport"]) == (
        "queued",
        "queued_only",
    )


def test_a_duplicate_is_201_too_and_the_same(api: Api, event: Body) -> None:
    first, second = (told(api.post("/v1/events", event), 201) for _ in range(2))
    assert first["event"]["id"] == second["event"]["id"]
    assert first["generationJob"]["id"] == second["generationJob"]["id"]


def test_who_asked_is_kept_with_the_job(api: Api, event: Body) -> None:
    answer = told(api.post("/v1/events", event, X_Request_Id="from-the-caller"), 201)
    origin = GenerationJob.objects.get(pk=answer["generationJob"]["id"]).origin
    assert origin["request_id"] == "from-the-caller"
    assert origin["source"] == "http_post_v1_events"
    assert origin["api_key_id"]


def test_without_generation_there_is_no_job(api: Api, event: Body) -> None:
    assert list(told(api.post("/v1/events?generate=false", event), 201)) == ["event"]
    assert not GenerationJob.objects.exists()
    waited = told(api.post("/v1/events?generate=false&wait=true", event), 201)
    assert waited["generationJob"] is None


def test_who_asks_for_generation_later_gets_one_job(api: Api, event: Body) -> None:
    first = told(api.post("/v1/events?generate=false", event), 201)
    later, again = (told(api.post("/v1/events", event), 201) for _ in range(2))
    assert later["event"]["id"] == again["event"]["id"] == first["event"]["id"]
    assert later["generationJob"]["id"] == again["generationJob"]["id"]
    job = GenerationJob.objects.get()
    stored = Event.objects.get()
    assert (job.source_id, job.session_id, job.covers) == (
        stored.id, stored.session_id, stored.number or 0
    )  # fmt: skip


@pytest.mark.parametrize(
    "query", ["wait=1", "wait=True", "wait=", "generate=no", "wait=true&wait=true"]
)
def test_a_flag_is_true_or_false_once(api: Api, event: Body, query: str) -> None:
    flag = query.partition("=")[0]
    assert refused(api.post(f"/v1/events?{query}", event), 400, "ValidationError") == flag
    assert not Event.objects.exists()
    told(api.post("/v1/events?unknown=1&unknown=2", event), 201)


@pytest.mark.usefixtures("settling")
def test_a_caller_that_waits_gets_the_outcome(api: Api, event: Body) -> None:
    answer = told(api.post("/v1/events?wait=true", event), 201)
    assert list(answer) == ["event", "generationJob"]
    assert list(answer["generationJob"]) == WAITED_KEYS
    assert (answer["generationJob"]["status"], answer["generationJob"]["attempts"]) == (
        "completed",
        1,
    )


def test_a_caller_that_waits_in_vain_is_told_so(
    api: Api, event: Body, settings: LazySettings
) -> None:
    settings.WAIT_SECONDS = 0.05
    answer = told(api.post("/v1/events?wait=true", event), 201)
    assert answer["waitTimedOut"] is True
    assert answer["generationJob"]["status"] == "queued"


def test_when_too_many_wait_the_next_is_answered_at_once(
    api: Api, event: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0
    while waiting._seats.acquire(blocking=False):
        taken += 1
    try:
        assert told(api.post("/v1/events?wait=true", event), 201)["waitTimedOut"] is True
    finally:
        for _ in range(taken):
            waiting._seats.release()


def test_a_batch_is_answered_in_its_order(api: Api, event: Body) -> None:
    batch = [event | {"payload": {"n": n}} for n in range(5)]
    answer = told(api.post("/v1/events/batch", batch), 201)
    assert list(answer) == ["events"]
    assert [one["event"]["payload"]["n"] for one in answer["events"]] == [0, 1, 2, 3, 4]
    assert all(list(one["generationJob"]) == DESCRIPTOR_KEYS for one in answer["events"])


def test_a_batch_that_waits_in_vain_says_so_of_each_and_of_all(
    api: Api, event: Body, settings: LazySettings
) -> None:
    settings.WAIT_SECONDS = 0.05
    batch = [event, event | {"eventType": "other"}]
    answer = told(api.post("/v1/events/batch?wait=true", batch), 201)
    assert list(answer) == ["events", "waitTimedOut"]
    assert [one["waitTimedOut"] for one in answer["events"]] == [True, True]


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_1_to_500_events_or_is_refused_whole(api: Api, event: Body, count: int) -> None:
    batch = [event | {"payload": {"n": n}} for n in range(count)]
    assert refused(api.post("/v1/events/batch", batch), 400, "ValidationError") == ""
    assert not Event.objects.exists()


def test_one_bad_event_refuses_the_batch_and_is_named(api: Api, event: Body) -> None:
    batch = [event, event | {"eventType": 7}, event]
    paths = refused(api.post("/v1/events/batch", batch), 400, "ValidationError")
    assert paths == "1.eventType"
    assert not Event.objects.exists()


WRONG: list[tuple[str, Any]] = [
    ("projectId", None),
    ("projectId", 7),
    ("projectId", ""),
    ("projectId", "a\0b"),
    ("sourceType", "robot"),
    ("sourceType", None),
    ("eventType", ""),
    ("eventType", ["tool_use"]),
    ("occurredAtEpoch", "1700000000000"),
    ("occurredAtEpoch", -1),
    ("occurredAtEpoch", 1.5),
    ("occurredAtEpoch", True),
    ("occurredAtEpoch", None),
    ("occurredAtEpoch", 253_402_300_800_000),
    ("occurredAtEpoch", 8_640_000_000_000_001),
    ("occurredAtEpoch", 2**53),
    ("occurredAtEpoch", 1e300),
    ("serverSessionId", ""),
    ("contentSessionId", 7),
    ("contentSessionId", "x" * 501),
    ("platformSource", ""),
    ("metadata", []),
    ("metadata", "text"),
    ("sourceEventId", {}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_field_of_the_wrong_type_or_range_is_named(
    api: Api, event: Body, field: str, value: Any
) -> None:
    answer = api.post("/v1/events", event | {field: value})
    assert refused(answer, 400, "ValidationError") == field
    assert not Event.objects.exists()


@pytest.mark.parametrize("field", ["projectId", "sourceType", "eventType", "occurredAtEpoch"])
def test_a_missing_field_is_named(api: Api, event: Body, field: str) -> None:
    del event[field]
    assert refused(api.post("/v1/events", event), 400, "ValidationError") == field


@pytest.mark.parametrize("body", [[], "text", 7, None, True])
def test_an_event_is_an_object(api: Api, body: Any) -> None:
    told(api.post("/v1/events", body), 400)


def test_an_empty_body_lacks_every_field(api: Api) -> None:
    paths = refused(api.post("/v1/events", b""), 400, "ValidationError")
    assert paths == "projectId sourceType eventType occurredAtEpoch"


def test_an_answer_about_a_bad_value_does_not_repeat_it(api: Api, event: Body) -> None:
    answer = api.post("/v1/events", event | {"metadata": "correct-horse", "sourceType": "battery"})
    assert b"correct-horse" not in answer.content
    assert b"battery" not in answer.content


@pytest.mark.parametrize(
    ("milliseconds", "year"), [(0, 1970), (253_402_300_799_999, 9999), (1.7e12, 2023)]
)
def test_an_epoch_is_any_moment_that_can_be_stored(
    api: Api, event: Body, milliseconds: float, year: int
) -> None:
    answer = told(api.post("/v1/events", event | {"occurredAtEpoch": milliseconds}), 201)
    assert answer["event"]["occurredAtEpoch"] == milliseconds
    occurred_at: datetime = Event.objects.get().occurred_at
    assert occurred_at.year == year


def test_what_is_optional_may_be_null_and_what_is_unknown_is_dropped(api: Api, event: Body) -> None:
    optional = dict.fromkeys(
        ["serverSessionId", "contentSessionId", "memorySessionId", "platformSource", "payload"]
    )
    answer = told(api.post("/v1/events", event | optional | {"unknown": {"deep": 1}}), 201)
    assert answer["event"]["payload"] == {}
    assert "unknown" not in str(answer)


@pytest.mark.parametrize("payload", [[1, "two", None], "text", 7, False, 1.8446744073709552e19])
def test_a_payload_is_any_json(api: Api, event: Body, payload: Any) -> None:
    told(api.post("/v1/events", event | {"payload": payload}), 201)
    stored = told(api.get(f"/v1/events/{Event.objects.get().id}"), 200)
    assert stored["event"]["payload"] == payload


def test_what_cannot_be_stored_is_cleaned_and_not_refused(api: Api, event: Body) -> None:
    told(api.post("/v1/events", event | {"payload": {"text": "a\0b\ud800c"}}), 201)
    text = Event.objects.get().payload["text"]
    assert text.startswith("a")
    assert text.endswith("c")
    assert "\0" not in text
    assert "\ud800" not in text


def test_a_client_names_its_event_itself(api: Api, event: Body) -> None:
    named = event | {"sourceEventId": "mine-1", "metadata": {"a": 1}}
    first = told(api.post("/v1/events", named), 201)["event"]
    again = told(api.post("/v1/events", named | {"payload": "other"}), 201)["event"]
    assert first["id"] == again["id"]
    assert (first["sourceEventId"], first["metadata"]) == ("mine-1", {"a": 1})
    by_tool = told(api.post("/v1/events", event | {"toolUseId": "toolu_1"}), 201)["event"]
    assert by_tool["sourceEventId"] == "toolu_1"


def test_what_a_later_delivery_says_besides_is_added(api: Api, event: Body) -> None:
    named = event | {"sourceEventId": "mine-1", "metadata": {"a": 1, "b": 1}}
    first = told(api.post("/v1/events", named), 201)
    more = {"metadata": {"b": 2, "c": 3}, "platformSource": "Codex CLI", "payload": "other"}
    again = told(api.post("/v1/events", named | more), 201)
    merged = {"metadata": {"a": 1, "b": 2, "c": 3}, "platformSource": "codex"}
    assert again["event"] == first["event"] | merged
    assert again["generationJob"]["id"] == first["generationJob"]["id"]
    assert told(api.get(f"/v1/events/{first['event']['id']}"), 200)["event"] == again["event"]
    third = told(api.post("/v1/events", named | {"metadata": {}}), 201)["event"]
    assert third == again["event"]


def test_what_no_column_holds_is_kept_in_the_metadata(api: Api, event: Body) -> None:
    known = {"memorySessionId": "m-1", "metadata": {"a": 1}}
    stored = told(api.post("/v1/events", event | known), 201)["event"]
    assert stored["metadata"] == {"memorySessionId": "m-1", "a": 1}


def test_what_is_added_passes_the_door(api: Api, event: Body) -> None:
    named = event | {"sourceEventId": "mine-1"}
    told(api.post("/v1/events", named), 201)
    secret = {"metadata": {"password": "correct-horse-42"}}
    told(api.post("/v1/events", named | secret), 201)
    assert "correct-horse" not in repr(Event.objects.values().get())


@pytest.mark.parametrize("named", [{"sourceEventId": None, "toolUseId": "t"}, {"toolUseId": "t"}])
def test_a_tools_use_is_told_from_another_by_its_session(
    api: Api, project: Project, event: Body, named: Body
) -> None:
    def sent(**more: Any) -> str:
        event_id: str = told(api.post("/v1/events", event | named | more), 201)["event"]["id"]
        return event_id

    in_one = {"contentSessionId": "one"}
    first = sent(payload=1, **in_one)
    assert sent(payload=2, **in_one) == first
    assert sent(payload=1, contentSessionId="two") != first
    # Without a session two agents may mean different things by one number.
    alone = sent(payload=1)
    assert sent(payload=1, occurredAtEpoch=1_700_000_099_000) == alone
    assert sent(payload=2) not in (alone, first)
    assert {row.source_event_id for row in Event.objects.all()} == {"t"}


def test_a_session_by_either_of_its_names_is_the_same(
    api: Api, project: Project, event: Body
) -> None:
    start = {"projectId": project.id, "contentSessionId": "c1"}
    session = told(api.post("/v1/sessions/start", start), 201)["session"]
    for named in ({"sourceEventId": "mine"}, {"payload": "without a name"}):
        by_content = told(api.post("/v1/events", event | named | {"contentSessionId": "c1"}), 201)
        by_id = told(
            api.post("/v1/events", event | named | {"serverSessionId": session["id"]}), 201
        )
        assert by_id["event"] == by_content["event"]


def test_an_absent_platform_links_to_any_session_and_a_null_one_to_none_but_its_own(
    api: Api, project: Project, event: Body
) -> None:
    session = told(
        api.post(
            "/v1/sessions/start",
            {"projectId": project.id, "contentSessionId": "c1", "platformSource": "Cursor"},
        ),
        201,
    )["session"]
    event["contentSessionId"] = "c1"
    linked = told(api.post("/v1/events", event | {"payload": 1}), 201)["event"]
    other = told(api.post("/v1/events", event | {"payload": 2, "platformSource": None}), 201)
    same = told(api.post("/v1/events", event | {"payload": 3, "platformSource": "cursor-cli"}), 201)
    assert linked["serverSessionId"] == session["id"]
    assert other["event"]["serverSessionId"] is None
    assert same["event"]["serverSessionId"] == session["id"]
    assert same["event"]["platformSource"] == "cursor"


def test_a_session_of_another_project_is_refused(api: Api, team: Team, event: Body) -> None:
    other = Project.objects.create(team=team, name="other")
    started = {"projectId": other.id, "externalSessionId": "x"}
    session = told(api.post("/v1/sessions/start", started), 201)["session"]
    answer = api.post("/v1/events", event | {"serverSessionId": session["id"]})
    message = "server_session_id must belong to project_id and team_id"
    assert refused(answer, 403, "Forbidden") == message


def test_a_key_of_a_project_reaches_no_other(
    raw_key: RawKey, api: Api, team: Team, event: Body
) -> None:
    stored = told(api.post("/v1/events", event), 201)["event"]
    bound = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    message = "API key is scoped to a different project"
    assert refused(bound.post("/v1/events", event), 403, "Forbidden") == message
    assert refused(bound.get(f"/v1/events/{stored['id']}"), 403, "Forbidden") == message
    path = f"/v1/events/{stored['id']}/observations"
    assert refused(bound.get(path), 403, "Forbidden") == message
    own = event | {"projectId": Project.objects.get(name="other").id}
    assert refused(bound.post("/v1/events/batch", [own, event]), 403, "Forbidden") == message
    assert Event.objects.count() == 1


def test_another_team_s_projects_and_events_are_not_there(
    raw_key: RawKey, api: Api, event: Body
) -> None:
    stored = told(api.post("/v1/events", event), 201)["event"]
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for path in (f"/v1/events/{stored['id']}", f"/v1/events/{stored['id']}/observations"):
        assert refused(stranger.get(path), 404, "NotFound") == "Event not found"
    message = "project_id must belong to team_id"
    assert refused(stranger.post("/v1/events", event), 403, "Forbidden") == message
    unknown = event | {"projectId": str(uuid4())}
    assert refused(api.post("/v1/events", unknown), 403, "Forbidden") == message


def test_whoever_names_a_project_in_the_place_of_its_id_is_told_where_ids_are(
    raw_key: RawKey, api: Api, project: Project, event: Body
) -> None:
    bound = Api(raw_key(project=project))
    for caller in (api, bound, Api(raw_key(owner=Team.objects.create(name="strangers")))):
        answer = caller.post("/v1/events", event | {"projectId": "shop"})
        assert refused(answer, 403, "Forbidden").endswith(
            ": 'shop' is no id of a project; GET /v1/projects tells the ids"
        )


def test_what_was_made_of_an_event_comes_with_its_source(
    api: Api, project: Project, event: Body
) -> None:
    stored = told(api.post("/v1/events", event), 201)
    row = Event.objects.get()
    for n, title in enumerate(("first", "second")):
        observation = Observation.objects.create(
            team=project.team,
            project=project,
            title=title,
            content=f"{title} content",
            generation_key=f"key-{n}",
            created_by_job_id=stored["generationJob"]["id"],
            occurred_at=row.occurred_at,
            created_at=row.created_at,
            updated_at=row.created_at,
        )
        ObservationSource.objects.create(
            observation=observation,
            event=row,
            source_type="agent_event",
            source_id=row.id,
            generation_job_id=stored["generationJob"]["id"],
            created_at=row.created_at,
        )
    answer = told(api.get(f"/v1/events/{row.id}/observations"), 200)
    assert list(answer) == ["eventId", "observations"]
    assert [one["content"] for one in answer["observations"]] == [
        "first content",
        "second content",
    ]
    first = answer["observations"][0]
    assert list(first) == [
        "id", "projectId", "teamId", "serverSessionId", "kind", "content", "metadata",
        "generationKey", "createdByJobId", "createdAtEpoch", "updatedAtEpoch", "source",
    ]  # fmt: skip
    assert list(first["source"]) == [
        "id", "sourceType", "sourceId", "generationJobId", "createdAtEpoch",
    ]  # fmt: skip
    assert first["source"]["sourceId"] == answer["eventId"] == row.id


@pytest.mark.parametrize("path", ["/v1/events", "/v1/hooks/claude-code", "/v1/sessions/start"])
def test_a_database_that_is_locked_or_away_is_503(
    api: Api, event: Body, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def locked(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    for name in ("observations.ingest.capture", "observations.hooks.stored",
                 "observations.sessions.start"):  # fmt: skip
        monkeypatch.setattr(name, locked)
    hook = {"hook_event_name": "Stop", "session_id": "one", "cwd": "/home/dev/shop"}
    answer = api.post(path, hook if "hooks" in path else event)
    assert "try again" in refused(answer, 503, "ServiceUnavailable")
    assert answer["Retry-After"] == "1"


def test_a_defect_is_500_and_tells_nothing_of_itself(
    api: Api, event: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("observations.ingest.capture", broken)
    api = replace(api, documented=False)
    assert "secret" not in refused(api.post("/v1/events", event), 500, "InternalError")


def test_sessions_are_not_made_by_plain_events(api: Api, event: Body) -> None:
    told(api.post("/v1/events", event | {"contentSessionId": "c9"}), 201)
    assert not Session.objects.exists()
