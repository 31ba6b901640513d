"""Whether an answer is one that the OpenAPI document tells of; clients of tests ask it of each."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "reference" / "openapi.json"
# What lies elsewhere is for browsers, and no part of the document.
_API = ("/v1/", "/api/", "/healthz", "/readyz")
_NO_ROUTE = {"$ref": "#/components/schemas/Problem"}


def check(
    method: str, address: str, status: int, headers: Mapping[str, str], content: bytes
) -> None:
    """Fail unless the document has this answer, to this method at this address."""
    path = address.partition("?")[0].rstrip("/")
    if not path.startswith(_API):
        return
    assert headers.get("X-Request-Id"), f"{method} {path}: an answer without X-Request-Id"
    if method == "OPTIONS":
        assert status == 204, f"OPTIONS {path} answered {status}"
        return
    validator = _validator(_template("GET" if method == "HEAD" else method, path), status)
    if validator and method != "HEAD" and headers.get("Content-Type", "").startswith("app"):
        for error in validator.iter_errors(json.loads(content)):
            where = f"{method} {path} answered {status}, not as documented: {error.json_path}"
            raise AssertionError(f"{where}: {error.message} in {content[:500]!r}")


def check_response(response: httpx.Response) -> None:
    """The same, as a hook of a client of httpx. Raises what reading the answer raises."""
    if response.headers.get("Content-Type", "").startswith("application/json"):
        response.read()
        content = response.content
    else:
        content = b""
    path = response.request.url.raw_path.decode()
    check(response.request.method, path, response.status_code, response.headers, content)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DOCUMENT.read_text())
    return document


@cache
def _template(method: str, path: str) -> tuple[str, str] | None:
    """The route that has this path, in any case; one without parameters before one with them."""
    for template in sorted(_document()["paths"], key=lambda each: each.count("{")):
        shape = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
        if method.lower() in _document()["paths"][template] and re.fullmatch(
            shape, path, re.IGNORECASE
        ):
            return method.lower(), template
    return None


@cache
def _validator(route: tuple[str, str] | None, status: int) -> Draft202012Validator | None:
    if route is None:
        assert status == 404, f"answered {status}, and the document has no such route"
        return Draft202012Validator(_whole(_NO_ROUTE))
    method, path = route
    answers = _document()["paths"][path][method]["responses"]
    assert str(status) in answers, f"{method} {path} answered {status}, which is not documented"
    answer = answers[str(status)]
    if "$ref" in answer:
        answer = _document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return None if schema is None else Draft202012Validator(_whole(schema))


def _whole(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what it refers to."""
    return {**schema, "components": {"schemas": _closed()}}


@cache
def _closed() -> dict[str, Any]:
    """The schemas of the document, in which a key that is not told of is wrong."""
    shared = _document()["components"]["schemas"].items()
    return {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in shared
    }
