"""Fields that answers of many nouns have."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from queueing import kinds, states


def one_of(*words: str, **said: Any) -> Any:
    """A field that holds one of these words; `said` is told of it besides."""
    return Field(json_schema_extra={"enum": list(words)}, **said)


# What examples name: there is no such thing.
AN_ID: Final = "0192f0c1-2345-7890-abcd-ef0123456789"
Epoch = Annotated[int, Field(description="Milliseconds since 1970", examples=[1_700_000_000_123])]
Id = Annotated[str, Field(description="A UUIDv7", examples=[AN_ID])]
RequestId = Annotated[str, Field(description="The same as `X-Request-Id`")]
Metadata = Annotated[dict[str, Any], Field(description="Whatever its client said besides")]
State = Annotated[str, one_of(*states.ALL, description="The state of a job")]
KindName = Annotated[str, one_of(*kinds.BY_NAME, description="A kind of job")]
Transport = Annotated[
    str,
    one_of(
        *("enqueued", "queued_only", "skipped"),
        description="What became of the job: the queue store has it; the database alone has it, "
        "and it is worked when the queue store is back; there is none",
    ),
]
QueueJobId = Annotated[
    str, Field(description="What the job is about, as a key", examples=["evt_6c1a0f52"])
]
JobPayload = Annotated[
    dict[str, Any],
    Field(
        description="What it works on and who asked for it; for administrators who ask for it "
        "with `include=payload`"
    ),
]
TimedOut = Annotated[
    Literal[True], Field(description="What was waited for was not settled in time")
]
NextCursor = Annotated[
    str | None, Field(description="The `cursor` of the next page; null where this is the last")
]
Total = Annotated[int, Field(description="How many there are on all pages", ge=0)]
Limit = Annotated[int, Field(description="How many there are on a page", ge=1)]
Offset = Annotated[int, Field(description="How many come before this page", ge=0)]
Moment = Annotated[
    str, Field(description="A time in UTC, as ISO 8601", examples=["2026-11-22T15:04:05.678Z"])
]
