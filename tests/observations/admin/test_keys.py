"""API keys in the admin: made and shown once, revoked, never kept."""

import json
from hashlib import sha256
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from observations import keys
from observations.models import ApiKey, Project, Team
from tests.observations.admin.conftest import member

LIST = "/admin/observations/apikey/"


def _page(key: ApiKey) -> str:
    return f"{LIST}{key.pk}/change/"


def test_the_api_key_is_shown_once_and_only_its_hash_is_kept(
    browser: Client, project: Project
) -> None:
    raw, made = _make(browser, project)
    principal = keys.authenticate(raw)
    assert principal
    assert (principal.team_id, principal.project_id) == (project.team_id, project.pk)
    assert raw not in json.dumps([_dump(), dict(browser.session), str(made.cookies)])
    for address in (LIST, _page(ApiKey.objects.get())):
        body = browser.get(address).content.decode()
        assert raw not in body
        assert sha256(raw.encode()).hexdigest() not in body


def _make(browser: Client, project: Project) -> tuple[str, Any]:
    """The raw key that the page shows after one was made, and the answer that leads there."""
    form = {"name": "laptop", "project": project.pk, "team": "", "scopes": ["memories:read"]}
    made = browser.post(f"{LIST}add/", form)
    return browser.get(made.headers["Location"]).context["raw"], made


def test_reloading_the_page_of_a_made_key_makes_no_second_one_and_shows_nothing(
    browser: Client, project: Project
) -> None:
    raw, made = _make(browser, project)
    shown = browser.get(made.headers["Location"])
    assert "no-store" in shown.headers["Cache-Control"]
    assert shown.context["raw"] == ""
    assert raw not in shown.content.decode()
    assert "cannot be shown again" in shown.content.decode()
    assert ApiKey.objects.count() == 1


def test_what_the_session_keeps_of_a_key_is_nothing_without_the_browsers_cookie(
    browser: Client, project: Project
) -> None:
    form = {"name": "laptop", "project": project.pk, "team": "", "scopes": ["memories:read"]}
    made = browser.post(f"{LIST}add/", form)
    name = f"key-{ApiKey.objects.get().pk}"
    assert made.cookies[name]["path"] == made.headers["Location"]
    assert made.cookies[name]["httponly"]
    assert bytes.fromhex(browser.session[name])[:5] != b"cmem_"
    del browser.cookies[name]
    assert browser.get(made.headers["Location"]).context["raw"] == ""


@pytest.mark.parametrize("half", ["", "0", "zz", "00"])
def test_a_tampered_half_of_a_secret_is_no_error(
    browser: Client, project: Project, half: str
) -> None:
    form = {"name": "laptop", "project": project.pk, "team": "", "scopes": ["memories:read"]}
    made = browser.post(f"{LIST}add/", form)
    browser.cookies[f"key-{ApiKey.objects.get().pk}"] = half
    assert browser.get(made.headers["Location"]).context["raw"] == ""


def _dump() -> list[list[str]]:
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        found = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')
            found += [[str(value) for value in row] for row in cursor.fetchall()]
    return found


def test_a_key_for_nobody_or_for_a_project_of_another_team_is_refused(
    browser: Client, project: Project
) -> None:
    other = Team.objects.create(name="another team")
    for team, chosen, complaint in (
        ("", "", "Choose a team or a project."),
        (other.pk, project.pk, "The project does not belong to the team."),
    ):
        form = {"name": "k", "team": team, "project": chosen, "scopes": ["memories:read"]}
        assert complaint in browser.post(f"{LIST}add/", form).content.decode()
    assert not ApiKey.objects.exists()


def test_of_a_made_key_only_name_and_expiry_change(browser: Client, project: Project) -> None:
    minted = keys.create("old", ["memories:read"], team=project.team)
    form = {"name": "new", "expires_at_0": "", "expires_at_1": "", "scopes": ["*"]}
    assert browser.post(_page(minted.key), form).status_code == 302
    minted.key.refresh_from_db()
    assert (minted.key.name, minted.key.scopes) == ("new", ["memories:read"])


def test_a_revoked_key_works_no_more(browser: Client, team: Team) -> None:
    minted = keys.create("lost", ["*"], team=team)
    revoke = {"action": "revoke_keys", "index": "0", "_selected_action": minted.key.pk}
    assert "1 key revoked" in browser.post(LIST, revoke, follow=True).content.decode()
    assert keys.authenticate(minted.raw) is None
    again = browser.post(LIST, revoke, follow=True).content.decode()
    assert "Revoked already: lost" in again


def test_who_may_only_look_is_offered_nothing_to_do(client: Client, team: Team) -> None:
    minted = keys.create("kept", ["*"], team=team)
    member(client, team, "viewer")
    client.post(
        LIST,
        {"action": "revoke_keys", "index": "0", "_selected_action": minted.key.pk},
    )
    assert keys.authenticate(minted.raw)
    assert "revoke_keys" not in client.get(LIST).content.decode()
    assert client.get(f"{LIST}add/").status_code == 403
