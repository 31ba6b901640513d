"""What an answer means for a payload. Pure."""

from __future__ import annotations

TAKEN = "taken"
# It will never be taken: kept, it would stand before all that follow.
REFUSED = "refused"
# Somebody has to do something first: another key, a larger quota, the right address.
BARRED = "barred"
LATER = "later"

_REFUSALS = frozenset({400, 413, 415, 422})
_LATER = frozenset({408, 425, 429})
# What may be the payload's own fault is given up after a day.
_DOUBTFUL = frozenset({404, 409, 500})
_PATIENCE = 86400.0


def of(status: int, is_object: bool, age: float = 0.0) -> str:
    """The verdict on a payload that has waited for `age` seconds and was answered `status`.

    `is_object`: the answer is a JSON object. Who answers otherwise is not the server, but stands
    before or in place of it, and what that says of a payload does not count; but for its size.
    """
    if 200 <= status < 300:
        return TAKEN if is_object else BARRED
    if status in _REFUSALS:
        return REFUSED if is_object or status == 413 else BARRED
    if status in _DOUBTFUL and is_object and age > _PATIENCE:
        return REFUSED
    return LATER if status in _LATER or status >= 500 else BARRED
