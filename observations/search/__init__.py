"""Search: one interface, a backend for each database. This is the public face."""

from django.db import NotSupportedError, connection

from observations.search.index import Filters, Held, Hit, KeywordIndex
from observations.search.postgresql import PostgresqlIndex
from observations.search.sqlite import SqliteIndex

__all__ = ["Filters", "Held", "Hit", "KeywordIndex", "keyword_index"]

_INDEXES: dict[str, KeywordIndex] = {
    "postgresql": PostgresqlIndex(),
    "sqlite": SqliteIndex(),
}


def keyword_index() -> KeywordIndex:
    """The keyword index of the database in use. NotSupportedError if that has none."""
    try:
        return _INDEXES[connection.vendor]
    except KeyError:
        raise NotSupportedError(f"There is no search on {connection.vendor} yet.") from None
