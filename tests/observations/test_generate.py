"""From events to stored observations, through the real runner and the offline provider."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from observations import generate, ingest, keys, scopes, tasks
from observations.drafts import Completion, ObservationDraft, Source
from observations.models import Event, Observation, ObservationSource, Project, Session
from observations.modes import Mode
from observations.providers import ProviderError
from queueing import broker, kinds, runner
from queueing.models import GenerationJob, GenerationJobEvent, Lane

pytestmark = pytest.mark.django_db(transaction=True)

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").rglob("*.jsonl"))
HANDLERS = {
    kinds.EVENT.name: tasks.generate_event,
    kinds.EVENT_BATCH.name: tasks.generate_event_batch,
    kinds.SUMMARY.name: tasks.generate_summary,
}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked."""
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    return waiting


def replay(project: Project, file: Path) -> None:
    for line in file.read_text().splitlines():
        ingest.capture_hook(project.team_id, project.id, json.loads(line), origin={})


def work(sent: list[tuple[str, str]]) -> None:
    while sent:
        job_id, kind = sent.pop(0)
        HANDLERS[kind](job_id)


def tool(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "hook_event_name": "PostToolUse", "session_id": "s", "cwd": "/home/dev/app",
        "tool_use_id": f"t{number}", "tool_name": "Bash",
        "tool_input": {"command": f"pytest tests/test_{number}.py"},
        "tool_response": {"stdout": f"{number} passed in 0.1s"}, **fields,
    }  # fmt: skip


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recording_becomes_observations_and_one_summary(
    project: Project, sent: list[tuple[str, str]], file: Path
) -> None:
    replay(project, file)
    work(sent)
    assert set(GenerationJob.objects.values_list("state", flat=True)) == {"completed"}
    made = Observation.objects.exclude(kind="summary")
    assert made
    for one in made:
        assert one.title
        assert one.created_by_job_id
        cited = [source.event for source in one.sources.select_related("event")]
        assert one.occurred_at == max(event.occurred_at for event in cited if event)
    summary = Observation.objects.get(kind="summary")
    assert summary.content.startswith("Request: ")
    assert Session.objects.get().last_generated_at


