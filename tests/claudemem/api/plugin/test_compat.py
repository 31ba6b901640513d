"""The hooks of claude-mem on `/api/sessions`: what they send, and what they read of the answers."""

from typing import Any

import pytest
from django.conf import LazySettings

from observations.models import AuditEntry, Event, Project, Session
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.claudemem.api.plugin.test_worker import Here

INIT, OBSERVE, SUMMARIZE = (
    f"/api/sessions/{name}" for name in ("init", "observations", "summarize")
)
TOOL_USE: dict[str, Any] = {
    "contentSessionId": "s-1",
    "tool_name": "Bash",
    "tool_input": {"command": "make test"},
    "tool_response": {"stdout": "12 passed"},
    "cwd": "/home/dev/shop",
    "tool_use_id": "toolu_1",
    "unknown": 7,
}
STOP = {"contentSessionId": "s-1", "last_assistant_message": "All green."}


@pytest.fixture
def hook(raw_key: RawKey, project: Project) -> Api:
    """A hook client, with a key as its installer makes them."""
    return Api(raw_key("events:write", "sessions:write", project=project))


def test_a_tool_use_is_queued(hook: Api) -> None:
    answer = hook.post(OBSERVE, TOOL_USE, X_Request_Id="mine")
    body = told(answer, 200)
    event, session, job = Event.objects.get(), Session.objects.get(), GenerationJob.objects.get()
    assert body == {
        "status": "queued",
        "observationCount": 1,
        "sessionId": session.id,
        "serverSessionId": session.id,
        "eventId": event.id,
        "generationJobId": job.id,
        "transport": "queued_only",
    }
    assert answer["X-Request-Id"] == "mine"
    assert (event.source_adapter, event.event_type) == ("claude-code-compat", "tool_use")
    assert (event.platform_source, event.source_event_id) == ("claude", "toolu_1")
    assert event.metadata == {"compat": "sessions/observations"}
    assert list(event.payload)
    assert event.payload["tool_name"] == "Bash"
    assert event.payload["agentId"] is None
    assert event.payload["toolUseId"] == "toolu_1"
    entered = AuditEntry.objects.exclude(resource_type="api_key")
    assert set(entered.values_list("details__requestId", flat=True)) == {"mine"}


def test_it_may_call_the_tool_use_by_another_name_or_not_at_all(hook: Api) -> None:
    bare = {"contentSessionId": "s-1", "tool_name": "Read"}
    told(hook.post(OBSERVE, bare | {"toolUseId": "toolu_9", "platformSource": "Codex CLI"}), 200)
    told(hook.post(OBSERVE, bare | {"tool_use_id": "", "agentId": None}), 200)
    assert list(Event.objects.order_by("id").values_list("source_event_id", "platform_source")) == [
        ("toolu_9", "codex"), (None, "claude"),
    ]  # fmt: skip


def test_the_same_tool_use_again_is_the_same_event_and_job(hook: Api) -> None:
    first, second = (told(hook.post(OBSERVE, TOOL_USE), 200) for _ in range(2))
    assert first["eventId"] == second["eventId"]
    assert first["generationJobId"] == second["generationJobId"]


def test_the_end_of_a_turn_is_summarised_with_what_was_said(hook: Api) -> None:
    told(hook.post(OBSERVE, TOOL_USE), 200)
    first, second = (told(hook.post(SUMMARIZE, STOP), 200) for _ in range(2))
    session = Session.objects.get()
    assert first == {
        "status": "queued",
        "sessionId": session.id,
        "serverSessionId": session.id,
        "generationJobId": GenerationJob.objects.get(source_type="session_summary").id,
        "transport": first["transport"],
    }
    assert second["generationJobId"] == first["generationJobId"]
    assert session.ended_at is not None
    said = Event.objects.get(event_type="Stop").payload
    assert said["last_assistant_message"] == "All green."


def test_a_subagent_s_end_is_skipped(hook: Api) -> None:
    body = told(hook.post(SUMMARIZE, STOP | {"agentId": "a-1"}), 200)
    assert body == {"status": "skipped", "reason": "subagent_context"}
    assert not Session.objects.exists()


def test_a_prompt_opens_its_session_with_a_number(hook: Api) -> None:
    body = {"contentSessionId": "s-1", "project": "shop", "prompt": "fix it"}
    first = told(hook.post(INIT, body), 200)
    second = told(hook.post(INIT, body | {"prompt": "and this"}), 200)
    assert isinstance(first["sessionDbId"], int)
    assert 0 < first["sessionDbId"] < 2**53
    assert first["sessionDbId"] == second["sessionDbId"]
    assert (first["promptNumber"], second["promptNumber"]) == (1, 2)
    assert first["skipped"] is False
    assert Session.objects.get().metadata == {"project": "shop"}
    private = told(hook.post(INIT, body | {"prompt": "<private>x</private>"}), 200)
    assert (private["skipped"], private["reason"]) == (True, "private")


@pytest.mark.parametrize("path", [INIT, OBSERVE, SUMMARIZE])
def test_a_key_of_a_team_is_refused_before_the_body(api: Api, path: str) -> None:
    message = refused(api.post(path, b"{"), 400, "BadRequest")
    assert message == f"Legacy {path} requires a project-scoped API key"
    assert not Session.objects.exists()


@pytest.mark.parametrize("path", [INIT, OBSERVE, SUMMARIZE])
@pytest.mark.django_db
def test_no_key_and_a_wrong_or_too_narrow_one_are_refused(
    path: str, raw_key: RawKey, project: Project
) -> None:
    refused(Api().post(path, TOOL_USE), 401, "Unauthorized")
    refused(Api("cmem_wrong").post(path, TOOL_USE), 403, "Forbidden")
    reader = Api(raw_key("memories:read", project=project))
    refused(reader.post(path, TOOL_USE), 403, "Forbidden")
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    ("path", "change", "named"),
    [
        (OBSERVE, {"contentSessionId": None}, "contentSessionId"),
        (OBSERVE, {"contentSessionId": ""}, "contentSessionId"),
        (OBSERVE, {"tool_name": 7}, "tool_name"),
        (OBSERVE, {"cwd": ["/"]}, "cwd"),
        (OBSERVE, {"agentId": "x" * 501}, "agentId"),
        (OBSERVE, {"contentSessionId": "s\0"}, "contentSessionId"),
        (SUMMARIZE, {"last_assistant_message": 7}, "last_assistant_message"),
        (INIT, {"prompt": []}, "prompt"),
    ],
)
def test_what_cannot_be_used_is_named(
    hook: Api, path: str, change: dict[str, Any], named: str
) -> None:
    assert refused(hook.post(path, TOOL_USE | change), 400, "ValidationError") == named
    assert not Session.objects.exists()


def test_a_hook_of_this_machine_needs_no_key_where_a_project_is_named_for_it(
    settings: LazySettings, project: Project
) -> None:
    settings.LOCAL_PROJECT = project.name
    told(Here().post(OBSERVE, TOOL_USE), 200)
    told(Here().post(SUMMARIZE, STOP), 200)
    assert Event.objects.filter(project=project).count() == 2
    refused(Here().post(OBSERVE, TOOL_USE, Origin="http://evil.example"), 401, "Unauthorized")
    refused(Here().post(OBSERVE, TOOL_USE, X_Forwarded_For="10.0.0.1"), 401, "Unauthorized")
    refused(Here().post(OBSERVE, TOOL_USE, Sec_Fetch_Site="cross-site"), 401, "Unauthorized")
    refused(Here("cmem_wrong").post(OBSERVE, TOOL_USE), 403, "Forbidden")
