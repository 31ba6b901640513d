"""`claudemem prune`: at once, or only told."""

import json
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.conf import settings
from django.db import connection
from django.utils import timezone

from claudemem.cli import cli
from observations import entries, retention
from observations.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "web-2001-02-03.log"


@pytest.fixture
def old() -> None:
    """An audit entry and a log that are kept no longer."""
    settings.DATA_DIR.create()
    (settings.DATA_DIR.logs / OLD).write_text("x")
    AuditEntry.objects.create(
        created_at=timezone.now() - timedelta(days=400), action=entries.MEMORY_WRITE,
        resource_type=entries.OBSERVATION,
    )  # fmt: skip


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["prune", *arguments])


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_what_would_go_is_told_and_stays(old: None) -> None:
    file = str(settings.DATA_DIR.logs / OLD)
    expected = {"dryRun": True, "jobs": 0, "auditEntries": 1, "usageRows": 0, "tellings": 0,
                "brokerKeys": [], "files": [file], "queueStore": None}  # fmt: skip
    assert told("--dry-run") == expected == told("--dry-run")
    assert told() == {**expected, "dryRun": False}
    assert told("--dry-run") == {**expected, "auditEntries": 0, "files": []}
    assert not (settings.DATA_DIR.logs / OLD).exists()


def test_people_are_told_on_lines_and_the_audit_knows_who_asked(old: None) -> None:
    assert "would delete:" in run("--dry-run").stdout
    said = run().stdout
    assert "deleted:" in said
    assert "audit entries 1" in said
    assert OLD in said
    assert AuditEntry.objects.get().actor_id == "system:server-cli"
    ago = retention.pruned_ago()
    assert ago is not None
    assert ago < 60


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite alone")
def test_the_room_in_sqlites_file_can_be_given_back() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE ballast AS SELECT zeroblob(3000000) AS bytes")
        cursor.execute("DROP TABLE ballast")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert run("--compact", "--dry-run").exit_code == 2
    assert told("--compact")["freedBytes"] > 2_900_000


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="about PostgreSQL alone")
def test_postgresql_needs_no_compaction() -> None:
    result = run("--compact")
    assert result.exit_code == 1
    assert "autovacuum" in result.output
