"""Why a server cannot be used, as an error that says what to do and whether waiting helps."""

import ssl

from redis import exceptions as said
from redis.sentinel import MasterNotFoundError

from queueing import addresses
from queueing.addresses import Address
from queueing.errors import QueueingError, QueueStoreAway
from queueing.reasons import reason
from queueing.store import StoreFailed

# Refusals that end without anybody changing a URL, a user or a setting: replies, and errors.
_PASSING_REPLIES = ("MISCONF", "NOREPLICAS", "BUSY ")
_PASSING = (said.ClusterDownError, said.TryAgainError)


class StoreUnfit(StoreFailed):
    """The store must not be used as it is; the message says why and what to do."""


def explain(error: Exception, url: str, timeout: float) -> QueueingError:
    """The error that tells what `error` means, which the server at `url` caused.

    QueueStoreAway for what may pass, StoreUnfit for what somebody must change.
    `timeout` is how many seconds each answer was waited for.
    """
    address = addresses.parse(url)
    _tidy(error, address)
    place = f"the queue store at {address.shown}"
    if unfit := _unfit(error, address):
        return StoreUnfit(f"{place} {unfit}")
    return QueueStoreAway(f"{place} {_away(error, address, timeout)}")


def _unfit(error: Exception, address: Address) -> str:
    """What somebody must change, or "" if it may pass."""
    match error, error.__cause__ or error.__context__:
        case said.AuthenticationError(), _:
            return _password(str(error), address)
        case said.NoPermissionError(), _:
            return (
                f"does not let its user do what queues need ({error}): give it the rights that "
                "docs/how-to/use-your-own-store.md names"
            )
        case said.MovedError(), _:
            return "is part of a cluster: name a single server"
        case said.InvalidResponse(), _:
            return "does not answer as a Redis or Valkey does: correct its host or port"
        case _, ssl.SSLCertVerificationError():
            return reason(error)
        case _, ssl.SSLError() as broken if not isinstance(broken, ssl.SSLEOFError):
            return f"does not speak TLS ({broken.reason}): write redis:// if it should not"
        case said.ReadOnlyError(), _:
            return reason(error)
        case said.ResponseError(), _ if not _passes(error):
            return f"refuses us: {error}"
    return ""


def _away(error: Exception, address: Address, timeout: float) -> str:
    cause = error.__cause__ or error.__context__
    match error:
        case said.BusyLoadingError():
            return f"does not answer yet: it {reason(error)}"
        case said.ResponseError() | MasterNotFoundError():
            return reason(error)
        case said.TimeoutError():
            why = f"within {timeout:g} s"
        case _ if isinstance(cause, OSError) and cause.strerror:
            why = f"({cause.strerror}): see that it runs, and that its URL is right"
        case _:
            why = f"({str(error).rstrip('.')})"
    return f"does not answer {why}{_hint(error, address)}"


def _passes(error: Exception) -> bool:
    return isinstance(error, _PASSING) or str(error).startswith(_PASSING_REPLIES)


def _password(reply: str, address: Address) -> str:
    if "without any password configured" in reply or "no password is set" in reply:
        return "asks for no password, and its URL has one: take it out"
    if not address.password:
        return "asks for a password, and its URL has none: add it, as in redis://:password@host"
    return "refuses the password of its URL (CLAUDE_MEM_REDIS_URL): correct it there"


def _hint(error: Exception, address: Address) -> str:
    """Silence is also what one hears who speaks TLS where it is not spoken, or the reverse."""
    if address.tls is not None:
        return "; write redis:// in its URL if it does not speak TLS"
    closed = "closed by server" in str(error)
    return "; write rediss:// in its URL if it speaks TLS" if closed else ""


def _tidy(error: Exception, address: Address) -> None:
    """Leave of its text what the server said, without what was said to it.

    It repeats what it did not understand, and that may have been the password.
    """
    text = str(error).rpartition("caused error: ")[2]
    if address.password:
        text = text.replace(address.password, "…")
    error.args = (text, *error.args[1:])
