"""What every test can ask for."""

import pytest

from observations import lastused
from observations.models import Project, Team

# A busy machine may need longer than whoever stops a server would wait.
lastused.LAST_PATIENCE = 60.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Have nothing written any more once a test has left the database."""
    lastused.shared.finish()
    lastused.shared._used.clear()


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="team")


@pytest.fixture
def project(team: Team) -> Project:
    return Project.objects.create(team=team, name="procrastinate")
