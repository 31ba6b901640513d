"""Whose pages may read answers, decided and as browsers are told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem.api import crossorigin
from claudemem.deployment import wrong_origin
from tests.claudemem.api.conftest import Api, told

LOCAL = frozenset({"http://localhost:*", "http://127.0.0.1:*"})
HOST = "memory.example:8443"


@pytest.mark.once
@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1:5173", "http://localhost", "https://" + HOST],
)
def test_pages_of_this_machine_and_the_servers_own_may_read(origin: str) -> None:
    assert crossorigin.may_read(origin, HOST, LOCAL)
    headers = crossorigin.headers_for(origin, HOST, LOCAL)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert "X-Request-Id" in headers["Access-Control-Expose-Headers"]


@pytest.mark.once
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "http://localhost:3000.evil.example",
        "http://localhost:evil",
        "http://evil@localhost:3000",
        "https://localhost:3000",
        "http://127.0.0.1.evil.example:80",
        "http://xlocalhost:80",
        "http://localhost:*",
        "null",
        "*",
        "",
        "memory.example:8443",
        "http://localhost:3000\r\nX-Evil: yes",
    ],
)
def test_others_may_not(origin: str) -> None:
    assert not crossorigin.may_read(origin, HOST, LOCAL)
    assert crossorigin.headers_for(origin, HOST, LOCAL) == {"Vary": "Origin"}


@pytest.mark.once
@given(st.text(), st.text())
def test_what_is_echoed_is_of_this_machine_or_the_servers_own(origin: str, host: str) -> None:
    if crossorigin.may_read(origin, host, LOCAL):
        local = origin.startswith(("http://localhost", "http://127.0.0.1"))
        assert local or origin.endswith(host.lower())


@pytest.mark.once
def test_before_a_call_a_page_hears_which_headers_it_may_send() -> None:
    asked = "authorization,mcp-param-project, x-evil"
    heard = crossorigin.preflight("http://localhost:3000", HOST, LOCAL, asked=asked, private=True)
    taken = heard["Access-Control-Allow-Headers"].lower().split(",")
    assert {"authorization", "x-api-key", "last-event-id", "mcp-param-project"} <= set(taken)
    assert {"mcp-session-id", "mcp-protocol-version", "content-type"} <= set(taken)
    assert "x-evil" not in taken
    assert heard["Access-Control-Allow-Private-Network"] == "true"
    assert "DELETE" in heard["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in heard
    assert crossorigin.preflight("https://evil.example", HOST, LOCAL) == {"Vary": "Origin"}


def test_the_list_of_origins_is_a_setting(api: Api, settings: Any) -> None:
    settings.CORS_ORIGINS = frozenset({"https://ui.example"})
    heard = api.get("/v1/jobs", Origin="https://ui.example")
    assert heard["Access-Control-Allow-Origin"] == "https://ui.example"
    for other in ("http://localhost:3000", "https://ui.example:8443", "https://evil.example"):
        answer = api.get("/v1/jobs", Origin=other)
        told(answer, 200)
        assert answer["Vary"] == "Origin"
        assert not [name for name in answer.headers if name.startswith("Access-Control-")]
    own = api.get("/v1/jobs", Origin="http://a.example:1", Host="a.example:1")
    assert own["Access-Control-Allow-Origin"] == "http://a.example:1"


@pytest.mark.parametrize("path", ["/v1/events", "/nothing", "/", "/admin/", "/healthz"])
def test_any_address_answers_who_asks_before_a_call_and_foreign_pages_hear_nothing(
    path: str, db: None
) -> None:
    for origin in ("http://localhost:3000", "https://evil.example", "null"):
        answer = Api().call("OPTIONS", path, b"", Origin=origin)
        assert (answer.status_code, answer.content) == (204, b"")
        allowed = [name for name in answer.headers if name.startswith("Access-Control-")]
        assert bool(allowed) == (origin == "http://localhost:3000")


def test_pages_of_the_admin_are_told_to_no_other_origin(db: None) -> None:
    page = Api().get("/admin/login/", Origin="http://localhost:3000")
    assert not [name for name in page.headers if name.startswith("Access-Control-")]


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("http://ui.example", True),
        ("https://ui.example:8443", True),
        ("http://localhost:*", True),
        ("http://[::1]:*", True),
        ("ui.example", False),
        ("*", False),
        ("null", False),
        ("http://UI.example", False),
        ("https://ui.example/", False),
        ("https://*.example", False),
    ],
)
def test_what_is_no_origin_is_refused_at_start(name: str, right: bool) -> None:
    assert (not wrong_origin(name)) == right
