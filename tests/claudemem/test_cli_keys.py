import json
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from django.utils import timezone

from claudemem import settingsfile
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


# --- rotated, given other scopes, called as claude-mem's -----------------------------------------

HELD = "CLAUDE_MEM_SERVER_API_KEY"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file of a data directory that commands use."""
    monkeypatch.setenv("CLAUDE_MEM_DATA_DIR", str(tmp_path))
    return tmp_path / "settings.json"


def test_a_key_that_is_rotated_goes_on_for_the_grace(file: Path) -> None:
    made = told("api-key", "create", "--name", "ci", "--team", "acme", "--scope", "events:write")
    new = told("api-key", "rotate", made["id"], "--grace", "2h")
    assert new["rotated"] is True
    assert (new["name"], new["teamId"], new["projectId"], new["scopes"]) == (
        "ci", made["teamId"], None, ["events:write"],
    )  # fmt: skip
    assert new["replaces"]["id"] == made["id"]
    for raw in (made["key"], new["key"]):
        assert keys.authenticate(raw)
    assert new["settingsPath"] is None
    assert not file.exists()


def test_the_key_of_the_settings_file_is_replaced_where_it_is_kept(file: Path) -> None:
    made = told("api-key", "create")
    file.write_text(json.dumps({"env": {HELD: made["key"], "OTHER": 1}}))
    file.chmod(0o644)
    new = told("keys", "rotate", "--grace", "0")
    held = json.loads(file.read_text())["env"]
    assert held == {
        HELD: new["key"], "OTHER": 1, "CLAUDE_MEM_SERVER_PROJECT_ID": made["projectId"],
    }  # fmt: skip
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert new["settingsPath"] == str(file)
    assert keys.authenticate(made["key"]) is None
    assert told("server", "keys", "rotate")["replaces"]["id"] == new["apiKeyId"]


def test_another_key_leaves_the_settings_file_alone(file: Path) -> None:
    kept, other = told("api-key", "create"), told("api-key", "create")
    file.write_text(json.dumps({HELD: kept["key"]}))
    assert told("api-key", "rotate", other["id"])["settingsPath"] is None
    assert json.loads(file.read_text()) == {HELD: kept["key"]}


@pytest.mark.parametrize("content", [None, "{}", f'{{"{HELD}": "another server\'s"}}'])
def test_without_a_key_of_ours_in_the_file_one_must_be_named(
    file: Path, content: str | None
) -> None:
    if content:
        file.write_text(content)
    result = run("keys", "rotate")
    assert result.exit_code == 1
    assert "name the id of one" in result.stderr
    assert not ApiKey.objects.exists()


def test_a_file_that_cannot_be_read_stops_it_before_anything_is_made(file: Path) -> None:
    made = told("api-key", "create")
    file.write_text("{")
    assert run("api-key", "rotate", made["id"]).exit_code == 1
    assert ApiKey.objects.count() == 1


def test_a_key_that_cannot_be_kept_is_shown_all_the_same(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = told("api-key", "create")
    file.write_text(json.dumps({HELD: made["key"]}))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(settingsfile, "write", full)
    result = run("keys", "rotate")
    assert result.exit_code == 1
    assert "could not be kept" in result.stderr
    new = json.loads(result.stdout)
    assert keys.authenticate(new["key"])
    assert new["settingsPath"] is None


def test_who_has_the_key_in_the_environment_is_warned(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = told("api-key", "create")
    file.write_text(json.dumps({HELD: made["key"]}))
    monkeypatch.setenv(HELD, made["key"])
    assert "set in the environment" in run("keys", "rotate").stderr


@pytest.mark.parametrize("grace", ["soon", "1", "-1h", "1h30m", "366d", "", "9999999999s"])
def test_a_grace_that_is_no_time_is_refused(file: Path, grace: str) -> None:
    made = told("api-key", "create")
    assert run("api-key", "rotate", made["id"], "--grace", grace).exit_code == 2
    assert ApiKey.objects.count() == 1


def test_a_key_is_given_other_scopes() -> None:
    made = told("api-key", "create", "--scope", "events:write,sessions:write")
    assert told("server", "api-key", "migrate-scopes", made["id"]) == {
        "id": made["id"],
        "scopes": ["memories:read", "memories:write"],
        "status": "scopes-migrated",
    }
    assert told("keys", "migrate-scopes", made["id"], "--scope", "*")["scopes"] == ["*"]
    for wrong in (["nonsense"], [made["id"], "--scope", "root"]):
        assert run("api-key", "migrate-scopes", *wrong).exit_code == 1


def test_keys_alone_lists_those_that_work_with_their_last_use() -> None:
    made = told("api-key", "create")
    told("api-key", "revoke", told("api-key", "create")["id"])
    ApiKey.objects.update(last_used_at=timezone.now())
    for alone in (["keys"], ["server", "keys"]):
        (listed,) = told(*alone)["keys"]
        assert listed["id"] == made["id"]
        assert listed["lastUsedAt"]


def test_a_command_of_the_server_that_is_unknown_fails() -> None:
    assert run("server", "fly").exit_code == 2
    assert told("server", "api-key", "create")["key"]
