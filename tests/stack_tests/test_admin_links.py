"""What the admin's first page leads to is there, whichever engine brings the work."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.stack_tests.conftest import Replayed

pytestmark = pytest.mark.stack

LINK = re.compile(r'href="(/admin/[^"?#]*)["?#]')
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


@pytest.fixture
def admin(replayed: Replayed) -> Iterator[httpx.Client]:
    """A browser's requests, of one who signed in."""
    running = replayed.stack
    with httpx.Client(base_url=running.url, follow_redirects=True, timeout=30) as client:
        form = client.get("/admin/login/").text
        (token, *_) = TOKEN.findall(form)
        entered = {"username": "admin", "password": running.admin_password, "next": "/admin/"}
        client.post(
            "/admin/login/",
            data={**entered, "csrfmiddlewaretoken": token},
            headers={"Referer": running.url},
        )
        yield client


def test_everything_that_the_first_page_leads_to_is_there(admin: httpx.Client) -> None:
    first = admin.get("/admin/")
    places = sorted(set(LINK.findall(first.text)) - {"/admin/logout/"})
    lists = [place for place in places if re.search(r"/queueing/\w+/$", place)]

    assert first.is_success
    assert len(lists) >= 3  # jobs, lanes, pauses
    for place in places:
        answer = admin.get(place)
        assert (answer.status_code, urlsplit(str(answer.url)).path) == (200, place)


def test_a_job_and_its_lane_can_be_looked_at(admin: httpx.Client) -> None:
    for rows in ("/admin/queueing/generationjob/", "/admin/queueing/lane/"):
        leads = re.findall(rf'href="({rows}[^"]+/change/)', admin.get(rows).text)
        assert leads
        assert admin.get(leads[0]).is_success
