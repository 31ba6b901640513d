"""Why a drill could not be held."""


class CannotRun(Exception):
    """The drill could not be held; the message is a sentence that says what to do."""


class NotHere(Exception):
    """A step cannot be taken in this installation; the message says why."""
