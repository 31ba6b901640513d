import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from claudemem.api.hooks import EXAMPLES
from observations import memories, switches, tellings
from observations.globs import Globs
from observations.hook_policies import Policies
from observations.models import Event, Observation, Project, ProjectAlias, Session, Team
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

HOOK = "/v1/hooks/claude-code"
RECORDING = Path(__file__).parents[2] / "recordings/claude-code/retry-max-wait.jsonl"
PAYLOAD: dict[str, Any] = {
    "session_id": "s-1",
    "hook_event_name": "PostToolUse",
    "cwd": "/home/dev/shop",
    "tool_name": "Bash",
    "tool_use_id": "toolu_1",
    "tool_input": {"command": "make test"},
    "tool_response": {"stdout": "12 passed"},
}


def test_a_payload_is_answered_with_an_empty_object_and_told_of_in_headers(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD)
    # Claude Code takes the body as instructions, and complains of words that it does not know.
    assert told(answer, 200) == {}
    assert answer["X-Event-Id"] == Event.objects.get().id
    assert answer["X-Job-Id"] == GenerationJob.objects.get().id
    assert answer["X-Transport"] == "queued_only"
    assert answer["X-Duplicate"] == "false"


def test_the_same_payload_again_is_a_duplicate(api: Api) -> None:
    first, second = (api.post(HOOK, PAYLOAD) for _ in range(2))
    assert told(second, 200) == {}
    assert second["X-Duplicate"] == "true"
    assert second["X-Event-Id"] == first["X-Event-Id"]
    assert second["X-Job-Id"] == first["X-Job-Id"]


def test_where_memory_is_off_nothing_is_stored_and_nothing_told(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD, X_Claude_Mem_Off="1")
    assert told(answer, 200) == {}
    assert "X-Event-Id" not in answer
    assert not Event.objects.exists()
    assert not Session.objects.exists()


def test_a_payload_without_an_id_is_known_again_by_its_delivery(api: Api) -> None:
    resumed = {"session_id": "s-1", "hook_event_name": "SessionStart", "source": "resume"}
    sent = [
        api.post(HOOK, resumed, X_Claude_Mem_Delivery=one, X_Claude_Mem_Occurred="1768070035.5")
        for one in ("d-1", "d-1", "d-2")
    ]
    assert [each["X-Duplicate"] for each in sent] == ["false", "true", "false"]
    assert {event.occurred_at.isoformat() for event in Event.objects.all()} == {
        "2026-01-10T18:33:55.500000+00:00"
    }


def test_what_is_yet_to_come_is_taken_to_be_now(api: Api) -> None:
    """It would be the newest that is remembered for as long."""
    ahead = [timezone.now().timestamp() + days * 86_400 for days in (0.5, 300_000)]
    for number, when in enumerate(ahead):
        payload = PAYLOAD | {"tool_use_id": f"toolu_{number}", "timestamp": when}
        told(api.post(HOOK, payload), 200)
    near, far = Event.objects.order_by("number")
    assert near.occurred_at.timestamp() == pytest.approx(ahead[0])
    assert far.occurred_at == far.received_at


@pytest.mark.parametrize("when", ["-1", "nan", "1e30", "now"])
def test_no_time_since_1970_is_refused(api: Api, when: str) -> None:
    answer = api.post(HOOK, PAYLOAD, X_Claude_Mem_Occurred=when)
    assert refused(answer, 400, "ValidationError") == "X-Claude-Mem-Occurred"


def test_a_header_that_cannot_be_read_is_named(api: Api) -> None:
    answer = api.post(HOOK, PAYLOAD, X_Claude_Mem_Place="[")
    assert refused(answer, 400, "ValidationError") == "X-Claude-Mem-Place"
    assert not Event.objects.exists()


def test_an_event_that_makes_no_job_says_so(api: Api) -> None:
    for name in ("PreToolUse", "SomethingNewInVersion3"):
        answer = api.post(HOOK, PAYLOAD | {"hook_event_name": name, "tool_use_id": name})
        assert told(answer, 200) == {}
        assert "X-Job-Id" not in answer
        assert answer["X-Transport"] == "skipped"
    assert Event.objects.count() == 2


def test_with_a_team_key_the_project_is_that_of_the_directory(api: Api, team: Team) -> None:
    told(api.post(HOOK, PAYLOAD), 200)
    assert Event.objects.get().project == Project.objects.get(team=team, name="shop")


def test_with_a_project_key_it_is_the_key_s(raw_key: RawKey, project: Project) -> None:
    told(Api(raw_key("events:write", project=project)).post(HOOK, PAYLOAD), 200)
    assert Event.objects.get().project == project
    assert Session.objects.get().project == project


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", None),
        ("session_id", 7),
        ("session_id", ""),
        ("hook_event_name", ["Stop"]),
        ("hook_event_name", None),
        ("cwd", {"path": "/"}),
        ("tool_use_id", 1.5),
    ],
)
def test_a_field_of_the_wrong_type_is_named(api: Api, field: str, value: Any) -> None:
    answer = api.post(HOOK, PAYLOAD | {field: value})
    assert refused(answer, 400, "ValidationError") == field
    assert not Event.objects.exists()


