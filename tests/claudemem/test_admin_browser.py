"""The admin as a browser shows it: scripts run, styles apply, nothing of a payload does."""

import os
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from claudemem.wsgi import application
from observations import ingest
from observations.models import Event, Project, Session, Team
from tests import chromium

pytestmark = [
    # On a laptop it may be missing; where CI set the machine up it must not be.
    pytest.mark.skipif(
        chromium.PROGRAM is None and "CI" not in os.environ, reason="Chromium is not installed"
    ),
    pytest.mark.django_db(transaction=True),
]

# Each would write into the page if it came to life in it.
HOSTILE = (
    "</pre><script>document.body.append('BROKEN' + ' OUT')</script>"
    "<img src=x onerror=\"document.body.append('BROKEN' + ' OUT')\">"
)


@pytest.fixture
def address(client: Client) -> Iterator[str]:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    with chromium.serving(application, client.cookies["sessionid"].value) as address:
        yield f"{address}/admin"


def test_a_hostile_payload_is_text_in_a_real_browser(address: str, team: Team) -> None:
    payload = {
        "session_id": HOSTILE, "cwd": "/home/dev/project", "hook_event_name": "PostToolUse",
        "tool_name": "Bash", "tool_use_id": "1", "tool_input": {"command": HOSTILE},
    }  # fmt: skip
    ingest.capture_hook(team.pk, None, payload, origin={})
    event, session = Event.objects.get(), Session.objects.get()
    for page in (f"event/{event.pk}/change/", f"session/{session.pk}/change/", "event/"):
        shown = chromium.dom(f"{address}/observations/{page}")
        assert "BROKEN" in shown
        assert "BROKEN OUT" not in shown


def test_the_admin_brings_its_own_styles_and_scripts(address: str, project: Project) -> None:
    shown = chromium.dom(f"{address}/observations/apikey/add/")
    # Made by the script of the choice of teams, and by that of the calendar.
    assert "select2-container" in shown
    assert "datetimeshortcuts" in shown
