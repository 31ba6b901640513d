"""Recorded sessions: what they must lose, and that they lose nothing else."""

import json
from pathlib import Path

import pytest

from observations.drafts import JSON
from observations.privacy import scrub

pytestmark = pytest.mark.once

RECORDINGS = Path(__file__).parent.parent / "recordings"
NEVER = ("release manager wants", "akiaiosfodnn7example", "wjalrxutnfemi", "correct-horse")
FILES = sorted(RECORDINGS.rglob("*.jsonl"))
HARMLESS = [path for path in FILES if path.stem != "retry-docs-private"]


def payloads(path: Path) -> list[JSON]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_no_secret_of_a_recording_survives(path: Path) -> None:
    kept = json.dumps([scrub(payload).value for payload in payloads(path)]).lower()
    assert not [secret for secret in NEVER if secret in kept]


@pytest.mark.parametrize("path", HARMLESS, ids=[path.stem for path in HARMLESS])
def test_a_recording_without_secrets_loses_nothing_but_length(path: Path) -> None:
    for payload in payloads(path):
        scrubbed = scrub(payload)
        assert set(scrubbed.removed) <= {"truncated"}
        if not scrubbed.removed:
            assert scrubbed.value == payload


def test_what_the_private_recording_loses_is_counted_by_kind() -> None:
    (path,) = set(FILES) - set(HARMLESS)
    removed = [scrub(payload).removed for payload in payloads(path)]
    assert [counts for counts in removed if counts] == [
        {"private": 1},
        {"aws-access-key": 1, "aws-secret-key": 1, "url-password": 1},
    ]
