"""What is told where the admin has nothing to show, or no leave to do it."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize(
    ("address", "status", "title"),
    [
        ("/admin/nonsense/", 404, "There is nothing here"),
        ("/admin/observations/event/add/", 403, "You may not do this"),
        ("/admin/observations/event/?nonsense=1", 400, "This cannot be read"),
    ],
)
def test_who_signed_in_is_told_in_the_admins_look(
    browser: Client, address: str, status: int, title: str
) -> None:
    answer = browser.get(address)
    body = answer.content.decode()
    assert answer.status_code == status
    assert title in body
    assert "Sessions" in body  # The sidebar.
    assert 'href="/admin/">Back to the overview' in body


def test_everybody_else_is_told_as_before(client: Client, browser: Client) -> None:
    told = browser.get("/nonsense").json()
    assert told == {"error": "NotFound", "message": "Cannot GET /nonsense"}
    stranger = Client()
    assert stranger.get("/admin/nonsense/").status_code == 302
    assert stranger.get("/admin/?a=1", headers={"host": "elsewhere"}).status_code == 400
