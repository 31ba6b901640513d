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


@pytest.mark.parametrize("address", ["/admin/", "/admin/observations/session/"])
def test_a_session_is_recognised_by_what_was_asked_first(
    browser: Client, prompted: Session, address: str
) -> None:
    prompted.events.filter(number=2).update(
        event_type="UserPromptSubmit", payload={"prompt": "Thank you"}
    )
    body = browser.get(address).content.decode()
    assert "Please BOUND the backoff of retries" in body
    assert "Thank you" not in body
    # One in which nothing was asked goes by its name.
    assert "bound the backoff" in body


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("Why?\n\n  Because", "Why? Because"),
        ("x" * 9_999, f"{'x' * 139}…"),
        ("\u202eevil", "\u202eevil"),
        (" \n ", None),
        ("", None),
        (7, "7"),
    ],
)
def test_a_session_is_about_its_first_prompt_in_a_line(
    prompted: Session, prompt: object, told: str | None
) -> None:
    prompted.events.filter(number=1).update(payload={"prompt": prompt})
    assert said.subjects([prompted.pk, "0-0-0"]).get(prompted.pk) == told


@pytest.mark.parametrize("payload", [{}, [], "text", {"prompt": None}, {"prompt": {"text": "?"}}])
def test_a_prompt_may_be_anything(browser: Client, prompted: Session, payload: object) -> None:
    prompted.events.filter(number=1).update(payload=payload)
    assert browser.get("/admin/observations/session/").status_code == 200


def test_a_prompt_deep_in_a_session_is_not_looked_for(
    prompted: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(said, "MOST_BEFORE", 0)
    assert said.subjects([prompted.pk]) == {}
