"""What holds for every route; the routes are taken from the router, so that none is forgotten."""

import re
from typing import Any

import pytest
from ninja.operation import Operation

from claudemem.api.calls import Needs
from claudemem.api.door import HEADERS
from claudemem.api.routes import api as ninja
from observations import agents
from observations.keys import revoke
from observations.models import ApiKey, Project
from tests.claudemem.api.conftest import Api, RawKey, refused, told
from tests.postgres import shown_on_sqlite

PUBLIC = {
    "/healthz", "/readyz", "/api/health", "/api/readiness", "/api/version",
    "/api/processing-status", "/v1/info", "/v1/health", "/v1/openapi.json", "/v1/docs",
    "/api/instructions",
}  # fmt: skip
# Whoever is on the server's own machine needs no key for these.
OF_THE_MACHINE = {"/api/admin/restart", "/api/admin/shutdown", "/api/admin/doctor"}


def _routes() -> list[tuple[str, str, Operation]]:
    return [
        (method, re.sub(r"\{[^}]+\}", "some-id", f"{mount.prefix}{path}"), operation)
        for mount in ninja._get_bound_routers()
        for path, view in mount.path_operations.items()
        for operation in view.operations
        for method in operation.methods
    ]


ROUTES = _routes()
CLOSED = [
    pytest.param(*route, id=" ".join(route[:2]))
    for route in ROUTES
    if route[1] not in PUBLIC | OF_THE_MACHINE
]
about_routes = shown_on_sqlite("routes")
JUNK = [b"", b"{", b"[" * 100_000, b"x" * (6 * 1024 * 1024)]


def test_the_routes_are_those_of_the_contract() -> None:
    assert {f"{method} {path}" for method, path, _ in ROUTES} == {
        "GET /healthz",
        "GET /readyz",
        "GET /v1/health",
        "GET /api/processing-status",
        "GET /api/health",
        "GET /api/readiness",
        "GET /api/version",
        "GET /v1/info",
        "GET /v1/openapi.json",
        "GET /v1/docs",
        *(f"POST /v1/hooks/{name}" for name in agents.BY_NAME),
        "POST /v1/sessions/start",
        "GET /v1/sessions",
        "GET /v1/sessions/some-id",
        "POST /v1/sessions/some-id/end",
        "POST /v1/sessions/some-id/clear-queue",
        "POST /v1/events",
        "POST /v1/events/batch",
        "GET /v1/events",
        "GET /v1/events/some-id",
        "GET /v1/events/some-id/observations",
        "POST /v1/search",
        "POST /v1/context",
        *(
            f"{call} /v1/{noun}{named}"
            for noun in ("observations", "memories")
            for call, named in (
                ("POST", ""),
                ("GET", ""),
                ("GET", "/some-id"),
                ("PATCH", "/some-id"),
                ("DELETE", "/some-id"),
            )
        ),
        "GET /v1/projects",
        "POST /v1/projects",
        "GET /v1/projects/some-id",
        "GET /v1/projects/some-id/memory",
        "DELETE /v1/projects/some-id/memory",
        "GET /v1/audit",
        "GET /v1/jobs",
        "GET /v1/teams/some-id/jobs",
        "GET /v1/projects/some-id/jobs",
        "GET /v1/jobs/some-id",
        "GET /v1/jobs/some-id/events",
        "POST /v1/jobs/some-id/retry",
        "POST /v1/jobs/some-id/cancel",
        "POST /v1/keys",
        "GET /v1/keys",
        "GET /v1/keys/some-id",
        "DELETE /v1/keys/some-id",
        "GET /v1/connect",
        "GET /v1/usage",
        "POST /api/sessions/init",
        "POST /api/sessions/observations",
        "POST /api/sessions/summarize",
        "GET /api/context/inject",
        "POST /api/context/semantic",
        "GET /api/observations",
        "GET /api/observations/by-file",
        "POST /api/observations/batch",
        "GET /api/search",
        "GET /api/timeline",
        "GET /api/instructions",
        "POST /api/admin/restart",
        "POST /api/admin/shutdown",
        "GET /api/admin/doctor",
        "GET /v1/stream",
    }


