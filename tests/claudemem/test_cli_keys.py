import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from claudemem.cli import cli
from observations import keys
from observations.models import ApiKey, AuditEntry, Project, Team

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def told(*arguments: str) -> dict[str, Any]:
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_a_created_key_is_printed_once_and_works() -> None:
    made = told("api-key", "create", "--name", "ci", "--scope", "memories:read,memories:write")
    assert list(made)[:6] == ["id", "key", "name", "teamId", "projectId", "scopes"]
    assert made["name"] == "ci"
    assert made["scopes"] == ["memories:read", "memories:write"]
    principal = keys.authenticate(made["key"])
    assert principal is not None
    assert (principal.team_id, principal.project_id) == (made["teamId"], made["projectId"])


def test_runs_without_team_and_project_share_the_default_ones() -> None:
    first, second = told("api-key", "create"), told("api-key", "create")
    assert first["projectId"] == second["projectId"] is not None
    assert first["key"] != second["key"]
    assert first["scopes"] == ["memories:read"]


def test_a_team_alone_gives_a_key_for_all_its_projects() -> None:
    made = told("api-key", "create", "--team", "acme")
    assert made["projectId"] is None
    assert Team.objects.get(pk=made["teamId"]).name == "acme"


def test_team_and_project_are_given_by_name_or_id() -> None:
    made = told("api-key", "create", "--team", "acme", "--project", "web")
    again = told("api-key", "create", "--team", made["teamId"], "--project", made["projectId"])
    assert again["projectId"] == made["projectId"]
    assert Project.objects.count() == 1


def test_a_key_can_expire() -> None:
    made = told("api-key", "create", "--expires-in-days", "2")
    (listed,) = told("api-key", "list")["keys"]
    assert listed["expiresAt"] == made["expiresAt"] is not None


def test_the_list_never_shows_a_key_or_its_hash() -> None:
    made = told("api-key", "create", "--name", "ci")
    told("api-key", "revoke", told("api-key", "create", "--name", "old")["id"])
    result = run("api-key", "list", "--limit", "10")
    page = json.loads(result.stdout)
    assert (page["limit"], page["offset"], page["count"]) == (10, 0, 2)
    assert [(key["name"], key["status"]) for key in page["keys"]] == [
        ("old", "revoked"),
        ("ci", "active"),
    ]
    assert made["key"] not in result.stdout
    for key in ApiKey.objects.all():
        assert key.key_hash not in result.stdout
    assert told("api-key", "list", "--active")["count"] == 1
    assert told("api-key", "list", "--team", "nobody")["count"] == 0
    assert told("api-key", "list", "--offset", "1")["keys"][0]["name"] == "ci"


def test_revoking_says_so_and_revoking_again_fails() -> None:
    made = told("api-key", "create")
    assert told("api-key", "revoke", made["id"]) == {"id": made["id"], "status": "revoked"}
    assert keys.authenticate(made["key"]) is None
    again = run("api-key", "revoke", made["id"])
    assert again.exit_code == 1
    assert f"API key not found or already revoked: {made['id']}" in again.stderr
    assert again.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--scope", "root"], 1),
        (["--project", "0198c8a2-0000-7000-8000-000000000000"], 1),
        (["--expires-in-days", "0"], 2),
        (["--expires-in-days", "soon"], 2),
    ],
)
def test_a_wrong_call_makes_no_key_and_says_why(arguments: list[str], code: int) -> None:
    result = run("api-key", "create", *arguments)
    assert result.exit_code == code
    assert result.stderr
    assert not ApiKey.objects.exists()


def test_keys_that_the_command_line_makes_and_revokes_are_entered_in_the_audit() -> None:
    made = told("api-key", "create")
    told("api-key", "revoke", made["id"])
    rows = AuditEntry.objects.order_by("id")
    assert [row.action for row in rows] == ["api_key.create", "api_key.revoke"]
    for row in rows:
        assert (row.resource_id, row.actor_id) == (made["id"], "system:server-cli")
        assert row.details["source"] == "cli_operator"
        assert made["key"] not in str(row.details)
