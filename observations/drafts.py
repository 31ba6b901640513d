"""Events as a provider gets them, and drafts as it gives them back: frozen values, no behaviour."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """One event that a provider is to make something of; its payload is already scrubbed."""

    id: str
    number: int | None
    event_type: str
    occurred_at: datetime
    payload: JSON


@dataclass(frozen=True, slots=True)
class Source:
    """All that a provider is told for one completion.

    `events` are in session order: for "observe" those of the batch, for "summarise" the session's
    events since its last summary. `known` holds the titles of the observations already made of
    them ("summarise" only). `request_id` is the idempotency key for providers that take one.
    """

    task: Literal["observe", "summarise"]
    request_id: str
    project: str
    session_id: str | None
    events: tuple[SourceEvent, ...]
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ObservationDraft:
    """A validated but unstored observation; the first of its `event_ids` owns it."""

    type: str
    title: str
    subtitle: str = ""
    narrative: str = ""
    facts: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    files_read: tuple[str, ...] = ()
    files_modified: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SummaryDraft:
    """A validated but unstored summary of a session, or of the part of it since the last one."""

    request: str
    investigated: str = ""
    learned: str = ""
    completed: str = ""
    next_steps: str = ""
    notes: str = ""
    event_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """What calls of a provider cost."""

    input: int = 0
    output: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.input + self.output


NOTHING = Tokens()


@dataclass(frozen=True, slots=True)
class Completion:
    """A provider's answer: drafts, who made them, and what they cost in tokens."""

    drafts: tuple[ObservationDraft | SummaryDraft, ...]
    provider: str
    model: str
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> Tokens:
        """What it cost."""
        return Tokens(self.input_tokens, self.output_tokens)