@about_routes
@pytest.mark.django_db
@pytest.mark.parametrize("body", JUNK, ids=["empty", "malformed", "nested", "oversize"])
@pytest.mark.parametrize(("method", "path", "operation"), CLOSED)
def test_without_a_key_it_is_401_whatever_the_body(
    method: str, path: str, operation: Operation, body: bytes
) -> None:
    answer = Api().call(method, path, body)
    assert "Missing API key" in refused(answer, 401, "Unauthorized")


@about_routes
@pytest.mark.parametrize("body", JUNK, ids=["empty", "malformed", "nested", "oversize"])
@pytest.mark.parametrize(("method", "path", "operation"), CLOSED)
def test_with_a_wrong_or_too_narrow_key_it_is_403_whatever_the_body(
    method: str, path: str, operation: Operation, body: bytes, raw_key: RawKey
) -> None:
    (needs,) = operation.auth_callbacks
    assert isinstance(needs, Needs)
    every_other = {"memories:read", "memories:write", "admin", "memories:admin"} - needs.need
    for key in ("cmem_" + "0" * 48, raw_key(*every_other)):
        answer = Api(key).call(method, path, body)
        assert refused(answer, 403, "Forbidden") == "Invalid API key or insufficient scope"


@about_routes
@pytest.mark.parametrize(("method", "path", "operation"), CLOSED)
def test_a_key_without_a_team_is_told_so(
    method: str, path: str, operation: Operation, raw_key: RawKey
) -> None:
    answer = Api(raw_key(owner=None)).call(method, path, b"")
    assert refused(answer, 403, "Forbidden") == "API key is not bound to a team"


@about_routes
@pytest.mark.parametrize(("method", "path", "operation"), CLOSED)
def test_each_scope_that_is_enough_is_enough(
    method: str, path: str, operation: Operation, raw_key: RawKey
) -> None:
    (needs,) = operation.auth_callbacks
    for scope in needs.need:
        assert Api(raw_key(scope)).call(method, path, b"{").status_code in (200, 400, 404)


@about_routes
@pytest.mark.usefixtures("asked_anew")
@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_what_is_public_needs_no_key(path: str) -> None:
    assert Api().get(path).status_code in (200, 503)


def test_both_header_forms_are_taken_and_the_bearer_wins(raw_key: RawKey, db: None) -> None:
    key = raw_key()
    good = [
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"bearer \t {key}  "},
        {"X_Api_Key": f" {key} "},
        {"Authorization": "Basic abc", "X_Api_Key": key},
        {"Authorization": f"Bearer {key}", "X_Api_Key": "wrong"},
    ]
    for headers in good:
        told(Api().get("/v1/jobs", **headers), 200)
    told(Api().get("/v1/jobs", Authorization="Bearer wrong", X_Api_Key=key), 403)
    for absent in ({"Authorization": f"Basic {key}"}, {"Authorization": "Bearer "}, {}):
        told(Api().get("/v1/jobs", **absent), 401)


def test_a_revoked_key_is_refused_at_the_next_request(api: Api) -> None:
    told(api.get("/v1/jobs"), 200)
    revoke(ApiKey.objects.get().id)
    told(api.get("/v1/jobs"), 403)


@about_routes
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/projects"),
        ("GET", "/V1/Nothing"),
        ("PUT", "/V1/Projects/Some-Id/jobs"),
        ("PUT", "/v1/events"),
        ("GET", "/v1/events/batch/x"),
        ("DELETE", "/v1/jobs/some-id"),
        ("GET", "/nothing"),
        ("POST", "/nothing/at/all"),
        ("GET", "/v1/events/a%00b"),
    ],
)
def test_an_unknown_route_is_named_with_its_method(method: str, path: str, db: None) -> None:
    answer = Api().call(method, path + "?a=b", b"")
    assert refused(answer, 404, "NotFound") == f"Cannot {method} {path}".replace("%00", "\0")


def test_a_trailing_slash_is_accepted(api: Api) -> None:
    told(api.get("/v1/jobs/"), 200)
    told(api.get("/healthz/"), 200)


