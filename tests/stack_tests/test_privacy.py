"""What a user marked as private, and what is a secret, is nowhere once it was sent."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import CELERY, Stack, recording
from tests.stack_tests.conftest import Replayed

pytestmark = pytest.mark.stack

NEVER = (b"release manager wants", b"akiaiosfodnn7example", b"wjalrxutnfemi", b"correct-horse")
# Words of the same recording that are public: whoever looks finds them.
PUBLIC = b"procrastinate"
QUESTIONS = ("release manager", "AKIA", "correct horse battery", "aws credentials", "retry")


def found_in(content: bytes) -> list[bytes]:
    """What of that which may be nowhere is here, in any case."""
    low = content.lower()
    return [word for word in NEVER if word in low]


def files(stack: Stack) -> Iterator[Path]:
    """Everything that the server wrote: database and its log, the store's data, logs, output."""
    yield stack.output
    yield from (path for path in stack.data.rglob("*") if path.is_file())


def reading(stack: Stack) -> Iterator[str]:
    """Every route that only reads, for every row that it can be asked about."""
    ids = {
        "event_id": [row[0] for row in stack.sql("SELECT id FROM observations_event")],
        "session_id": [row[0] for row in stack.sql("SELECT id FROM observations_session")],
        "team_id": [row[0] for row in stack.sql("SELECT id FROM observations_team")],
        "project_id": [
            row[0] for row in stack.sql("SELECT DISTINCT project_id FROM queueing_generationjob")
        ],
        "job_id": [row[0] for row in stack.sql("SELECT id FROM queueing_generationjob")],
    }
    paths = stack.get("/v1/openapi.json").json()["paths"]
    for path in (path for path, methods in paths.items() if "get" in methods):
        names = re.findall(r"{(\w+)}", path)
        assert len(names) < 2, f"{path}: teach this test to ask it"
        for value in ids[names[0]] if names else [""]:
            yield path.replace(f"{{{names[0]}}}", value) if names else path


def test_the_recording_holds_all_of_it() -> None:
    assert found_in(recording("retry-docs-private").read_bytes()) == list(NEVER)


def test_no_file_holds_what_was_private(replayed: Replayed) -> None:
    contents = {path: path.read_bytes() for path in files(replayed.stack)}
    names = {path.name for path in contents}
    assert "up.log" in names
    if replayed.stack.engine == CELERY:
        assert any(name.startswith("appendonly") for name in names)
    if not replayed.stack.on_postgresql:
        assert {"claude-mem.sqlite3", "claude-mem.sqlite3-wal"} <= names
        assert any(PUBLIC in content for content in contents.values())
    assert {path: words for path, content in contents.items() if (words := found_in(content))} == {}


def test_no_row_holds_what_was_private(replayed: Replayed) -> None:
    seen = b""
    for table in ("event", "observation", "session", "project"):
        for row in replayed.stack.sql(f"SELECT * FROM observations_{table}"):
            seen += repr(row).encode()
    assert PUBLIC in seen
    assert found_in(seen) == []


def test_no_answer_holds_what_was_private(replayed: Replayed) -> None:
    stack, seen = replayed.stack, b""
    for path in reading(stack):
        answer = stack.get(path)
        assert answer.status_code == 200, (path, answer.text)
        seen += answer.content
        assert found_in(answer.content) == [], path
    assert PUBLIC in seen


@pytest.mark.parametrize("path", ["/v1/search", "/v1/context"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_brings_out_what_was_private(
    replayed: Replayed, path: str, question: str
) -> None:
    body = {"projectId": replayed.stack.project_id, "query": question, "limit": 50}
    answer = replayed.stack.post(path, body)
    assert answer.status_code == 200, answer.text
    assert found_in(answer.content) == []


def test_jobs_with_their_payloads_hold_nothing_private(replayed: Replayed) -> None:
    for answer in (
        replayed.stack.get("/v1/jobs", limit=200),
        replayed.stack.get("/v1/jobs", limit=200, include="payload"),
    ):
        assert found_in(answer.content) == []
