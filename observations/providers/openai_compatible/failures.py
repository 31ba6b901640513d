"""What an API's refusal means: pure, and never a word of its body in a message."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from observations.providers.errors import Classification, ProviderError

_QUOTA = ("quota exceeded", "insufficient credits", "insufficient_quota", "resource_exhausted",
          "key limit exceeded", "negative credit", "insufficient balance")  # fmt: skip
# A gateway refuses this one text, not the key: it must not stop everything else.
_CENSORED = ("moderation", "flagged", "content_filter", "content policy")
_LONGEST_WAIT = 86_400.0
_MEANING: dict[Classification, str] = {
    "quota_exhausted": "its quota or credit is used up",
    "rate_limit": "it asks us to slow down",
    "auth_invalid": "it does not accept the key",
    "unrecoverable": "it refuses the request",
    "transient": "it has trouble of its own",
}


def refused(
    who: str, status: int, body: str, *, retry_after: str | None, now: datetime
) -> ProviderError:
    """The error for an answer with that status. `body` is looked at, never told."""
    classification = classify(status, body)
    wait = seconds_of(retry_after, now) if classification in ("rate_limit", "transient") else None
    reason = f"{who} answered {status}{_phrase(status)}: {_MEANING[classification]}"
    return ProviderError(reason, classification, wait)


def classify(status: int, body: str) -> Classification:
    """What a status and body mean for the job that met them."""
    low = body.lower()
    spent = any(word in low for word in _QUOTA) or ("limit exceeded" in low and status != 429)
    if status == HTTPStatus.PAYMENT_REQUIRED or (spent and status < 500):
        return "quota_exhausted"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit"
    if status == HTTPStatus.FORBIDDEN and any(word in low for word in _CENSORED):
        return "unrecoverable"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "auth_invalid"
    if status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT:
        return "transient"
    return "unrecoverable"


def seconds_of(retry_after: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After asks for, a day at most; None if it cannot be read."""
    if not retry_after:
        return None
    try:
        wait = float(retry_after)
    except ValueError:
        wait = _until(retry_after, now)
    # Not a number fails both comparisons.
    return min(wait, _LONGEST_WAIT) if wait >= 0 else None


def moment_of(date: str | None) -> datetime | None:
    """The moment that a header names; None if it cannot be read."""
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _until(date: str, now: datetime) -> float:
    moment = moment_of(date)
    return max(0.0, (moment - now).total_seconds()) if moment else -1.0


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""
