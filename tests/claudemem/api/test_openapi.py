"""The OpenAPI document: made of the code, checked in, valid, and complete."""

import json
from copy import deepcopy
from typing import Any, get_type_hints

import pytest
import schemathesis

from claudemem.api import reference
from claudemem.api.answers import Answer
from claudemem.api.documents import Media, Route, routes
from claudemem.api.errors import TABLE
from claudemem.api.openapi import _TAGS, _WORDS
from claudemem.api.routes import api as ninja
from claudemem.api.wire import vitals
from docs import openapi
from tests import conformance
from tests.claudemem.api.conftest import Api, told

ROUTES = [pytest.param(each, id=f"{each.method} {each.path}") for each in routes(ninja)]
VIEWS = {
    f"{method} {mount.prefix}{path}": operation.view_func
    for mount in ninja._get_bound_routers()
    for path, view in mount.path_operations.items()
    for operation in view.operations
    for method in operation.methods
}


def _operations() -> list[dict[str, Any]]:
    return [each for path in reference.made()["paths"].values() for each in path.values()]


@pytest.mark.once
def test_the_copy_in_the_documentation_is_what_is_served() -> None:
    assert openapi.TARGET.read_text() == openapi.text(reference.made()), (
        "The wire has changed. Look at the difference, and if it is meant, write it down with "
        "`.venv/bin/python -m docs.openapi`"
    )


@pytest.mark.django_db
def test_it_is_served_to_everybody() -> None:
    answer = Api().get("/v1/openapi.json")
    assert told(answer, 200) == json.loads(openapi.TARGET.read_text())


@pytest.mark.once
def test_it_is_valid() -> None:
    schemathesis.openapi.from_dict(deepcopy(reference.made())).validate()
    broken = deepcopy(reference.made()) | {"servers": "none"}
    with pytest.raises(Exception, match="servers"):
        schemathesis.openapi.from_dict(broken).validate()


@pytest.mark.once
def test_every_route_has_a_name_of_its_own() -> None:
    names = [each["operationId"] for each in _operations()]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() for name in names)


@pytest.mark.once
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_says_what_its_handler_is_typed_to_answer(route: Route) -> None:
    shapes = tuple(dict.fromkeys(route.said.answers.values()))
    assert shapes, "say it: openapi_extra=says(answers={200: …})"
    if any(isinstance(each, Media) for each in shapes):
        return
    returned = get_type_hints(VIEWS[f"{route.method} {route.path}"])["return"]
    told = shapes[0]
    for each in shapes[1:]:
        told = told | each
    assert returned == Answer[told]  # type: ignore[valid-type]


@pytest.mark.once
@pytest.mark.parametrize("route", ROUTES)
def test_a_route_is_told_in_words(route: Route) -> None:
    assert route.text
    assert route.tags
    assert set(route.tags) <= set(_TAGS)


@pytest.mark.once
def test_every_error_of_the_table_is_told_in_words() -> None:
    assert {kind.error for kind in TABLE.values()} - {"InternalError"} <= set(_WORDS)


@pytest.mark.once
def test_every_key_is_told_in_words() -> None:
    own = {name for name, each in vars(vitals).items() if isinstance(each, type)}
    for name, schema in reference.made()["components"]["schemas"].items():
        assert "__" not in name, "two types have this name: give one of them another"
        if name in own:
            continue
        for key, field in schema.get("properties", {}).items():
            parts = [field, *field.get("anyOf", ())]
            assert any("description" in part for part in parts), f"{name}.{key}: see words.py"


@pytest.mark.once
def test_what_needs_a_key_says_so_and_which_scopes_are_enough() -> None:
    paths = reference.made()["paths"]
    create = paths["/v1/events"]["post"]
    assert create["security"] == [{"bearer": []}, {"apiKey": []}]
    assert "`events:write`, `memories:write`" in create["description"]
    assert set(create["responses"]) >= {"201", "400", "401", "403", "413", "415", "503"}
    assert paths["/v1/info"]["get"]["security"] == []
    assert {} in paths["/api/processing-status"]["get"]["security"]


@pytest.mark.once
def test_what_a_machine_of_its_own_may_ask_without_a_key_says_so() -> None:
    inject = reference.made()["paths"]["/api/context/inject"]["get"]
    assert inject["security"] == [{"bearer": []}, {"apiKey": []}, {}]
    assert "`CLAUDE_MEM_LOCAL_PROJECT`" in inject["description"]


@pytest.mark.once
def test_every_parameter_says_what_it_means_and_every_body_shows_one() -> None:
    for each in _operations():
        for parameter in each["parameters"]:
            words = parameter.get("description") or parameter["schema"].get("description")
            assert words, f"{each['operationId']}, {parameter['name']}: see words.py"
        for body in each.get("requestBody", {}).get("content", {}).values():
            assert "example" in body, each["operationId"]


@pytest.mark.once
def test_an_answer_that_is_not_documented_fails_the_test_that_got_it() -> None:
    headers = {"X-Request-Id": "a", "Content-Type": "application/json"}
    conformance.check("GET", "/v1/events/x", 404, headers, b'{"error":"a","message":"b"}')
    for method, path, status, body in [
        ("GET", "/v1/events/x", 418, b"{}"),
        ("GET", "/v1/nothing", 200, b"{}"),
        ("GET", "/v1/events/x", 200, b"{}"),
        ("POST", "/v1/hooks/claude-code", 200, b'{"more":1}'),
        ("GET", "/v1/events/x", 404, b'{"error":"a","message":"b","more":1}'),
    ]:
        with pytest.raises(AssertionError):
            conformance.check(method, path, status, headers, body)
    with pytest.raises(AssertionError):
        conformance.check("GET", "/healthz", 200, {}, b'{"status":"ok","runtime":"x"}')
