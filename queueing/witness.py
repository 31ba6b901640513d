"""Who is told what is done to jobs, in the transaction in which it is done.

A witness may write rows of its own, which are kept or lost together with the deed. It decides
nothing: without one all goes the same way. What it raises undoes the deed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from queueing.leases import Job
    from queueing.models import GenerationJob

# What was done (a word of `states`), to which jobs, what else is known of it, and, where it was
# not a worker, who did it.
Witness = Callable[
    [str, "Sequence[Job | GenerationJob]", Mapping[str, Any], Mapping[str, Any] | None], None
]

_witnesses: list[Witness] = []


def call(witness: Witness) -> None:
    """Have `witness` told from now on; a second call changes nothing."""
    if witness not in _witnesses:
        _witnesses.append(witness)


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
