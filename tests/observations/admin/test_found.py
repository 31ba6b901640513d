"""Sessions, events and jobs are found by their names, and by what was asked of an agent."""

import pytest
from django.db.models import Model
from django.test import Client

from observations.admin import said
from observations.models import Event, Session
from queueing.models import GenerationJob
from tests.observations.admin.conftest import Memory


@pytest.fixture
def prompted(memory: Memory) -> Session:
    """A session whose first event is a prompt, beside one that says the same in a command."""
    session = memory(2, "one")
    session.events.filter(number=1).update(
        event_type="UserPromptSubmit", payload={"prompt": "Please BOUND the backoff of retries"}
    )
    memory(1, "bound the backoff")
    return session


def _found(browser: Client, model: type[Model], query: str) -> list[object]:
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/?q={query}"
    return [row.pk for row in browser.get(address).context["cl"].result_list]


def test_sessions_and_events_are_found_by_words_of_a_prompt(
    browser: Client, prompted: Session
) -> None:
    event = prompted.events.get(number=1)
    for words in ("bound+backoff", "BACKOFF+please", "retries"):
        assert _found(browser, Event, words) == [event.pk], words
        assert _found(browser, Session, words) == [prompted.pk], words
    for words in ("bound+zebra", "%25", "%22"):
        assert _found(browser, Event, words) == [], words


def test_a_search_stays_in_the_chosen_project_and_session(
    browser: Client, prompted: Session, memory: Memory
) -> None:
    other = memory(1, "two")
    assert _found(browser, Event, f"bound&session={other.pk}") == []
    assert _found(browser, Event, f"bound&session={prompted.pk}") != []
    assert _found(browser, Event, f"bound&project={prompted.project_id}") != []
    assert _found(browser, Event, "bound&project=none") == []
    assert _found(browser, Event, "bound&event_type=Stop") == []


def test_of_many_prompts_only_the_newest_are_looked_through(
    browser: Client, prompted: Session, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(3, "later").events.update(event_type="UserPromptSubmit", payload={"prompt": "another"})
    monkeypatch.setattr(said, "MOST_PROMPTS", 4)
    assert _found(browser, Session, "bound") == [prompted.pk]
    monkeypatch.setattr(said, "MOST_PROMPTS", 3)
    assert _found(browser, Session, "bound") == []


def test_jobs_are_found_by_their_own_id_and_by_their_event_or_session(
    browser: Client, prompted: Session
) -> None:
    jobs = list(GenerationJob.objects.filter(session_id=prompted.pk).order_by("-id"))
    event = prompted.events.get(number=2)
    assert _found(browser, GenerationJob, jobs[0].pk) == [jobs[0].pk]
    assert _found(browser, GenerationJob, jobs[0].queue_job_id) == [jobs[0].pk]
    assert _found(browser, GenerationJob, event.pk) == [
        job.pk for job in jobs if job.source_id == event.pk
    ]
    for name in (prompted.pk, "one"):
        assert _found(browser, GenerationJob, name) == [job.pk for job in jobs]
    assert _found(browser, GenerationJob, "nothing") == []
