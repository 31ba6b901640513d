"""What every test can ask for."""

import pytest

from observations.models import Project, Team


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="team")


@pytest.fixture
def project(team: Team) -> Project:
    return Project.objects.create(team=team, name="procrastinate")
