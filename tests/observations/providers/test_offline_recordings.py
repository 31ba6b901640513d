"""What the offline provider makes of real sessions: shown by its events, found by questions."""

import json
import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from observations.drafts import ObservationDraft
from observations.rendering import summary_text, summary_title
from tests.observations.providers.making import (
    RECORDINGS,
    observe,
    recorded,
    summarise,
    working,
)

pytestmark = pytest.mark.once

GOLDEN = Path(__file__).with_name("golden")
BY_NAME = {file.stem: file for file in RECORDINGS}
GENERIC = re.compile(
    r"(?:Tool used|Bash command|Ran a command|Command|Edit|Read|Untitled)\.?", re.I
)
QUESTIONS = {
    "cap for the exponential backoff of retries": ("retry-max-wait",),
    "how do locks keep jobs in order": ("locks-explained",),
    "TimeDelta serialization rounding": ("marshmallow-timedelta-a", "marshmallow-timedelta-b"),
    "password in the network capture": ("ctf-networking",),
    "numbers closer than a threshold": ("humanevalfix-close-elements",),
    "Hastad attack on the time capsule": ("ctf-time-capsule",),
}


def one_by_one(file: Path) -> tuple[ObservationDraft, ...]:
    """The observations of a recording at a live pace: each event is a batch."""
    return tuple(draft for event in working(file) for draft in observe(event))


def at_once(file: Path) -> tuple[ObservationDraft, ...]:
    """The observations of a recording that is one batch."""
    return observe(*working(file))


def test_all_recordings_are_there() -> None:
    assert len(RECORDINGS) == 12


@pytest.mark.parametrize("make", [one_by_one, at_once])
@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
class TestARecording:
    def test_gives_observations_with_telling_titles(self, file: Path, make: Any) -> None:
        for draft in make(file):
            assert len(draft.title) > 8
            assert not GENERIC.fullmatch(draft.title)
            assert draft.subtitle
            assert draft.narrative
            assert draft.facts

    def test_cites_no_event_more_than_twice(self, file: Path, make: Any) -> None:
        cited = Counter(id for draft in make(file) for id in draft.event_ids)
        assert max(cited.values()) <= 2

    def test_keeps_the_order_of_its_events(self, file: Path, make: Any) -> None:
        owners = [int(draft.event_ids[0][1:]) for draft in make(file)]
        assert owners == sorted(owners)

    def test_is_the_same_every_time(self, file: Path, make: Any) -> None:
        assert make(file) == make(file)


def test_there_are_fewer_observations_than_events() -> None:
    events = sum(len(working(file)) for file in RECORDINGS)
    alone = sum(len(one_by_one(file)) for file in RECORDINGS)
    together = sum(len(at_once(file)) for file in RECORDINGS)
    assert 0.3 * events <= together <= 0.6 * events < alone <= 0.9 * events


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_recording_has_a_summary(file: Path) -> None:
    summary = summarise(*recorded(file))
    assert summary
    assert summary.request
    assert summary.investigated or summary.learned or summary.completed
    assert not re.search(r"We're currently|INSTRUCTIONS|IMPORTANT TIPS", summary.request)


def test_nothing_private_and_no_secret_is_told() -> None:
    file = BY_NAME["retry-docs-private"]
    told = repr((one_by_one(file), at_once(file), summarise(*recorded(file)))).lower()
    for secret in (
        "release manager wants",
        "akiaiosfodnn7example",
        "wjalrxutnfemi",
        "correct-horse",
    ):
        assert secret not in told
    assert "aws_access_key_id" in told


@pytest.mark.parametrize("with_summaries", [True, False], ids=["with summaries", "without"])
@pytest.mark.parametrize("make", [one_by_one, at_once])
def test_plain_questions_find_their_session_among_the_first_three(
    make: Any, with_summaries: bool
) -> None:
    index = sqlite3.connect(":memory:")
    index.execute(
        "CREATE VIRTUAL TABLE memory USING fts5(title, subtitle, facts, narrative, files, concepts,"
        " session UNINDEXED, tokenize = 'porter unicode61')"
    )
    for file in RECORDINGS:
        rows = [*_rows(make(file)), *(_summary(file) if with_summaries else ())]
        index.executemany(f"INSERT INTO memory VALUES (?, ?, ?, ?, ?, ?, '{file.stem}')", rows)
    for question, sessions in QUESTIONS.items():
        words = " OR ".join(f'"{word}"' for word in re.findall(r"\w+", question))
        found = index.execute(
            "SELECT session FROM memory WHERE memory MATCH ?"
            " ORDER BY bm25(memory, 4, 2, 2, 1, 2, 0.5) LIMIT 3",
            [words],
        )
        assert {name for (name,) in found} & set(sessions), question
    index.close()


def _rows(drafts: Iterable[ObservationDraft]) -> Iterator[tuple[str, ...]]:
    for each in drafts:
        files = " ".join((*each.files_read, *each.files_modified))
        facts, concepts = "\n".join(each.facts), " ".join(each.concepts)
        yield each.title, each.subtitle, facts, each.narrative, files, concepts


def _summary(file: Path) -> Iterator[tuple[str, ...]]:
    if summary := summarise(*recorded(file)):
        yield summary_title(summary), "", "", summary_text(summary), "", ""


@pytest.mark.parametrize("name", ["retry-max-wait", "marshmallow-timedelta-a"])
def test_a_recording_makes_what_it_made_before(name: str) -> None:
    """After a change that is meant: run with CLAUDE_MEM_TEST_GOLDEN=write and read the diff."""
    file = BY_NAME[name]
    summary = summarise(*recorded(file))
    made = {
        "one by one": [asdict(draft) for draft in one_by_one(file)],
        "at once": [asdict(draft) for draft in at_once(file)],
        "summary": asdict(summary) if summary else None,
    }
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("CLAUDE_MEM_TEST_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