@pytest.mark.parametrize("body", [b"", b"[]", b'"text"', b"7", b"null", b"{", b"[" * 100_000])
def test_what_is_no_payload_is_refused(api: Api, body: bytes) -> None:
    told(api.post(HOOK, body), 400)
    assert not Event.objects.exists()


def test_a_recorded_session_is_taken_whole(api: Api) -> None:
    payloads = [json.loads(line) for line in RECORDING.read_text().splitlines()]
    for payload in payloads:
        assert told(api.post(HOOK, payload), 200) == {}
    assert Event.objects.count() == len(payloads)
    for payload in payloads:
        assert api.post(HOOK, payload)["X-Duplicate"] == "true"
    assert Event.objects.count() == len(payloads)


# --- what the agent is told ---------------------------------------------------------------------

QUESTION = "Where is the shopping cart kept?"


@pytest.fixture
def cart(project: Project) -> Observation:
    """Something that is remembered."""
    return memories.remember(project.team_id, project.id, content="The cart is kept in a cookie")


@pytest.fixture(autouse=True)
def _switched_anew() -> Iterator[None]:
    switches.known.forget()
    yield
    switches.known.forget()


def ask(api: Api, session: str = "s-1", prompt: str = QUESTION, **headers: str) -> Any:
    """What the agent is told at a prompt: the whole answer."""
    payload = {
        "session_id": session, "hook_event_name": "UserPromptSubmit", "cwd": "/home/dev/shop",
        "prompt": prompt, "prompt_id": f"{session} {prompt}"[:99],
    }  # fmt: skip
    return told(api.post(HOOK, payload, **headers), 200)


def said(answer: Any) -> str:
    """The text that is put before the model."""
    return str(answer["hookSpecificOutput"]["additionalContext"]) if answer else ""


@pytest.fixture
def agent(raw_key: RawKey, project: Project) -> Api:
    """The API with a key of the project that may do all that hooks do."""
    return Api(raw_key("events:write", "memories:read", project=project))


def test_a_prompt_is_answered_with_what_is_remembered_of_it(agent: Api, cart: Observation) -> None:
    answer = ask(agent)
    assert answer["hookSpecificOutput"]["hookEventName"] == "UserPromptSubmit"
    assert f"#{cart.number} manual, just now: The cart is kept in a cookie" in said(answer)
    assert ask(agent, prompt="Write a haiku about the sea") == {}


def test_a_number_that_was_told_is_what_memory_s_tools_take(agent: Api, cart: Observation) -> None:
    (number,) = re.findall(r"^#(\d+) ", said(ask(agent)), re.MULTILINE)
    row = told(agent.get(f"/v1/observations/{number}"), 200)["observation"]
    assert row["content"] == cart.content


@pytest.mark.usefixtures("cart")
def test_a_key_that_may_not_read_is_told_nothing(raw_key: RawKey, project: Project) -> None:
    writes = Api(raw_key("events:write", project=project))
    assert ask(writes) == {}
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("cart")
def test_nobody_waits_for_what_is_sent_again_or_late(agent: Api) -> None:
    start = {"hook_event_name": "SessionStart", "source": "startup"}
    assert [bool(told(agent.post(HOOK, {**start, "session_id": session}, **late), 200))
            for session, late in [("s-1", {}), ("s-1", {}), ("s-2", {"X_Claude_Mem_Occurred": "1"})]
            ] == [True, False, False]  # fmt: skip


@pytest.mark.usefixtures("cart")
def test_a_block_that_comes_back_is_never_captured(agent: Api) -> None:
    block = said(ask(agent))
    seen = {"tool_response": {"stdout": f"before\n{block}\nafter"}, "tool_use_id": "t-2"}
    told(agent.post(HOOK, PAYLOAD | seen), 200)
    ask(agent, prompt=f"You said:\n{block}\nIs that so?")
    stop = {"session_id": "s-1", "hook_event_name": "Stop", "last_assistant_message": block + "Yes"}
    told(agent.post(HOOK, stop), 200)
    kept = [json.dumps(event.payload) for event in Event.objects.all()]
    assert len(kept) == 4
    assert not [each for each in kept if "cookie" in each or "claude-mem-context" in each]


