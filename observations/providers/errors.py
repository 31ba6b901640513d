"""The only errors that a provider lets out."""

from typing import Literal

from observations.drafts import NOTHING, Tokens

Classification = Literal[
    "transient",
    "rate_limit",
    "quota_exhausted",
    "auth_invalid",
    "unrecoverable",
    "parse_error",
    "unknown",
]


class ProviderError(Exception):
    """A completion that failed.

    `reason` is one sentence that holds no credential and nothing of the source; `retry_after` is
    in seconds, where the provider named a moment before which there is no point in asking again.
    `spent` is what was paid all the same, for answers that were of no use.
    """

    def __init__(
        self,
        reason: str,
        classification: Classification = "unknown",
        retry_after: float | None = None,
        spent: Tokens = NOTHING,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.classification: Classification = classification
        self.retry_after = retry_after
        self.spent = spent

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without anyone doing anything."""
        return self.classification in ("transient", "rate_limit")

    @property
    def pauses(self) -> bool:
        """Whether every other call would fail alike, until someone does something."""
        return self.classification in ("auth_invalid", "quota_exhausted")


class UnknownProvider(ValueError):
    """A provider that was asked for and does not exist; says which ones do."""
