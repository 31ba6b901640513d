"""Why a server cannot be talked to, as a sentence that says what to do about it."""

import ssl
from urllib.parse import SplitResult, unquote, urlsplit

import redis
from redis import exceptions as said

from queueing.errors import QueueingError, QueueStoreAway
from queueing.store import StoreFailed

# What ends without anybody changing an address, a user or a setting: as replies, and as errors.
_PASSING_REPLIES = ("MISCONF", "NOREPLICAS", "BUSY ")
_PASSING = (said.ClusterDownError, said.TryAgainError)


class StoreUnfit(StoreFailed):
    """The store must not be used as it is; the message says why and what to do."""


def address(url: str) -> str:
    """The host and port of a URL, without user and password."""
    where = urlsplit(url)
    host = where.hostname or "127.0.0.1"
    return f"{f'[{host}]' if ':' in host else host}:{where.port or 6379}"


def explain(error: Exception, url: str, prefix: str, timeout: float) -> QueueingError:
    """The error that tells what `error` means, which the server at `url` caused.

    QueueStoreAway for what may pass, StoreUnfit for what somebody must change. `prefix` is that of
    our keys; `timeout` is how many seconds each answer was waited for.
    """
    where, place = urlsplit(url), f"the queue store at {address(url)}"
    reply = _reply(error, where)
    if unfit := _unfit(error, reply, where, prefix):
        return StoreUnfit(f"{place} {unfit}")
    return QueueStoreAway(f"{place} {_away(error, reply, where, timeout)}")


def _unfit(error: Exception, reply: str, where: SplitResult, prefix: str) -> str:
    """What somebody must change, or "" if it may pass."""
    cause = error.__cause__ or error.__context__
    match error, cause:
        case said.AuthenticationError(), _:
            return _password(reply, where)
        case said.NoPermissionError(), _:
            return (
                f"does not let its user do what queues need ({reply}): allow it keys and channels "
                f"that begin with {prefix}: and all commands but dangerous ones, as by "
                f"ACL SETUSER ... ~{prefix}:* &{prefix}:* +@all -@dangerous"
            )
        case said.ReadOnlyError(), _:
            return "is a replica, which takes no messages: name the primary"
        case said.MovedError(), _:
            return "is part of a cluster: name a single server"
        case said.InvalidResponse(), _:
            return "does not answer as a Redis or Valkey does: correct its host or port"
        case _, ssl.SSLCertVerificationError():
            return (
                f"has a certificate that is not trusted ({cause.verify_message}): name it as its "
                "certificate does, or let this machine trust whoever signed that"
            )
        case _, ssl.SSLError() if not isinstance(cause, ssl.SSLEOFError):
            return f"does not speak TLS: write redis:// in its URL if it should not ({cause.reason})"
        case said.ResponseError(), _ if not _passes(error, reply):
            return f"refuses us: {reply}"
    return ""


def _away(error: Exception, reply: str, where: SplitResult, timeout: float) -> str:
    cause = error.__cause__ or error.__context__
    hint = _hint(reply, where)
    match error:
        case said.BusyLoadingError():
            return "does not answer yet: it is reading its data"
        case said.ResponseError():
            return f"takes no messages now: {reply}"
        case said.TimeoutError():
            return f"does not answer within {timeout:g} s{hint}"
        case _ if isinstance(cause, OSError) and cause.strerror:
            return f"does not answer ({cause.strerror}){hint}"
    return f"does not answer ({reply.rstrip('.')}){hint}"


def _passes(error: Exception, reply: str) -> bool:
    return isinstance(error, _PASSING) or reply.startswith(_PASSING_REPLIES)


def _password(reply: str, where: SplitResult) -> str:
    if "without any password configured" in reply or "no password is set" in reply:
        return "asks for no password, and its URL has one: take it out"
    if not where.password:
        return "asks for a password, and its URL has none: add it, as in redis://:password@host"
    return "refuses the password of its URL (CLAUDE_MEM_REDIS_URL): correct it there"


def _hint(reply: str, where: SplitResult) -> str:
    """Silence is also what one hears who speaks TLS where it is not spoken, or the reverse."""
    if where.scheme in {"rediss", "valkeys"}:
        return "; write redis:// in its URL if it does not speak TLS"
    return "; write rediss:// in its URL if it speaks TLS" if "closed by server" in reply else ""


def _reply(error: Exception, where: SplitResult) -> str:
    """What the server said, without what was said to it.

    It repeats what it did not understand, and that may have been the password.
    """
    text = str(error).rpartition("caused error: ")[2]
    for secret in {where.password or "", unquote(where.password or "")} - {""}:
        text = text.replace(secret, "…")
    return text
