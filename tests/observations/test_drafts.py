"""Drafts are values: they compare by what they say, and nobody changes one."""

import dataclasses

import pytest

from observations.drafts import ObservationDraft, SummaryDraft

pytestmark = pytest.mark.once


@pytest.mark.parametrize("draft", [ObservationDraft("change", "A title"), SummaryDraft("A wish")])
def test_a_draft_cannot_be_changed(draft: object) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        draft.event_ids = ("e2",)  # type: ignore[attr-defined]


def test_drafts_that_say_the_same_are_the_same() -> None:
    assert ObservationDraft("change", "A", facts=("x",)) == ObservationDraft(
        "change", "A", facts=("x",)
    )
