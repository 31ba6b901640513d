"""Who is let in, and in what order that is decided."""

import json
from typing import Any

import pytest
from django.conf import LazySettings
from django.http import HttpResponse
from django.test import Client

from claudemem.api import admission, calls
from claudemem.api.admission import Admitted
from claudemem.api.calls import Caller, Loopback
from claudemem.api.errors import Unauthorized
from claudemem.attempts import Attempts
from observations import keys, scopes
from observations.errors import Forbidden
from observations.keys import Principal
from observations.models import AuditEntry, Project, Team
from queueing import direct
from tests.claudemem.api.conftest import Api, RawKey, refused, told

pytestmark = pytest.mark.django_db

HERE = {"HTTP_HOST": "localhost:37877", "REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def local_dev(settings: LazySettings) -> None:
    settings.LOCAL_DEV = True


@pytest.fixture
def few(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FAILED_CALLS_PER_MIN = 3
    monkeypatch.setattr(calls, "failures", Attempts("the API", 60.0))


def from_(peer: str, key: str = "", path: str = "/v1/jobs", **environ: str) -> HttpResponse:
    headers = {"HTTP_AUTHORIZATION": f"Bearer {key}"} if key else {}
    client: Any = Client(raise_request_exception=False)
    answer: HttpResponse = client.get(path, **{**headers, "REMOTE_ADDR": peer, **environ})
    return answer


# --- without a key -------------------------------------------------------------------------------


def test_local_dev_is_of_this_machine_and_of_no_foreign_page(local_dev: None) -> None:
    told(from_("127.0.0.1", HTTP_HOST="[::1]:37877"), 200)
    told(from_("::1", HTTP_HOST="localhost", HTTP_SEC_FETCH_SITE="same-origin"), 200)
    strangers: tuple[dict[str, str], ...] = (
        {"REMOTE_ADDR": "10.0.0.7"},
        {"HTTP_HOST": "memory.example"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "http://localhost:3000"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
    )
    for said in strangers:
        assert refused(from_("", **{**HERE, **said}), 401, "Unauthorized")


def test_a_wrong_key_is_wrong_in_local_dev_too(local_dev: None) -> None:
    assert refused(from_("127.0.0.1", "wrong", HTTP_HOST="localhost"), 403, "Forbidden")


def test_without_being_opted_into_this_machine_needs_a_key() -> None:
    assert refused(from_("127.0.0.1", HTTP_HOST="localhost"), 401, "Unauthorized")


def test_local_dev_works_in_the_default_project(local_dev: None) -> None:
    hook = {"session_id": "s", "hook_event_name": "Stop", "cwd": "/home/dev/shop"}
    client: Any = Client()
    sent = client.post("/v1/hooks/claude-code", json.dumps(hook), "application/json", **HERE)
    assert sent.status_code == 200
    team, project = keys.default_tenant()
    event = told(from_("", path=f"/v1/events/{sent['X-Event-Id']}", **HERE), 200)["event"]
    assert (event["teamId"], event["projectId"]) == (team.id, project.id)
    entry = AuditEntry.objects.get(action="event.received")
    assert (entry.api_key_id, entry.actor_id) == (None, "system:local-dev")
    assert entry.details["source"] == "http_post_v1_hooks_claude_code"


def test_a_loopback_route_takes_who_is_here_and_says_so_to_all_others() -> None:
    class Request:
        META = HERE

    loopback = Loopback("Only here")
    assert loopback(Request())  # type: ignore[arg-type]
    for said in ({"HTTP_X_REAL_IP": "127.0.0.1"}, {"HTTP_ORIGIN": "null"}, {"HTTP_HOST": "x"}):
        Request.META = {**HERE, **said}
        with pytest.raises(Forbidden, match="Only here"):
            loopback(Request())  # type: ignore[arg-type]


# --- failed calls --------------------------------------------------------------------------------


def test_calls_without_a_key_that_works_are_refused_after_a_few(few: None) -> None:
    assert [from_("10.0.0.7", "wrong").status_code for _ in range(2)] == [403, 403]
    assert from_("10.0.0.7").status_code == 401
    for key in ("wrong", ""):
        answer = from_("10.0.0.7", key)
        assert "Retry-After" in refused(answer, 429, "rate_limited")
        assert 0 < int(answer["Retry-After"]) <= 60
    assert from_("10.0.0.8").status_code == 401


def test_a_key_that_works_is_never_hindered(few: None, raw_key: RawKey) -> None:
    good, narrow = raw_key(), raw_key("events:write")
    for _ in range(9):
        from_("10.0.0.7", "wrong")
    told(from_("10.0.0.7", good), 200)
    # It may not do this, and is told so: that is no guess.
    assert all(from_("10.0.0.7", narrow).status_code == 403 for _ in range(9))


def test_a_revoked_key_is_a_wrong_one(few: None, team: Team) -> None:
    minted = keys.create("k", ["*"], team=team)
    keys.revoke(minted.key.id)
    assert [from_("::1", minted.raw).status_code for _ in range(4)] == [403, 403, 403, 429]


def test_behind_a_trusted_proxy_each_client_fails_for_itself(
    few: None, settings: LazySettings
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    for _ in range(4):
        answer = from_("10.0.0.1", HTTP_X_FORWARDED_FOR="1.2.3.4, 203.0.113.9")
    assert answer.status_code == 429
    assert from_("10.0.0.1", HTTP_X_FORWARDED_FOR="203.0.113.10").status_code == 401
    # Whoever is no proxy of ours gains nothing by naming others.
    said = [from_("10.0.0.9", HTTP_X_FORWARDED_FOR=f"1.1.1.{n}").status_code for n in range(4)]
    assert said == [401, 401, 401, 429]


def test_a_failed_call_writes_nothing(
    few: None, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(direct, "execute_many")
    with django_assert_num_queries(0):
        said = [from_("10.0.0.7", key).status_code for key in ("", "wrong", "wrong", "wrong")]
    assert said == [401, 403, 403, 429]
    assert not AuditEntry.objects.exists()


# --- admission -----------------------------------------------------------------------------------


def test_only_who_may_call_is_asked_for_admission_and_with_what_it_wants(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str | None, bool]] = []
    let = Admitted()

    def admit(principal: Principal, *, writes: bool) -> Admitted:
        asked.append((principal.team_id, writes))
        return let

    monkeypatch.setattr(admission, "admit", admit)
    raw = keys.create("k", ["memories:read", "events:write"], team=team).raw
    for refusal, wrong, need in (
        (Unauthorized, Caller(), scopes.READ_MEMORY),
        (Forbidden, Caller("wrong"), scopes.READ_MEMORY),
        (Forbidden, Caller(raw), scopes.WRITE_MEMORY),
        (Forbidden, Caller(keys.create("k", ["*"], team=None).raw), scopes.READ_MEMORY),
    ):
        with pytest.raises(refusal):
            calls.let_in(wrong, need)
    assert not asked
    assert calls.let_in(Caller(raw), scopes.READ_MEMORY)[0].team_id == team.id
    assert calls.let_in(Caller(raw), scopes.WRITE_EVENTS)[1] is let
    assert asked == [(team.id, False), (team.id, True)]


def test_a_key_of_a_project_is_admitted_as_that(api: Api, project: Project) -> None:
    raw = keys.create("k", ["memories:read"], team=project.team, project=project).raw
    assert calls.let_in(Caller(raw), scopes.READ_JOBS)[0].project_id == project.id
