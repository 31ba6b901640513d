"""After a test with real transactions nothing of it is left: what the tests themselves rely on."""

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import DEFAULT_DB_ALIAS, connection
from django.utils import timezone

from observations.models import Observation, Project, Team
from tests import emptying


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_whatever_a_test_left_is_gone_and_permissions_stay(
    large: bool, counted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    permissions, kinds = Permission.objects.count(), ContentType.objects.count()
    monkeypatch.setattr(emptying, "LARGE", 0 if large else emptying.LARGE)
    team = Team.objects.create(name="team")
    project = Project.objects.create(team=team, name="project")
    User.objects.create(username="mia").user_permissions.add(Permission.objects.all()[0])
    if counted:
        moments = dict.fromkeys(("occurred_at", "created_at", "updated_at"), timezone.now())
        Observation.objects.create(team=team, project=project, content="words", **moments)
    emptying.empty_database()
    with connection.cursor() as cursor:
        for table in emptying.tables_of(DEFAULT_DB_ALIAS):
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchall() == [(0,)], table
    assert (Permission.objects.count(), ContentType.objects.count()) == (permissions, kinds)
    assert permissions > kinds > 0
