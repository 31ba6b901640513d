"""Requests made of the OpenAPI document, sent to the application within this process."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from claudemem.api import beside, reference
from claudemem.wsgi import application

# Of the library's checks those that are about what is promised: nothing undocumented, as 500 is.
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# They say with 503 that something is away; to a test something may be.
SAY_HOW_IT_IS = ("/readyz", "/api/readiness", "/api/health")
RELAXED: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]


def operations() -> Iterator[Any]:
    """Every operation of the document that the application answers itself."""
    elsewhere = {route.path for route in beside.ROUTES}
    # It writes into what it is given.
    schema = schemathesis.openapi.from_dict(deepcopy(reference.made()))
    for result in schema.get_all_operations():
        if result.ok().path not in elsewhere:
            yield result.ok()


def cases(operation: Any) -> st.SearchStrategy[Any]:
    """Requests to an operation: what it takes, and what is nearly that."""
    return st.one_of([operation.as_strategy(generation_mode=mode) for mode in MODES])


@dataclass(frozen=True, slots=True)
class Known:
    """What is really there: a key, and the ids that stand for each name in a path."""

    key: str
    project_id: str
    ids: Mapping[str, str]

    def aim(self, case: Any) -> None:
        """Turn a request to what is there."""
        names = case.path_parameters or {}
        case.path_parameters = {name: self.ids.get(name, value) for name, value in names.items()}
        for body in case.body if isinstance(case.body, list) else [case.body]:
            if isinstance(body, dict) and "projectId" in body:
                body["projectId"] = self.project_id

    def send(self, case: Any) -> None:
        """Send it with the key. Fails unless the answer is as the document says."""
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {self.key}"}
        with _connected():
            answer = case.call(app=application)
        assert answer.status_code < 500 or case.path in SAY_HOW_IT_IS, answer.content
        case.validate_response(answer, checks=CHECKS)


@contextmanager
def _connected() -> Iterator[None]:
    """Keep the test's connection, as Django's own client does: a request would close it."""
    ends = (request_started, request_finished)
    for signal in ends:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in ends:
            signal.connect(close_old_connections)