def test_the_words_of_a_path_may_be_in_any_case_and_ids_may_not(api: Api, event: Any) -> None:
    for path in ("/V1/JOBS/", "/HealthZ", "/v1/Jobs", "/API/version"):
        assert api.get(path).status_code == 200
        assert api.get(path)["X-Request-Id"]
    stored = told(api.post("/V1/Events", event), 201)["event"]
    told(api.get(f"/V1/EVENTS/{stored['id']}/Observations"), 200)
    told(api.get(f"/v1/events/{stored['id'].upper()}"), 404)
    assert api.call("OPTIONS", "/V1/events", b"").status_code == 204
    told(Api().get("/V1/jobs"), 401)


def test_head_is_answered_like_get_without_the_body(api: Api) -> None:
    for path in ("/v1/jobs", "/healthz"):
        got, headed = api.get(path), api.call("HEAD", path, b"")
        assert headed.status_code == 200
        assert headed.content == b""
        assert headed["Content-Type"] == got["Content-Type"]
    assert api.call("HEAD", "/v1/search", b"").status_code == 404


def test_the_caller_names_its_request_or_it_gets_a_name(api: Api, db: None) -> None:
    assert api.get("/v1/jobs", X_Request_Id="my-Request_1")["X-Request-Id"] == "my-Request_1"
    made = set()
    for bad in ("", "-x", "a b", "a" * 65, "ä", "a\tb"):
        name = api.get("/v1/jobs", X_Request_Id=bad)["X-Request-Id"]
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name)
        made.add(name)
    assert len(made) == 6
    for refusal in (Api().get("/v1/jobs"), api.get("/v1/nothing"), Api("x").get("/v1/jobs")):
        assert refusal["X-Request-Id"]
    for path in ("/v1/info", "/healthz", "/api/version", "/", "/admin/", "/static/none.css"):
        assert api.get(path, X_Request_Id="my-Request_1")["X-Request-Id"] == "my-Request_1"


def test_every_answer_carries_the_security_headers(api: Api, db: None) -> None:
    answers = [
        api.get("/v1/jobs"),
        Api().get("/v1/jobs"),
        api.get("/v1/nothing"),
        api.get("/nothing"),
        api.get("/healthz"),
        api.call("OPTIONS", "/v1/events", b""),
    ]
    for answer in answers:
        assert {name: answer[name] for name in HEADERS} == HEADERS
        assert "X-Powered-By" not in answer
    page = api.get("/admin/login/")
    # With no referrer at all, browsers send `Origin: null`, and the login form is refused.
    assert {name: page[name] for name in HEADERS} == HEADERS | {"Referrer-Policy": "same-origin"}


def test_local_pages_may_call_and_foreign_ones_are_not_told_so(api: Api, db: None) -> None:
    local = api.get("/v1/jobs", Origin="http://localhost:3000")
    assert local["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert local["Vary"] == "Origin"
    for foreign in ("https://evil.example", "http://localhost.evil.example", "null"):
        answer = api.get("/v1/jobs", Origin=foreign)
        assert answer.status_code == 200
        assert "Access-Control-Allow-Origin" not in answer
    preflight = Api().call("OPTIONS", "/v1/events", b"", Origin="http://127.0.0.1:5173")
    assert preflight.status_code == 204
    assert preflight["Access-Control-Allow-Origin"] == "http://127.0.0.1:5173"
    assert "POST" in preflight["Access-Control-Allow-Methods"]
    assert "Authorization" in preflight["Access-Control-Allow-Headers"]


def test_the_admin_asks_who_comes(db: None) -> None:
    assert Api().get("/admin/")["Location"].startswith("/admin/login/")


def test_an_api_call_makes_no_browser_session(api: Api) -> None:
    assert not api.get("/v1/jobs").cookies


def test_the_document_describes_every_route_with_its_body(api: Api, project: Project) -> None:
    document: Any = told(api.get("/v1/openapi.json"), 200)
    body = document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/EventBody"}
    assert set(document["components"]["schemas"]["EventBody"]["required"]) == {
        "projectId",
        "sourceType",
        "eventType",
        "occurredAtEpoch",
    }
    described = {path.replace("session_id", "id") for path in document["paths"]}
    assert described >= {"/v1/hooks/claude-code", "/v1/sessions/{id}/end", "/v1/info"}