@pytest.mark.usefixtures("cart")
def test_what_is_wrong_with_memory_costs_no_capture(
    agent: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(tellings, "said", fail)
    assert ask(agent) == {}
    assert Event.objects.count() == 1
    assert "its agent was told nothing" in caplog.text


@pytest.mark.usefixtures("cart")
def test_memory_is_looked_through_only_so_long(
    agent: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    settings: Any,
) -> None:
    settings.HOOK_ANSWER_SECONDS = 0.05
    monkeypatch.setattr(tellings, "said", lambda *_: endless())
    assert ask(agent) == {}
    assert Event.objects.count() == 1
    assert "took longer than 0.05 s" in caplog.text


@pytest.mark.usefixtures("cart")
def test_in_a_project_context_and_capture_are_switched_off_by_themselves(
    agent: Api, project: Project
) -> None:
    Project.objects.filter(pk=project.pk).update(context=False)
    switches.known.forget()
    assert ask(agent) == {}
    assert Event.objects.count() == 1
    Project.objects.filter(pk=project.pk).update(context=True, capture=False)
    switches.known.forget()
    assert ask(agent, "s-2") == {}
    assert Event.objects.count() == 1


def test_a_switch_of_a_project_that_only_its_directory_names_counts(api: Api, team: Team) -> None:
    Project.objects.create(team=team, name="shop", capture=False)
    switches.known.forget()
    answer = api.post(HOOK, PAYLOAD)
    assert (told(answer, 200), answer["X-Transport"]) == ({}, "skipped")
    told(api.post(HOOK, PAYLOAD | {"cwd": "/home/dev/web"}), 200)
    assert [event.project.name for event in Event.objects.all()] == ["web"]


def test_excluded_directories_and_files_are_not_stored(api: Api, settings: Any) -> None:
    settings.HOOK_POLICIES = Policies(projects=Globs(("web",)), paths=Globs(("secrets/**",)))
    for said in (
        {"cwd": "/home/dev/web"},
        {"tool_name": "Read", "tool_input": {"file_path": "/home/dev/shop/secrets/key"}},
        {"tool_input": {"command": "cat secrets/key"}},
    ):
        assert told(api.post(HOOK, PAYLOAD | said), 200) == {}
    assert not Event.objects.exists()
    told(api.post(HOOK, PAYLOAD), 200)
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("cart")
def test_headless_agents_are_told_nothing_where_that_is_set(agent: Api, settings: Any) -> None:
    settings.HOOK_POLICIES = Policies(headless="capture")
    assert ask(agent, "s-1", X_Claude_Mem_Entrypoint="sdk-cli") == {}
    assert ask(agent, "s-2", X_Claude_Mem_Entrypoint="cli")
    assert Event.objects.count() == 2


def test_what_asks_for_nothing_costs_no_query_more(agent: Api) -> None:
    told(agent.post(HOOK, PAYLOAD), 200)
    with CaptureQueriesContext(connection) as asked:
        told(agent.post(HOOK, PAYLOAD | {"tool_use_id": "t-2"}), 200)
    assert not [each for each in asked if "telling" in each["sql"] or "context" in each["sql"]]


def endless() -> None:
    """A query that ends when it is ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_sleep(20)"
            if connection.vendor == "postgresql"
            else "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
            " SELECT count(*) FROM n WHERE x < 0"
        )


@pytest.mark.parametrize("agent", EXAMPLES)
def test_what_is_shown_of_each_agent_is_taken(api: Api, agent: str) -> None:
    answer = api.post(f"/v1/hooks/{agent}", EXAMPLES[agent])
    assert told(answer, 200) == {}
    event = Event.objects.get(pk=answer["X-Event-Id"])
    assert (event.source_adapter, event.platform_source) == (agent, agent)


def test_an_agent_that_is_not_known_is_answered_with_those_that_are(api: Api) -> None:
    answer = api.post("/v1/hooks/copilot", {})
    assert answer.status_code == 404
    message = answer.json()["message"]
    assert message.startswith("Cannot POST /v1/hooks/copilot: agents are claude-code, codex,")


def test_a_caller_on_this_machine_has_its_repository_read(
    api: Api, team: Team, tmp_path: Path
) -> None:
    for name in ("objects", "refs"):
        (tmp_path / "checkout" / ".git" / name).mkdir(parents=True)
    (tmp_path / "checkout" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    config = '[remote "origin"]\n\turl = https://me:hunter2@github.com/acme/shop.git\n'
    (tmp_path / "checkout" / ".git" / "config").write_text(config)
    payload = {**PAYLOAD, "cwd": str(tmp_path / "checkout")}

    here = api.post(HOOK, {**payload, "session_id": "here"}, Host="localhost")
    away = api.post(HOOK, {**payload, "session_id": "away"}, Via="1.1 proxy", Host="localhost")

    found = {s.content_session_id: s for s in Session.objects.select_related("project")}
    assert (away.status_code, here.status_code) == (200, 200)
    assert (found["away"].project.name, found["away"].branch) == ("checkout", None)
    assert (found["here"].project.name, found["here"].branch) == ("shop", "main")
    kept = [*Session.objects.values(), *ProjectAlias.objects.values()]
    assert "hunter2" not in str(kept)