def test_what_a_key_had_queued_is_worked_when_it_was_rotated_or_revoked(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for end in (lambda key_id: keys.rotate(key_id, timedelta()), keys.revoke):
        key = keys.create("hook", ["events:write"], team=project.team, project=project).key
        asked = {"api_key_id": key.id, "source": "http"}
        ingest.capture_hook(project.team_id, project.id, tool(len(sent)), origin=asked)
        end(key.id)
    work(sent)
    assert [job.state for job in GenerationJob.objects.all()] == ["completed"] * 2


def test_an_observation_belongs_to_the_job_of_the_first_event_that_it_cites(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for number in range(6):
        ingest.capture_hook(project.team_id, project.id, tool(number), origin={})
    work(sent)
    for one in Observation.objects.all():
        links = ObservationSource.objects.filter(observation=one).order_by("event__number")
        first = links.first()
        assert first is not None
        assert GenerationJob.objects.get(pk=one.created_by_job_id).source_id == first.source_id


def test_a_settled_job_says_what_it_made(project: Project, sent: list[tuple[str, str]]) -> None:
    ingest.capture_hook(project.team_id, project.id, tool(1), origin={})
    work(sent)
    note = GenerationJobEvent.objects.get(event="completed").details
    assert note == {
        "provider": "offline",
        "model": generate.provider().model,
        "observationCount": 1,
        "mergedCount": 0,
    }


@pytest.mark.parametrize("fate", ["revoked", "deleted"])
def test_what_a_key_had_queued_is_worked_whatever_becomes_of_the_key(
    project: Project, sent: list[tuple[str, str]], fate: str
) -> None:
    key = keys.create("k", [scopes.MEMORIES_WRITE], team=project.team, project=project).key
    origin = {"source": "http", "api_key_id": key.id}
    for number in range(2):
        ingest.capture_hook(project.team_id, project.id, tool(number), origin=origin)
    if fate == "revoked":
        keys.revoke(key.id)
    else:
        key.delete()
    work(sent)
    assert list(GenerationJob.objects.values_list("state", "attempts")) == [("completed", 1)] * 2
    assert Observation.objects.count() == 2


def test_what_is_said_again_in_the_same_words_is_one_memory_with_more_sources(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for number in range(3):
        again = tool(1) | {"tool_use_id": f"again-{number}"}
        ingest.capture_hook(project.team_id, project.id, again, origin={})
        work(sent)
    one = Observation.objects.get()
    assert one.sources.count() == 3
    assert GenerationJob.objects.filter(state="completed").count() == 3


def test_the_same_words_in_another_session_are_another_memory(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for session in ("s1", "s2"):
        again = tool(1) | {"session_id": session}
        ingest.capture_hook(project.team_id, project.id, again, origin={})
    work(sent)
    assert Observation.objects.count() == 2


def test_a_second_summary_covers_only_what_came_after_the_first(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    def say(name: str, **fields: Any) -> None:
        payload = {"hook_event_name": name, "session_id": "s", "cwd": "/home/dev/app", **fields}
        ingest.capture_hook(project.team_id, project.id, payload, origin={})

    say("UserPromptSubmit", prompt="Make the parser faster", prompt_id="p1")
    say("Stop", last_assistant_message="The parser is faster.", prompt_id="p1")
    say("UserPromptSubmit", prompt="Document the changelog", prompt_id="p2")
    say("Stop", last_assistant_message="The changelog is documented.", prompt_id="p2")
    work(sent)
    first, second = Observation.objects.filter(kind="summary").order_by("number")
    assert "parser" in first.content
    assert "changelog" not in first.content
    assert "changelog" in second.content
    assert "parser" not in second.content


def test_a_summary_tells_nothing_of_what_memory_told(
    project: Project, sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Source] = []

    class Listening:
        name, model = "listening", "none"

        def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
            asked.append(source)
            return Completion((), self.name, self.model, 0, 0)

    monkeypatch.setattr(generate, "provider", Listening)
    recalled = {"tool_name": "mcp__claude-mem__search", "tool_response": "an older memory"}
    for payload in (tool(1), tool(2, **recalled), tool(3, hook_event_name="Stop")):
        ingest.capture_hook(project.team_id, project.id, payload, origin={})
    work(sent)
    assert [source.task for source in asked] == ["observe", "summarise"]
    assert "an older memory" not in str(asked)


def test_a_summary_has_the_time_that_its_events_told(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    ingest.capture_hook(project.team_id, project.id, tool(1) | {"timestamp": 1.7e9}, origin={})
    end = {"hook_event_name": "SessionEnd", "session_id": "s", "cwd": "/home/dev/app"}
    ingest.capture_hook(project.team_id, project.id, end, origin={})
    work(sent)
    times = Observation.objects.values_list("occurred_at", flat=True)
    assert {time.timestamp() for time in times} == {1.7e9}


def test_an_empty_session_is_summarised_by_nothing(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    from observations import sessions
    from observations.sessions import NewSession

    session, _ = sessions.start(project.team_id, NewSession(project.id, content_session_id="c"))
    sessions.end(project.team_id, session.id, project_id=None, origin={})
    work(sent)
    assert GenerationJob.objects.get().state == "completed"
    assert not Observation.objects.exists()


class Failing:
    """A provider that fails in a given way."""

    name = model = "failing"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
        raise self._error


class Inventing:
    """A provider that claims what its events do not show."""

    name = model = "inventing"

    def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
        draft = ObservationDraft(
            type="bugfix",
            title="Ran the tests",
            facts=("`rm -rf /` was run", "`pytest tests/test_1.py` was run"),
            files_modified=("never/seen.py",),
            event_ids=(source.events[0].id,),
        )
        return Completion((draft,), self.name, self.model, 1, 1)


@pytest.mark.parametrize(
    ("error", "state", "classification"),
    [
        (ProviderError("busy", "rate_limit", 30.0), "queued", "rate_limit"),
        (ProviderError("no sense", "parse_error"), "failed", "parse_error"),
        (ZeroDivisionError("x"), "failed", "unknown"),
    ],
)
def test_what_a_provider_raises_ends_in_its_jobs_row(
    project: Project,
    sent: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: str,
    classification: str,
) -> None:
    monkeypatch.setattr(generate, "provider", lambda: Failing(error))
    ingest.capture_hook(project.team_id, project.id, tool(1), origin={})
    work(sent)
    job = GenerationJob.objects.get()
    assert job.state == state
    assert job.last_error["classification"] == classification


def test_what_its_events_do_not_show_is_dropped(
    project: Project, sent: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "provider", Inventing)
    ingest.capture_hook(project.team_id, project.id, tool(1), origin={})
    work(sent)
    one = Observation.objects.get()
    assert one.facts == ["`pytest tests/test_1.py` was run"]
    # Both tokens of the call are this one's.
    assert one.metadata["discovery_tokens"] == 2
    assert one.files_modified == []


def test_an_event_that_was_deleted_fails_its_job_and_frees_the_lane(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    for number in range(2):
        ingest.capture_hook(project.team_id, project.id, tool(number), origin={})
    Event.objects.filter(number=1).delete()
    work(sent)
    states = GenerationJob.objects.order_by("seq").values_list("state", flat=True)
    assert list(states) == ["failed", "completed"]
    assert Lane.objects.get().head == 3


def test_a_worker_of_some_queues_has_the_turn_of_those_alone_beside_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[set[str]] = []
    monkeypatch.setattr(runner, "run", lambda *_, beside, **__: given.append(set(beside)))
    queues = tasks.generate_event.app.amqp.queues
    monkeypatch.setattr(queues, "_consume_from", queues._consume_from)
    for served in ([kinds.UPKEEP, *kinds.BY_NAME], [kinds.EVENT.queue, kinds.SUMMARY.queue]):
        queues.select(served)
        tasks.generate_event("job")
    assert given == [set(kinds.BY_NAME), {kinds.EVENT.name, kinds.SUMMARY.name}]


def test_a_repeated_message_makes_nothing_twice(
    project: Project, sent: list[tuple[str, str]]
) -> None:
    ingest.capture_hook(project.team_id, project.id, tool(1), origin={})
    (message,) = sent
    work(sent)
    made = Observation.objects.count()
    assert runner.run(message[0], tasks._OBSERVE) == 0
    assert Observation.objects.count() == made
