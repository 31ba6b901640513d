"""Projects."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Metadata, NextCursor


class Project(TypedDict):
    """What a team works on: usually a repository."""

    id: Id
    teamId: str
    name: str
    slug: Annotated[str, Field(description="The name in letters, digits and dashes")]
    rootPath: Annotated[str | None, Field(description="Where its client said that it lies")]
    metadata: Metadata
    createdAtEpoch: Epoch
    updatedAtEpoch: Epoch


class OneProject(TypedDict):
    """A project."""

    project: Project


class Projects(TypedDict):
    """A page of projects, by name."""

    projects: list[Project]
    nextCursor: NextCursor


class Gone(TypedDict):
    """How much is deleted."""

    observations: Annotated[int, Field(ge=0)]
    agentEvents: Annotated[int, Field(ge=0)]
    sessions: Annotated[int, Field(ge=0)]
    jobs: Annotated[int, Field(ge=0)]


class ProjectEmptied(TypedDict):
    """A project that remembers nothing any more."""

    purged: Literal[True]
    projectId: str
    counts: Gone
