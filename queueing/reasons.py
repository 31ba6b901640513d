"""Why a queue store took no message, in words that say what to do. Pure."""

import ssl

import redis
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError
from redis.sentinel import MasterNotFoundError

_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (redis.BusyLoadingError, "is loading its data: it takes messages when it is done"),
    (
        redis.AuthenticationError,
        "refuses our user or password: put the right ones into CLAUDE_MEM_REDIS_URL",
    ),
    (
        NoPermissionError,
        "does not let our user do what we need: give it the rights that "
        "docs/how-to/use-your-own-store.md names",
    ),
    (
        ReadOnlyError,
        "is a replica and takes no messages: name the primary in CLAUDE_MEM_REDIS_URL, or its "
        "Sentinels, which know where it is",
    ),
    (
        OutOfMemoryError,
        "has reached its memory limit: raise its maxmemory, or remove what others keep there",
    ),
    (
        MasterNotFoundError,
        "cannot be found: no Sentinel answers that knows the primary which CLAUDE_MEM_REDIS_URL "
        "names",
    ),
    (redis.TimeoutError, "did not answer in time"),
)
_BY_WORD = {
    "MISCONF": "cannot save its data and refuses to take more: free its disk or mend its "
    "permissions; its log says what is wrong",
    "NOREPLICAS": "has too few replicas to take messages: bring them back, or lower its "
    "min-replicas-to-write",
    "UNBLOCKED": "is no longer the primary",
    "WRONGTYPE": "holds something else under a key of ours: remove it, or choose another "
    "CLAUDE_MEM_QUEUE_REDIS_PREFIX",
}


def reason(error: BaseException, *, plainly: bool = False) -> str:
    """What `error` says about the queue store, to go on after its name.

    `plainly` leaves out what the system said, which may name hosts and paths.
    """
    if isinstance(_root(error), ssl.SSLCertVerificationError):
        return (
            "has a certificate that is not trusted here: name the file of its authority in "
            "ssl_ca_certs at the end of CLAUDE_MEM_REDIS_URL, and its host as the certificate does"
        )
    for kind, said in _BY_KIND:
        if isinstance(error, kind):
            return said
    word = str(error).partition(" ")[0]
    far = isinstance(error, (redis.ConnectionError, OSError))
    vaguely = f"cannot be {'reached' if far else 'used'}"
    return _BY_WORD.get(word, vaguely if plainly else f"{vaguely} ({error})")


def _root(error: BaseException) -> BaseException:
    while under := error.__cause__ or error.__context__:
        error = under
    return error
