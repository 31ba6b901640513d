"""The tools that show memory. Each takes a call and gives the text that the agent reads."""

from collections.abc import Sequence
from typing import Any

import orjson

from claudemem.api import entities, reach
from claudemem.mcp import catalogue
from claudemem.mcp.asking import Asked, chosen
from claudemem.mcp.catalogue import Limit
from observations import recall, rendering
from observations.models import Observation
from observations.recall import Page
from observations.search import Filters

NOTHING = "Nothing is remembered about that."
NOTHING_YET = "Nothing is remembered of this project yet."


def search(asked: Asked) -> str:
    """What answers a question best."""
    page = _answering(asked, "search", catalogue.SEARCH)
    return _told(asked, page.observations, NOTHING)


def context(asked: Asked) -> str:
    """The same, and as one text."""
    page = _answering(asked, "context", catalogue.CONTEXT)
    return as_json({"observations": _records(page.observations), "context": page.text})


def recent(asked: Asked) -> str:
    """The newest observations, newest first."""
    project_id = asked.project()
    limit = asked.arguments.limit("limit", catalogue.RECENT)
    rows = recall.recent(project_id, limit)
    asked.shown("recent", rows, project_id=project_id, limit=limit)
    return _told(asked, rows, NOTHING_YET)


def timeline(asked: Asked) -> str:
    """Observations in order: the last, or one and those around it. Raises NotFound."""
    middle = _middle(asked)
    project_id = middle.project_id if middle else asked.project()
    limit = asked.arguments.limit("limit", catalogue.TIMELINE)
    rows = recall.timeline(project_id, around=middle.id if middle else None, limit=limit)
    asked.shown("timeline", rows, project_id=project_id, limit=limit)
    return rendering.timeline(recall.items(rows)) or NOTHING_YET


def get_observations(asked: Asked) -> str:
    """Observations in full, in the order in which they were asked for, and which are missing."""
    which = asked.arguments.references("ids", catalogue.MOST_IDS)
    found: dict[int | str, Observation] = {}
    for row in chosen(asked.observations(), which):
        found |= {row.number: row, row.id: row}
    rows = tuple(dict.fromkeys(found[each] for each in which if each in found))
    asked.shown("get_observations", rows)
    missing = [each for each in which if each not in found]
    lacking = {"missing": missing} if missing else {}
    return as_json({"observations": _records(rows), **lacking})


def session_start_context(asked: Asked) -> str:
    """What the next session of the project is told."""
    project_id = asked.project()
    told = recall.session_context(project_id)
    asked.told("session_start_context", told.ids, project_id=project_id, tokens=told.tokens)
    return told.text or NOTHING_YET


def projects(asked: Asked) -> str:
    """The projects in reach."""
    rows = asked.projects().values("id", "name")
    return as_json({"projects": list(rows)})


def generation_status(asked: Asked) -> str:
    """How far a job is. Raises JobNotFound."""
    job = reach.job(asked.principal, asked.arguments.text("jobId", "job_id"))
    return as_json({"generationJob": entities.job_status(job)})


def record(row: Observation) -> dict[str, Any]:
    """An observation as it is on the wire, and its number, by which lines name it."""
    return {"id": row.id, "number": row.number, **entities.observation(row)}


def as_json(data: Any) -> str:
    """JSON as clients of this protocol expect it: indented by two."""
    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def _answering(asked: Asked, mode: str, limit: Limit) -> Page:
    query = asked.arguments.text("query")
    project_id = asked.project()
    most = asked.arguments.limit("limit", limit)
    file = asked.arguments.optional("file")
    page = recall.search(
        project_id,
        query,
        limit=most,
        platform_source=asked.arguments.optional("platformSource"),
        filters=Filters(files=(file,)) if file else None,
    )
    # The question stays out of it: what agents look for is theirs.
    asked.shown(mode, page.observations, project_id=project_id, limit=most)
    return page


def _middle(asked: Asked) -> Observation | None:
    """The observation around which a timeline is asked for, if it is around one."""
    which = asked.arguments.reference("around", "anchor")
    if which is not None:
        return asked.observation(which)
    if query := asked.arguments.optional("query"):
        return next(iter(recall.search(asked.project(), query, limit=1).observations), None)
    return None


def _told(asked: Asked, rows: Sequence[Observation], nothing: str) -> str:
    if asked.arguments.flag("brief"):
        return rendering.index(recall.items(rows)) or nothing
    return as_json({"observations": _records(rows)})


def _records(rows: Sequence[Observation]) -> list[dict[str, Any]]:
    return [record(row) for row in rows]
