"""What the pages show as output is what the recordings make today."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest

from observations import evidence, modes, rendering
from observations.drafts import ObservationDraft, Source, SourceEvent, SummaryDraft
from observations.privacy import scrub
from observations.providers import provider_named
from tests.docs import pages

pytestmark = pytest.mark.once

RECORDINGS = sorted((pages.ROOT / "tests" / "recordings").rglob("*.jsonl"))
OFFLINE = provider_named("offline")
MODE = modes.load("code")
# `#8  2026-11-22T04:08  change     Title`, `#88 04:08 ✓ Title` and `1. [summary] Title`.
SHOWN = re.compile(r"^(?:#\d+ +\S+ +\S+|\d+\. \[\w+\](?: Request:)?) +(.+)$", re.MULTILINE)
BY_HAND = "Releases are cut on Thursdays"


@pytest.fixture(scope="module")
def remembered() -> set[str]:
    """The titles of all that is made of the recordings, event by event and at once."""
    return {title for file in RECORDINGS for title in _titles(file.read_text().splitlines())}


def _titles(lines: list[str]) -> Iterator[str]:
    events = tuple(_event(number, line) for number, line in enumerate(lines, 1))
    # A batch is as large as the backlog was: what is read alone may be told together.
    for some in [(event,) for event in events] + [events]:
        yield from _asked("observe", some)
    yield from _asked("summarise", events)


def _event(number: int, line: str) -> SourceEvent:
    payload = scrub(json.loads(line)).value
    assert isinstance(payload, dict)
    name = str(payload["hook_event_name"])
    return SourceEvent(f"e{number}", number, name, datetime.now(UTC), payload)


def _asked(task: Literal["observe", "summarise"], events: tuple[SourceEvent, ...]) -> Iterator[str]:
    source = Source(task, "r", "procrastinate", "s", events)
    for draft in OFFLINE.complete(source, MODE, timeout=30).drafts:
        if isinstance(draft, SummaryDraft):
            yield rendering.summary_title(draft)
            yield draft.request
        elif kept := evidence.supported(draft, events):
            assert isinstance(kept, ObservationDraft)
            yield kept.title


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_every_memory_that_a_page_shows_is_made_of_the_recordings(
    name: str, remembered: set[str]
) -> None:
    text = "\n".join(block.text for block in pages.blocks(pages.ROOT / name, "text"))
    shown = [title.partition(" [")[0] for title in SHOWN.findall(text)]

    assert len(shown) >= 4
    assert [title for title in shown if title not in remembered | {BY_HAND}] == []
