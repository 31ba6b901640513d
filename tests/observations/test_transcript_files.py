"""Transcripts are found by their place alone, and read whatever their lines are like."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from observations import transcript_files
from observations.transcript_files import Reading, Transcript, found, lines, of_session
from tests.observations.test_transcripts import SESSION, asked, came, said, used
from tests.observations.transcribed import keep

pytestmark = pytest.mark.once

LATER = 10_000_000_000.0


def write(path: Path, *entries: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in entries))
    return path


def names(transcript: Transcript | None, now: float = LATER) -> list[str]:
    assert transcript
    reading = Reading(transcript, quiet=60, now=now)
    return [str(each["hook_event_name"]) for each in reading.payloads()]


def test_a_session_and_its_subagents_are_one_transcript_in_the_order_of_time(
    tmp_path: Path,
) -> None:
    aside = {"isSidechain": True, "agentId": "a1"}
    write(tmp_path / "p" / f"{SESSION}.jsonl", asked("go", 1), used("Task", "t1", 2),
          came("t1", second=8), said("done", 9))  # fmt: skip
    for place in (tmp_path / "p" / SESSION / "subagents", tmp_path / "p"):
        file = write(place / "agent-a1.jsonl", used("Bash", "t2", 4, **aside),
                     came("t2", second=5, **aside), said("found", 6, **aside))  # fmt: skip
        (transcript,) = found(tmp_path)
        assert transcript.session_id == SESSION
        assert names(transcript) == [
            "SessionStart", "UserPromptSubmit", "PreToolUse", "PreToolUse", "PostToolUse",
            "SubagentStop", "PostToolUse", "Stop", "SessionEnd",
        ]  # fmt: skip
        file.unlink()


def test_a_session_that_goes_on_has_no_end_yet(tmp_path: Path) -> None:
    write(tmp_path / f"{SESSION}.jsonl", asked("go", 1), said("I look", 2, None))
    at = next(iter(Reading(found(tmp_path)[0], quiet=60).payloads()))["timestamp"]
    assert isinstance(at, float)
    assert names(found(tmp_path)[0], now=at + 30) == ["SessionStart", "UserPromptSubmit"]


def test_a_file_without_anything_of_a_session_tells_nothing(tmp_path: Path) -> None:
    write(tmp_path / f"{SESSION}.jsonl", {"type": "summary", "summary": "x"})
    (tmp_path / "other.jsonl").write_bytes(b"\x00\xff not json\n")
    assert names(found(tmp_path)[0]) == []
    assert len(found(tmp_path)) == 1


def test_lines_that_are_too_long_or_not_yet_whole_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript_files, "LONGEST_LINE", 1000)
    file = write(tmp_path / f"{SESSION}.jsonl", asked("go"), asked("x" * 5000, 1, "p2"),
                 asked("on", 2, "p3"))  # fmt: skip
    whole = file.stat().st_size
    with file.open("a") as more:
        more.write('{"type": "user", "mess')
    assert [len(each) < 1000 for each in lines(file, file.stat().st_size)] == [True] * 3
    reading = Reading(found(tmp_path)[0], quiet=60, now=LATER)
    prompts = [each["prompt"] for each in reading.payloads() if "prompt" in each]
    assert prompts == ["go", "on"]
    assert reading.counts.broken == 1
    assert len(list(lines(file, whole - 1))) == 3


def test_nothing_outside_of_the_directory_is_read(tmp_path: Path) -> None:
    home, outside = tmp_path / "projects", tmp_path / "outside"
    secret = write(outside / "p" / f"{SESSION}.jsonl", asked("secret"))
    (home / "p").mkdir(parents=True)
    (home / "p" / f"{SESSION}.jsonl").symlink_to(secret)
    (home / "q").symlink_to(outside / "p")
    assert found(home) == []
    assert of_session(home, SESSION) is None
    with pytest.raises(OSError, match=r"symbolic|levels"):
        list(lines(home / "p" / f"{SESSION}.jsonl", 10))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    os.mkfifo(tmp_path / "p" / f"{SESSION}.jsonl")
    assert found(tmp_path) == []
    assert of_session(tmp_path, SESSION) is None


@pytest.mark.parametrize(
    "name", ["", "..", "../secret", "*", "a" * 36, f"{SESSION}/..", f"{SESSION}\n", SESSION.upper()]
)
def test_a_session_is_found_by_its_id_and_by_nothing_else(tmp_path: Path, name: str) -> None:
    write(tmp_path / "secret.jsonl", asked("secret"))
    write(tmp_path / "p" / f"{SESSION}.jsonl", asked("go"))
    assert of_session(tmp_path, name) is None
    assert names(of_session(tmp_path, SESSION))[1] == "UserPromptSubmit"


def test_the_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    keep(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert len(found(tmp_path / "link")) == 3
    session = found(tmp_path / "real")[0].session_id
    assert of_session(tmp_path / "link", session)
    shutil.rmtree(tmp_path / "real")
    assert of_session(tmp_path / "link", session) is None
