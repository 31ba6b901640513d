"""The tools that change memory: remember, forget, and what a client without hooks reports."""

import time
from typing import Any

from pydantic import ValidationError

from claudemem.api import entities, events, observing
from claudemem.api.calls import Flags
from claudemem.mcp.asking import Asked
from claudemem.mcp.reading import as_json, record
from observations import ingest, memories
from observations.errors import InvalidInput
from queueing import kinds


def remember(asked: Asked) -> str:
    """Keep what is told, as it is told. Raises InvalidInput, Forbidden."""
    body = _checked(observing.ADD, asked.arguments.given, projectId=asked.project())
    return as_json({"memory": record(body.remembered(asked.team, asked.origin))})


def forget(asked: Asked) -> str:
    """Delete an observation. Raises NotFound, InvalidInput."""
    which = asked.arguments.reference("id", "observationId")
    if which is None:
        raise InvalidInput('"id" is required', ("id",))
    found = asked.observation(which)
    memories.forget(asked.team, asked.principal.project_id, found.id, origin=asked.origin)
    return as_json({"deleted": True, "id": found.id, "number": found.number})


def record_event(asked: Asked) -> str:
    """Store an event, and have it observed unless it is not to be. Raises InvalidInput."""
    usual = {"sourceType": "api", "occurredAtEpoch": time.time_ns() // 1_000_000}
    given = {name: value for name, value in asked.arguments.given.items() if value is not None}
    body = _checked(events.ONE, {**usual, **given}, projectId=asked.project())
    new = body.new_event(Flags(generate=asked.arguments.flag("generate", True), wait=False))
    (one,) = ingest.capture(asked.team, [new], origin=asked.origin, kind=kinds.EVENT)
    job = {"generationJob": entities.job_descriptor(one.job, one.transport)} if one.job else {}
    return as_json({"event": entities.event(one.event), **job})


def _checked(shape: Any, given: Any, **known: Any) -> Any:
    """The arguments as the API's body of the same call. Raises InvalidInput, which names all."""
    try:
        return shape.validate_python({**given, **known})
    except ValidationError as error:
        issues = error.errors(include_url=False, include_context=False, include_input=False)
        told = (f'"{".".join(map(str, each["loc"]))}": {each["msg"]}' for each in issues)
        raise InvalidInput("; ".join(told)) from None
