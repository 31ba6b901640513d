"""Who is told what is done to jobs, and what is paused, in the transaction in which it is done.

A witness may write rows of its own, which are kept or lost together with the deed. It decides
nothing: without one all goes the same way. What it raises undoes the deed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from queueing.leases import Job
    from queueing.models import GenerationJob
    from queueing.pauses import Subject

# What was done (a word of `states`), to which jobs, what else is known of it, and, where it was
# not a worker, who did it.
Witness = Callable[
    [str, "Sequence[Job | GenerationJob]", Mapping[str, Any], Mapping[str, Any] | None], None
]

# Which of these was done, to what, by whom.
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
PauseWitness = Callable[[str, "Subject", Mapping[str, Any]], None]

_witnesses: list[Witness] = []
_of_pauses: list[PauseWitness] = []


def call(witness: Witness, of_pauses: PauseWitness | None = None) -> None:
    """Have `witness` told of jobs from now on, and `of_pauses` of what operators pause and resume.

    A second call changes nothing.
    """
    if witness not in _witnesses:
        _witnesses.append(witness)
    if of_pauses and of_pauses not in _of_pauses:
        _of_pauses.append(of_pauses)


def tell(
    deed: str,
    jobs: "Sequence[Job | GenerationJob]",
    details: Mapping[str, Any],
    *,
    by: Mapping[str, Any] | None = None,
) -> None:
    """Tell all witnesses. Must be called inside the transaction of the deed."""
    for witness in _witnesses:
        witness(deed, jobs, details, by)


def tell_of_pause(deed: str, subject: "Subject", by: Mapping[str, Any]) -> None:
    """Tell all witnesses of pauses. Must be called inside the transaction of the deed."""
    for witness in _of_pauses:
        witness(deed, subject, by)
