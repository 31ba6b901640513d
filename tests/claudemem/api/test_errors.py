"""What callers are told of what went wrong inside."""

import pytest
from django.db import InternalError, OperationalError, connection, transaction

from claudemem.api import errors
from observations import projects
from observations.models import Team
from observations.projects import NewProject

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_database_that_takes_no_writes_is_away_and_not_at_fault(team: Team) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite says the same of this as of a locked file")
    with transaction.atomic():
        connection.cursor().execute("SET TRANSACTION READ ONLY")
        with pytest.raises(OperationalError) as raised:
            projects.create(team.id, NewProject("shop"))

    answer = errors.told(raised.value)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert b"takes no writes" in answer.content


def test_another_fault_inside_the_database_is_a_fault() -> None:
    assert errors.told(InternalError("current transaction is aborted")).status_code == 500
