"""A session's page says what of it was captured, and offers to bring in the rest."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from observations import ingest
from observations.admin import captures
from observations.models import Event, Project, Session
from tests.observations.admin.conftest import member, page_of
from tests.observations.transcribed import hooks, keep

LIST = "/admin/observations/session/"
OFFER = 'name="action" value="backfill"'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One user's machine, with the recorded transcripts where Claude Code keeps them."""
    monkeypatch.setattr(settings, "AT_HOME", True)
    monkeypatch.setattr(settings, "TRANSCRIPTS", tmp_path)
    keep(tmp_path)
    return tmp_path


@pytest.fixture
def session(project: Project, published: list[str]) -> Session:
    """A session of which the hooks of three events were lost."""
    for number, payload in enumerate(hooks("locks-explained")):
        if number not in (1, 5, 8):
            ingest.capture_hook(project.team_id, project.id, payload, origin={"source": "test"})
    return Session.objects.get()


def told(browser: Client, session: Session) -> str:
    return browser.get(page_of(session)).content.decode()


def ask(browser: Client, session: Session, **more: str) -> str:
    chosen = {"action": "backfill", "index": "0", "_selected_action": session.pk, **more}
    return browser.post(LIST, chosen, follow=True).content.decode()


def test_what_is_missing_is_told_by_the_transcript(
    browser: Client, home: Path, session: Session
) -> None:
    page = told(browser, session)
    assert "0 of 1 prompts · 2 of 3 tool uses · 0 of 1 ends of turns" in page
    assert "by its transcript" in page
    assert "How do lock and queueing_lock keep jobs in order?" in page
    assert "Bash toolu_s3_04" in page
    assert OFFER in page


def test_a_backfill_is_confirmed_then_done_and_told(
    browser: Client, home: Path, session: Session
) -> None:
    assert "Yes, backfill" in ask(browser, session)
    assert Event.objects.count() == 7
    page = ask(browser, session, confirmed="yes", **{"return-to-session": "1"})
    assert "3 events captured from the transcript" in page
    assert "1 of 1 prompts · 3 of 3 tool uses · 1 of 1 ends of turns" in page
    assert "Nothing is known to be missing." in page
    assert OFFER not in page
    assert Event.objects.count() == 10


def test_without_a_transcript_the_events_tell_of_each_other(
    browser: Client, home: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "TRANSCRIPTS", home / "none")
    page = told(browser, session)
    assert "0 of 1 prompts · 2 of 3 tool uses" in page
    assert "as far as its events tell of each other" in page
    assert "claudemem import transcripts" in page
    assert "there is no transcript of it" in page


def test_no_transcript_is_read_where_the_server_is_not_one_users(
    browser: Client, home: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "AT_HOME", False)
    assert "this server does not run on the machine of one user" in told(browser, session)
    page = ask(browser, session, confirmed="yes")
    assert "captured from the transcript" not in page
    assert Event.objects.count() == 7


def test_no_transcript_is_read_for_an_admin_of_a_team(
    client: Client, home: Path, session: Session
) -> None:
    member(client, session.team)
    assert "only a superuser may have a transcript read" in told(client, session)
    assert "captured" not in ask(client, session, confirmed="yes").split("Events")[0]
    assert Event.objects.count() == 7


def test_a_viewer_is_offered_nothing(client: Client, home: Path, session: Session) -> None:
    member(client, session.team, role="viewer")
    assert OFFER not in told(client, session)
    ask(client, session, confirmed="yes")
    assert Event.objects.count() == 7


def test_a_transcript_of_another_directory_is_anothers(
    browser: Client, home: Path, session: Session
) -> None:
    Session.objects.update(cwd="/home/dev/secret")
    assert "its transcript tells of another directory" in told(browser, session)
    assert "left alone" in ask(browser, session, confirmed="yes")
    assert Event.objects.count() == 7


def test_a_long_session_is_not_looked_through(
    browser: Client, home: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "MOST_EVENTS", 5)
    assert "it has too many events to be looked through" in told(browser, session)
