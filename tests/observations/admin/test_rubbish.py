"""Whatever an address or a form holds, a page answers: rubbish is refused, and never an error."""

import pytest
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client

from observations import keys
from observations.models import ApiKey, Event, Member, Observation, Project, Session, Team
from queueing import browsing
from queueing.models import GenerationJob, Lane, Pause
from tests.observations.admin.conftest import Memory, member, page_of

LISTS = (
    Team, Member, Project, ApiKey, Session, Event, Observation, GenerationJob, Lane, Pause, User,
)  # fmt: skip
RUBBISH = ("%00", "9" * 30, "-a(%ED%A0%80")
# What every list takes, and what lists without that filter are asked for all the same.
ANYWHERE = ("q", "p", "o", "all", "_to_field", "project")


def _list(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.mark.parametrize("model", LISTS)
def test_a_list_takes_any_filter(browser: Client, memory: Memory, model: type[Model]) -> None:
    memory(1)
    assert browser.get(_list(model)).status_code == 200
    offered = (getattr(one, "parameter_name", one) for one in site._registry[model].list_filter)
    for name in {*ANYWHERE, *map(str, offered)}:
        for value in RUBBISH:
            answer = browser.get(f"{_list(model)}?{name}={value}")
            assert answer.status_code in (200, 302, 400), (name, value)


@pytest.mark.parametrize("verb", ["change", "delete", "history"])
def test_a_page_of_no_row_is_not_found(browser: Client, memory: Memory, verb: str) -> None:
    memory(1)
    for model in LISTS:
        for key in ("_00", "9" * 30, "abc"):
            answer = browser.get(f"{_list(model)}{key}/{verb}/")
            assert answer.status_code in (302, 400, 403, 404), (model, key)


def test_a_rows_page_takes_anything_behind_it(browser: Client, memory: Memory) -> None:
    page = page_of(memory(1))
    for name in ("at", "_to_field", "_popup", "_changelist_filters"):
        for value in ("", *RUBBISH):
            answer = browser.get(f"{page}?{name}={value}")
            assert answer.status_code in (200, 400), (name, value)


@pytest.mark.parametrize("chosen", ["\0", "abc", "9" * 30])
@pytest.mark.parametrize("model", [Observation, Pause, User, ApiKey, GenerationJob])
def test_an_action_on_what_is_no_row_does_nothing(
    browser: Client, memory: Memory, model: type[Model], chosen: str
) -> None:
    memory(1)
    for action in ("delete_selected", "retry_jobs", "revoke_keys", "try_now"):
        form = {"action": action, "index": "0", "_selected_action": chosen, "confirmed": "yes"}
        assert browser.post(_list(model), form).status_code in (302, 400), action
    assert Observation.objects.count() == 1


def test_a_form_takes_no_nul(browser: Client, team: Team) -> None:
    for model in (Project, ApiKey, Member, Team):
        form = {"name": "\0", "team": "\0", "username": "\0"}
        assert browser.post(f"{_list(model)}add/", form).status_code == 400


def test_a_project_takes_no_name_of_another(client: Client, project: Project) -> None:
    member(client, project.team)
    twin = Project.objects.create(team=project.team, name="twin")
    refused = client.post(page_of(twin), {"name": project.name})
    assert "Another project of the team has this name." in refused.content.decode()
    assert client.post(page_of(twin), {"name": "other"}).status_code == 302
    twin.refresh_from_db()
    assert twin.name == "other"


def test_a_key_that_is_in_use_takes_no_name_that_cannot_be_shown(
    client: Client, team: Team
) -> None:
    member(client, team)
    key = keys.create("laptop", ["*"], team=team).key
    refused = client.post(page_of(key), {"name": "a\x07b"})
    assert "Use printable characters only." in refused.content.decode()
    key.refresh_from_db()
    assert key.name == "laptop"


@pytest.mark.parametrize("page", ["0", "-1", "2", "x", "9" * 30])
def test_the_search_for_lists_has_one_page(browser: Client, db: None, page: str) -> None:
    assert browser.get(f"/admin/search/?s=e&page={page}").status_code == 404
    assert browser.get("/admin/search/?s=e").status_code == 200


def test_no_address_narrows_a_list_by_what_no_filter_offers(
    client: Client, memory: Memory, team: Team
) -> None:
    session = memory(1)
    key = keys.create("our key", ["*"], team=team).key
    member(client, team)
    for address in (
        f"{_list(ApiKey)}?key_hash__startswith={key.key_hash[:4]}",
        f"{_list(Member)}?user__password__startswith=pbkdf2",
        f"{_list(Observation)}?title__regex=(",
        f"{_list(Event)}?payload__tool_name=Bash",
        f"{_list(Event)}?session__team__id__exact={session.team_id}",
    ):
        asked = f"{address}&project={session.project_id}" if "event" in address else address
        assert client.get(asked, follow=True).status_code == 400, address


def test_no_address_sorts_a_list_otherwise(browser: Client, memory: Memory) -> None:
    memory(3)
    pages = [browser.get(f"{_list(Event)}{order}") for order in ("", "?o=2", "?o=-1.2.3")]
    orders = [[row.pk for row in page.context["cl"].result_list] for page in pages]
    assert orders[0] == orders[1] == orders[2]
    asked = {page.context["cl"].queryset.query.order_by for page in pages}
    assert len(asked) == 1


def test_a_page_far_away_counts_no_further(
    browser: Client, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(12)
    monkeypatch.setattr(browsing, "MOST_PAGES", 2)
    monkeypatch.setattr(browsing, "PAGES_AHEAD", 1)
    monkeypatch.setattr(browsing.Browsed, "list_per_page", 2)
    assert browser.get(f"{_list(Event)}?p=2").context["cl"].result_count == 6
    assert browser.get(f"{_list(Event)}?p=6").status_code == 302
