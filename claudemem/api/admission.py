"""Whether a call that its key allows may be made now: the limits that a team or a key has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from observations.keys import Principal


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that was let in, and the headers that its answer carries for it."""

    headers: Mapping[str, str] = field(default_factory=dict)


_UNLIMITED = Admitted()


def admit(principal: Principal, *, writes: bool) -> Admitted:  # noqa: ARG001
    """Let a call in; `writes` where its route stores something."""
    return _UNLIMITED
