"""FTS5 keeps the promise of search."""

import pytest
from django.db import connection

from observations.search.sqlite import SqliteIndex
from tests.contracts.search_suite import SearchContract


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the database in use is another")
class TestSqliteIndex(SearchContract):
    index = SqliteIndex()
