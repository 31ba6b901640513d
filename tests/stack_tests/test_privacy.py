"""What a user marked as private, and what is a secret, is nowhere once it was sent."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from observations.listings import micros
from queueing import direct
from tests.sse import Ear
from tests.stack import CELERY, PROJECT, Stack, recording
from tests.stack_tests.conftest import Replayed
from tests.waiting import until

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


# What a route must be asked besides what its address names.
ASKED = {
    "/api/context/inject": "?projects=stack&full=true",
    "/api/observations/by-file": "?path=procrastinate/retry.py",
    "/api/search": "?query=retry&format=json",
    "/api/timeline": "?query=retry",
}
# It never ends, and is asked apart.
STREAM = "/v1/stream"


def reading(stack: Stack) -> Iterator[str]:
    """Every route that only reads, for every row that it can be asked about."""
    ids = {
        "project_id": [
            row[0] for row in stack.sql("SELECT DISTINCT project_id FROM queueing_generationjob")
        ],
        "job_id": [row[0] for row in stack.sql("SELECT id FROM queueing_generationjob")],
        "key_id": [row[0] for row in stack.sql(
            f"SELECT id FROM observations_apikey WHERE project_id = '{stack.project_id}'"
        )],
        **{
            f"{noun}_id": [row[0] for row in stack.sql(f"SELECT id FROM observations_{noun}")]
            for noun in ("event", "session", "team", "observation")
        },
    }  # fmt: skip
    ids["memory_id"] = ids["observation_id"]
    paths = stack.get("/v1/openapi.json").json()["paths"]
    for path in (path for path, methods in paths.items() if "get" in methods):
        names = re.findall(r"{(\w+)}", path)
        assert len(names) < 2, f"{path}: teach this test to ask it"
        for value in ids[names[0]] if names else [""]:
            asked = path.replace(f"{{{names[0]}}}", value) if names else path
            if path not in (STREAM, "/v1/mcp", "/api/admin/doctor"):
                yield asked + ASKED.get(path, "")


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


@pytest.fixture
def key(replayed: Replayed) -> str:
    """A key that may do everything in the project."""
    asked = ("--name", "all", "--scope", "*", "--project", PROJECT)
    return str(json.loads(replayed.stack.cli("api-key", "create", *asked))["key"])


def test_no_answer_holds_what_was_private(replayed: Replayed, key: str) -> None:
    stack, seen = replayed.stack, b""
    for path in reading(stack):
        answer = stack.http.get(path, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, (path, answer.text)
        seen += answer.content
        assert found_in(answer.content) == [], path
    assert PUBLIC in seen


def test_the_stream_holds_nothing_of_what_was_private(replayed: Replayed, key: str) -> None:
    ((number, at),) = replayed.stack.sql(
        "SELECT id, created_at FROM observations_auditentry ORDER BY id LIMIT 1"
    )
    jobs = replayed.stack.jobs("state = 'completed'")
    ear = Ear(replayed.stack.url, key, cursor=f"{number}-{micros(direct.moment(at))}")
    until(lambda: sum(each.data.get("change") == "completed" for each in ear.items()) >= jobs)
    ear.stop()
    told = b"".join(orjson.dumps(each.data) for each in ear.heard)
    assert found_in(told) == []
    assert PUBLIC in told


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
