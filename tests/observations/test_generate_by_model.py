"""From events to memories through a model's API: what is stored, what is sent, what failures do."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from claudemem import health
from claudemem.standing import gather
from observations import generate, ingest
from observations.models import Event, Observation, Project
from observations.providers.openai_compatible import OpenAICompatible
from queueing import broker, kinds, pauses, reconcile
from queueing.models import GenerationJob, GenerationJobEvent, Pause
from tests.observations.test_generate import RECORDINGS, replay, tool, work
from tests.stack_tests.test_privacy import found_in
from tests.standin import StandIn, running

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "sk-right"
PRIVATE = re.compile(r"<private>(.*?)</private>", re.DOTALL)


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked."""
    waiting: list[tuple[str, str]] = []
    for publish in ("publish", "publish_first"):
        monkeypatch.setattr(broker, publish, lambda job_id, kind: waiting.append((job_id, kind)))
    monkeypatch.setattr(broker, "send_canary", lambda queue, number: None)
    monkeypatch.setattr(broker, "depths", lambda: dict.fromkeys(kinds.BY_NAME, 0))
    return waiting


@pytest.fixture(params=["good", "no format"], ids=["structured", "tags"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with (
        running() as standin,
        closing(OpenAICompatible("openai-compatible", "m", standin.url, KEY)) as provider,
    ):
        monkeypatch.setattr(generate, "provider", lambda: provider)
        yield standin


def capture(project: Project, number: int, session: str = "s") -> None:
    payload = tool(number) | {"session_id": session}
    ingest.capture_hook(project.team_id, project.id, payload, origin={})


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recording_becomes_memories_and_nothing_private_is_sent(
    project: Project, sent: list[tuple[str, str]], standin: StandIn, form: str, file: Path
) -> None:
    standin.mode = form
    replay(project, file)
    work(sent)
    assert set(GenerationJob.objects.values_list("state", flat=True)) == {"completed"}
    made = Observation.objects.exclude(kind="summary")
    assert made
    assert all(one.metadata["provider"] == "openai-compatible" for one in made)
    assert not any("&lt;" in one.content or "&amp;" in one.content for one in made)
    assert Observation.objects.get(kind="summary").content.startswith("Request: ")
    secret = [text for text in PRIVATE.findall(file.read_text()) if text.strip()]
    sent_text = standin.everything
    assert not any(json.loads(f'"{text}"') in sent_text for text in secret)
    assert "<private>" not in sent_text
    assert found_in(sent_text.encode()) == []


def test_a_settled_job_says_what_it_cost(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    standin.next = ["prose"]
    capture(project, 1)
    work(sent)
    note = GenerationJobEvent.objects.get(event="completed").details
    assert (note["inputTokens"], note["outputTokens"]) == (200, 20)


def test_secrets_of_an_event_are_in_no_request(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    said = {"command": f"curl -H 'Authorization: Bearer {secret}' x", "description": "d"}
    payload = tool(1, tool_response={"stdout": "<private>the merger</private> ok"})
    ingest.capture_hook(project.team_id, project.id, payload | {"tool_input": said}, origin={})
    work(sent)
    assert standin.requests
    assert secret not in standin.everything
    assert "merger" not in standin.everything


def test_a_private_event_is_not_sent_at_all(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    payload = tool(1, tool_response={"stdout": "<private>x</private>"}, tool_input={})
    ingest.capture_hook(project.team_id, project.id, payload, origin={})
    work(sent)
    assert GenerationJob.objects.get().state == "completed"
    assert standin.requests == []


@pytest.mark.parametrize("mode", ["prose", "half", "wrong types"])
def test_rubbish_ends_in_one_repair_and_a_dead_letter_and_the_lane_goes_on(
    project: Project, sent: list[tuple[str, str]], standin: StandIn, mode: str
) -> None:
    standin.next = [mode, mode]
    for number in range(2):
        capture(project, number)
        work(sent)
    first, second = GenerationJob.objects.order_by("seq")
    assert (first.state, first.attempts) == ("failed", 1)
    assert first.last_error["classification"] == "parse_error"
    assert "cannot be read" in first.last_error["reason"]
    assert second.state == "completed"
    assert len(standin.requests) == 3


def test_a_request_to_slow_down_waits_as_long_and_costs_one_attempt(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    standin.next = ["429"]
    capture(project, 1)
    work(sent)
    job = GenerationJob.objects.get()
    assert (job.state, job.attempts) == ("queued", 1)
    assert (job.due_at - job.updated_at).total_seconds() >= 29.9
    assert job.last_error["classification"] == "rate_limit"
    assert reconcile.reconcile() == 0
    GenerationJob.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    reconcile.reconcile()
    work(sent)
    assert GenerationJob.objects.get().state == "completed"


@pytest.mark.parametrize(("mode", "words"), [("401", "key"), ("402", "quota or credit")])
def test_a_refused_key_pauses_all_burns_no_attempt_and_resumes(
    project: Project, sent: list[tuple[str, str]], standin: StandIn, mode: str, words: str
) -> None:
    standin.mode = mode
    for number in range(3):
        capture(project, number, session=f"s{number}")
    work(sent)
    assert len(standin.requests) == 1
    assert set(GenerationJob.objects.values_list("state", "attempts")) == {("queued", 0)}
    told = health.provider(pauses.current())
    assert told.status == "errored"
    assert words in told.reason
    assert "next try" in told.reason
    assert any("provider: paused" in problem for problem in gather().problems)
    standin.mode = "good"
    Pause.objects.update(until=timezone.now() - timedelta(seconds=1))
    for _ in range(2):
        reconcile.reconcile()
        work(sent)
    assert set(GenerationJob.objects.values_list("state", "attempts")) == {("completed", 1)}
    assert health.provider(pauses.current()).status == "active"


def test_what_a_request_said_is_in_no_failure(
    project: Project, sent: list[tuple[str, str]], standin: StandIn
) -> None:
    standin.mode = "401"
    capture(project, 1)
    work(sent)
    told = json.dumps(list(GenerationJobEvent.objects.values_list("details", flat=True)))
    told += Pause.objects.get().reason + health.provider(pauses.current()).reason
    assert KEY not in told
    assert "ECHO" not in told
    assert Event.objects.exists()


def test_a_provider_that_is_not_configured_pauses_too(
    project: Project, sent: list[tuple[str, str]], settings: object
) -> None:
    settings.PROVIDER = "openrouter"  # type: ignore[attr-defined]
    generate.provider.cache_clear()
    capture(project, 1)
    work(sent)
    job = GenerationJob.objects.get()
    assert (job.state, job.attempts) == ("queued", 0)
    assert "OPENROUTER_API_KEY" in Pause.objects.get().reason
