"""Projects."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from claudemem.api.wire.fields import Epoch, Id, Metadata, NextCursor


class Alias(TypedDict):
    """Something that a project is known by."""

    sort: Annotated[
        str,
        Field(
            description="`explicit`, a name in `.claude-mem.toml`; `remote`, an address; `clone`; "
            "`disk`, a directory; `says`, a place that may name it in such a file"
        ),
    ]
    key: str


class Project(TypedDict):
    """What a team works on: usually a repository."""

    id: Id
    teamId: str
    name: str
    slug: Annotated[str, Field(description="The name in letters, digits and dashes")]
    rootPath: Annotated[str | None, Field(description="Where its client said that it lies")]
    metadata: Metadata
    aliases: Annotated[list[Alias], Field(description="By what its sessions are known to be its")]
    mergedInto: Annotated[str | None, Field(description="The project that it was merged into")]
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


AskedAt = Annotated[
    Epoch, Field(description="When it was asked for: what came later than that stays")
]


class ProjectEmptied(TypedDict):
    """A project that remembers nothing any more of what it did."""

    purged: Literal[True]
    projectId: str
    counts: Gone
    askedAtEpoch: AskedAt


class ProjectBeingEmptied(TypedDict):
    """A project that remembers less and less: what is left of what was asked for goes soon."""

    purged: Literal[False]
    projectId: str
    counts: Gone
    askedAtEpoch: AskedAt
    message: str


class UnderWay(TypedDict):
    """How far an emptying is."""

    state: Annotated[Literal["under_way"], Field(description="It goes on by itself")]
    askedAtEpoch: AskedAt
    counts: Gone


class GivenUp(TypedDict):
    """How far an emptying came that was stopped: what was not deleted by then is there still."""

    state: Annotated[Literal["given_up"], Field(description="It was stopped, and nobody goes on")]
    askedAtEpoch: AskedAt
    givenUpAtEpoch: Annotated[Epoch, Field(description="When it was stopped")]
    counts: Gone
    reason: Annotated[str, Field(description="Who stopped it, and how")]
    message: Annotated[str, Field(description="What became of the rest, and what to do")]


class Emptying(TypedDict):
    """Whether a project is just being emptied."""

    projectId: str
    emptying: Annotated[
        UnderWay | GivenUp | None,
        Field(description="null where none is under way: all is gone, or none was asked for"),
    ]
