"""The admin's sidebar and first page."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client

from observations.models import Member, Project, Team
from queueing import pauses

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def _sidebar(client: Client) -> dict[str, list[str]]:
    groups = client.get("/admin/").context["sidebar_navigation"]
    return {group.get("title", ""): [item["title"] for item in group["items"]] for group in groups}


def test_the_sidebar_is_grouped(browser: Client) -> None:
    assert _sidebar(browser) == {
        "": ["Overview"],
        "Memory": ["Sessions", "Observations", "Events"],
        "Delivery": ["Jobs", "Lanes", "Pauses", "Shares"],
        "Access": ["Teams", "Members", "Projects", "API keys", "Users", "Usage"],
        "Audit": ["Audit log"],
    }


def test_flower_is_linked_for_superusers_where_it_is_configured(
    client: Client, team: Team, settings: Any
) -> None:
    settings.FLOWER_URL = "http://127.0.0.1:5555/flower"
    user = User.objects.create(username="mia", is_staff=True)
    Member.objects.create(user=user, team=team, role="admin")
    client.force_login(user)
    assert "Flower" not in _sidebar(client)["Delivery"]
    assert "Users" not in _sidebar(client)["Access"]
    User.objects.update(is_superuser=True)
    assert "Flower" in _sidebar(client)["Delivery"]
    assert 'href="http://127.0.0.1:5555/flower"' in client.get("/admin/").content.decode()


def test_a_paused_provider_is_the_first_thing_to_be_seen(browser: Client) -> None:
    assert "The provider is paused" not in browser.get("/admin/").content.decode()
    pauses.pause("The key <b>was</b> refused.", "refused", probing=False)
    body = browser.get("/admin/").content.decode()
    assert "The provider is paused" in body
    assert "The key &lt;b&gt;was&lt;/b&gt; refused." in body
    listed = browser.get("/admin/queueing/pause/").content.decode()
    assert "The key &lt;b&gt;was&lt;/b&gt; refused." in listed


def test_who_sees_all_lets_a_paused_provider_be_tried_again(browser: Client, team: Team) -> None:
    pauses.pause("no credit", "quota", probing=False)
    row = pauses.current()
    assert row
    form = {"action": "try_now", "index": "0", "_selected_action": "1", "select_across": "1"}
    told = browser.post("/admin/queueing/pause/", form, follow=True).content.decode()
    assert "One job tries the provider now." in told
    after = pauses.current()
    assert after
    assert after.left == 0
    user = User.objects.create(username="mia", is_staff=True)
    Member.objects.create(user=user, team=team, role="admin")
    browser.force_login(user)
    page = browser.get("/admin/queueing/pause/").content.decode()
    assert "no credit" in page
    assert "try_now" not in page


def test_a_worker_loads_neither_the_theme_nor_the_site() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c",
         "import django, sys; django.setup();"
         "print([name for name in sys.modules if name.startswith(('unfold.', 'claudemem.site'))])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "[]"


def test_pages_and_the_files_that_they_name_ask_no_other_host(
    browser: Client, project: Project
) -> None:
    named = set()
    for page in ("", "observations/observation/", "observations/apikey/add/", "auth/user/add/"):
        body = browser.get(f"/admin/{page}").content.decode()
        named |= set(
            re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=\"([^\"]+)\"", body)
        )
    files = {each for each in named if each != "/admin/jsi18n/"}
    assert len(files) > 20
    seen: set[str] = set()
    while files:
        address = files.pop()
        assert address.startswith("/static/"), address
        seen.add(address)
        found = finders.find(address.removeprefix("/static/"))
        assert found, address
        if address.endswith(".css"):
            linked = re.findall(r"(?:url\(|@import )\s*['\"]?([^'\")]+)", Path(found).read_text())
            files |= {urljoin(address, each) for each in linked if each[:5] != "data:"} - seen
    assert any("fonts" in each for each in seen)
