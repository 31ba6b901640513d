"""A failed completion says whether there is a point in asking again."""

import pytest

from observations.providers import ProviderError
from observations.providers.errors import Classification

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("classification", "again"),
    [
        ("transient", True),
        ("rate_limit", True),
        ("quota_exhausted", False),
        ("auth_invalid", False),
        ("unrecoverable", False),
        ("parse_error", False),
        ("unknown", False),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(
    classification: Classification, again: bool
) -> None:
    assert ProviderError("It failed.", classification).retryable is again


def test_an_error_carries_its_reason_and_the_moment_to_wait_for() -> None:
    error = ProviderError("Asked too often.", "rate_limit", 5.0)
    assert (str(error), error.reason, error.retry_after) == (
        "Asked too often.",
        "Asked too often.",
        5.0,
    )
    assert ProviderError("It failed.").classification == "unknown"
