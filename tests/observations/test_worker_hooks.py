"""What claude-mem's hooks post to a worker, captured through the same functions as all else."""

from typing import Any

import pytest

from observations import worker_hooks
from observations.models import AuditEntry, Event, Project, Session
from observations.worker_hooks import Caller, Run
from queueing import kinds
from queueing.models import GenerationJob

SAID = "All tests are green."


@pytest.fixture
def caller(project: Project) -> Caller:
    return Caller(project.team_id, project.id, {"source": "test", "request_id": "r-1"})


RUN = Run("s-1", None, "/home/dev/shop", {"project": "shop"})


def used(caller: Caller, run: Run = RUN, *, own_id: str | None = None, **payload: Any) -> Event:
    payload = {"tool_name": "Bash", "tool_input": {"command": "ls"}, **payload}
    return worker_hooks.tool_used(caller, run, payload, own_id=own_id)[1].event


def test_a_tool_use_finds_or_makes_its_session(caller: Caller) -> None:
    first, second = used(caller, tool_response="a"), used(caller, tool_response="b")
    session = Session.objects.get()
    assert {first.session_id, second.session_id} == {session.id}
    assert (session.external_session_id, session.content_session_id) == ("s-1", "s-1")
    assert (session.platform_source, session.cwd) == ("claude", "/home/dev/shop")
    assert session.metadata == {"project": "shop"}
    assert Event.objects.filter(source_adapter="claude-code-compat").count() == 2


def test_another_platform_is_another_session(caller: Caller) -> None:
    used(caller)
    used(caller, Run("s-1", "Codex CLI"))
    assert set(Session.objects.values_list("platform_source", flat=True)) == {"claude", "codex"}


def test_the_same_tool_use_is_the_same_event_and_job(caller: Caller) -> None:
    first = used(caller, own_id="toolu_1")
    assert used(caller, own_id="toolu_1", tool_response="late").id == first.id
    assert GenerationJob.objects.get().source_id == first.id


def test_the_last_words_are_an_event_and_in_the_summary(caller: Caller) -> None:
    used(caller)
    session, job, _ = worker_hooks.stopped(caller, RUN, SAID)
    said = Event.objects.get(event_type="Stop")
    assert said.payload == {"hook_event_name": "Stop", "last_assistant_message": SAID}
    assert session.ended_at is not None
    assert (job.kind, job.covers) == (kinds.SUMMARY.name, said.number)
    # It is for the summary alone.
    assert not GenerationJob.objects.filter(source_id=said.id).exists()


def test_the_same_end_again_is_the_same_job(caller: Caller) -> None:
    used(caller)
    first = worker_hooks.stopped(caller, RUN, SAID)[1]
    assert worker_hooks.stopped(caller, RUN, SAID)[1].id == first.id
    assert Event.objects.filter(event_type="Stop").count() == 1


def test_the_same_words_after_another_turn_are_said_again(caller: Caller) -> None:
    used(caller, own_id="toolu_1")
    first = worker_hooks.stopped(caller, RUN, SAID)[1]
    used(caller, own_id="toolu_2")
    assert Session.objects.get().ended_at is None
    second = worker_hooks.stopped(caller, RUN, SAID)[1]
    assert second.id != first.id
    assert Event.objects.filter(event_type="Stop").count() == 2


@pytest.mark.parametrize("said", ["", "  ", "<private>everything</private>"])
def test_an_agent_that_said_nothing_leaves_no_event(caller: Caller, said: str) -> None:
    used(caller)
    assert worker_hooks.stopped(caller, RUN, said)[0].ended_at is not None
    assert not Event.objects.filter(event_type="Stop").exists()


def test_prompts_are_counted_and_a_picture_is_one(caller: Caller) -> None:
    assert worker_hooks.prompted(caller, RUN, "fix the retries")[1:] == (1, True)
    assert worker_hooks.prompted(caller, RUN, " ")[1:] == (2, True)
    prompts = Event.objects.order_by("number").values_list("payload__prompt", flat=True)
    assert list(prompts) == ["fix the retries", worker_hooks.MEDIA]
    assert not GenerationJob.objects.exists()


def test_a_prompt_that_is_all_private_is_not_stored(caller: Caller) -> None:
    session, prompts, kept = worker_hooks.prompted(caller, RUN, "<private>it</private>")
    assert (session, prompts, kept) == (Session.objects.get(), 0, False)
    assert not Event.objects.exists()


def test_what_is_private_reaches_no_table(caller: Caller) -> None:
    secret = "<private>hidden</private>"
    run = Run(f"s-{secret}", None, f"/home/{secret}", {"project": secret})
    used(caller, run, tool_response=secret)
    worker_hooks.prompted(caller, run, f"a {secret}")
    worker_hooks.stopped(caller, run, f"b {secret}")
    for rows in (Session, Event, AuditEntry, GenerationJob):
        assert "hidden" not in str(list(rows._default_manager.values()))


def test_everything_is_entered_in_the_audit(caller: Caller) -> None:
    used(caller)
    worker_hooks.stopped(caller, RUN, SAID)
    entered = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(entered) == ["session.write", "event.received", "event.received", "session.end"]
    assert set(AuditEntry.objects.values_list("details__requestId", flat=True)) == {"r-1"}
