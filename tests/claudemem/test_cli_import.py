"""`claudemem import`: told before it is done, done once, told after."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from django.conf import settings

from claudemem.cli import cli
from observations import backfill
from observations.models import Event, Observation, Session
from queueing import broker
from tests.observations import claude_mem
from tests.observations.transcribed import keep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    keep(tmp_path)
    monkeypatch.setattr(settings, "TRANSCRIPTS", tmp_path)
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["import", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_transcripts_are_told_first_then_captured_once(home: Path) -> None:
    said = run("transcripts", "--dry-run").stdout
    assert "3 sessions with 44 events; not captured yet: 44 events of 3 sessions" in said
    assert "the provider is asked about 16 of these" in said
    assert "the provider is offline, so that costs nothing" in said
    assert not Event.objects.exists()
    assert "run it with --yes" in run("transcripts", code=1).stderr
    assert not Event.objects.exists()
    assert "44 events stored, 0 known already" in run("transcripts", "--yes").stdout
    assert Event.objects.count() == 44
    assert "not captured yet: 0 events of 0 sessions" in run("transcripts", str(home)).stdout


def test_only_the_sessions_that_are_asked_for_are_captured(home: Path) -> None:
    assert "0 sessions" in run("transcripts", "--project", "other").stdout
    assert "there are no transcripts" in run("transcripts", "--since", "2999-01-01", code=1).stderr
    assert "there is no directory" in run("transcripts", str(home / "none"), code=1).stderr
    assert "There is no team nobody" in run("transcripts", "--team", "nobody", code=1).stderr
    assert "3 sessions" in run("transcripts", "--project", "procrastinate", "--dry-run").stdout


def test_who_breaks_it_off_is_told_how_to_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = backfill.take

    def broken_off(*given: object, **more: object) -> object:
        yield from take(*given, **more)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(backfill, "take", broken_off)
    said = run("transcripts", "--yes", code=1).stderr
    assert f"broken off after {Event.objects.count()} events: they are stored" in said
    monkeypatch.setattr(backfill, "take", take)
    run("transcripts", "--yes")
    assert (Event.objects.count(), Session.objects.count()) == (44, 3)


def test_a_database_of_claude_mem_is_taken_over_with_a_report(tmp_path: Path) -> None:
    file = tmp_path / "claude-mem.db"
    connection = claude_mem.made(file)
    claude_mem.fill(connection, 20, sessions=2)
    claude_mem.add(connection, "observations", [claude_mem.observation(21, 1, type="")])
    lines = run("claude-mem", str(file)).stdout.splitlines()
    assert lines[0].split() == ["rows", "taken", "known", "left", "out"]
    assert lines[2].split() == ["observations", "21", "21", "0", "0"]
    told = json.loads(run("claude-mem", str(file), "--json").stdout)
    assert told["observations"] == {"rows": 21, "taken": 0, "known": 21, "leftOut": {}}
    assert Observation.objects.count() == 23
    connection.close()


def test_a_foreign_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    said = run("claude-mem", str(tmp_path / "notes.txt"), code=1).stderr
    assert "notes.txt is damaged or no database of SQLite" in said
    assert "there is no file" in run("claude-mem", str(tmp_path / "none.db"), code=1).stderr
