"""The audit."""

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, NextCursor


class AuditEntry(TypedDict):
    """Who did what to what, and when."""

    id: Annotated[str, Field(description="A number that grows; its order is that of time")]
    teamId: str | None
    projectId: str | None
    actorId: Annotated[str | None, Field(description="Who came without a key")]
    apiKeyId: str | None
    action: str
    resourceType: str
    resourceId: str | None
    details: dict[str, Any]
    createdAtEpoch: Epoch


class Audit(TypedDict):
    """A page of the audit, newest first."""

    audit: list[AuditEntry]
    nextCursor: NextCursor
