"""BM25 in PostgreSQL keeps the promise of search."""

import pytest
from django.db import connection

from observations.search.postgresql import PostgresqlIndex
from tests.contracts.search_suite import SearchContract


@pytest.mark.skipif(connection.vendor != "postgresql", reason="the database in use is another")
class TestPostgresqlIndex(SearchContract):
    index = PostgresqlIndex()
