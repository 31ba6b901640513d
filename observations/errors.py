"""What callers can do wrong, and what can be missing. Doors turn these into answers."""


class DomainError(Exception):
    """The root of this package's errors. The message is shown to the caller."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(DomainError):
    """A value that cannot be accepted; `path` leads to it from the top of the body."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


class NotFound(DomainError):
    """Nothing of that name in the caller's scope."""


class Forbidden(DomainError):
    """It exists, or might, but is not the caller's to touch."""


class Conflict(DomainError):
    """It is in a state that does not allow what was asked."""


class StorageAway(DomainError):
    """The database cannot be reached or is locked: nothing was stored, try again."""
