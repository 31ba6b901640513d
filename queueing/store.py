"""The queue store manager: a private Valkey of this installation (stub to be replaced)."""

from pathlib import Path


def managed_url(directory: Path) -> str:
    """The URL of the store kept in `directory`, or "" if none was ever started there."""
    return ""
