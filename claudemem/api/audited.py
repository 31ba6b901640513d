"""Reads leave a trace: which answer showed what, to whom."""

from collections.abc import Sequence
from typing import Any

from claudemem.api.calls import Call, origin
from observations import entries, readings
from observations.models import Observation


def shown(
    request: Call,
    mode: str,
    rows: Sequence[Observation],
    *,
    project_id: str | None,
    resource_id: str | None = None,
    **details: Any,
) -> None:
    """Enter that the caller is about to be shown these observations."""
    ids = [row.id for row in rows]
    shown_ids(request, mode, ids, project_id=project_id, resource_id=resource_id, **details)


def shown_ids(
    request: Call,
    mode: str,
    ids: Sequence[str],
    *,
    project_id: str | None,
    resource_id: str | None = None,
    **details: Any,
) -> None:
    """Enter that the caller is about to be shown the observations with these ids."""
    told = {"resultCount": len(ids), "observationIds": list(ids), **details}
    _record(request, mode, project_id, resource_id=resource_id, **told)


def listed(
    request: Call, mode: str, count: int, project_id: str | None = None, **details: Any
) -> None:
    """Enter that the caller is about to be shown so many jobs or entries, of a project if named."""
    project_id = project_id or request.auth.project_id
    _record(request, mode, project_id, resultCount=count, **details)


def _record(request: Call, mode: str, project_id: str | None, **details: Any) -> None:
    asked = origin(request, "http")
    readings.shared.record(entries.read(mode, request.auth.team_id, project_id, asked, **details))
