"""What events do not show is taken out of an observation; what they show stays."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations.drafts import JSON, ObservationDraft, SourceEvent
from observations.evidence import leaves, supported

pytestmark = pytest.mark.once

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EDIT: JSON = {
    "cwd": "/home/dev/app",
    "tool_name": "Edit",
    "tool_input": {
        "file_path": "/home/dev/app/src/cart.py",
        "old_string": "return sum(items)",
        "new_string": "return round(\n    sum(items), 2)",
    },
    "tool_response": {"stdout": "\x1b[32mok\x1b[0m done\r\nPath: C:\\temp"},
}
DRAFT = ObservationDraft("bugfix", "total rounds to cents", event_ids=("e1",))


def event(payload: JSON = EDIT, id: str = "e1") -> SourceEvent:
    return SourceEvent(id, 1, "PostToolUse", NOON, payload)


def kept(**fields: Any) -> ObservationDraft:
    """What is left of a draft with these fields."""
    draft = supported(replace(DRAFT, **fields), [event()])
    assert draft is not None
    return draft


def test_a_draft_that_its_events_show_is_left_alone() -> None:
    draft = replace(
        DRAFT,
        title="src/cart.py: `round(sum(items), 2)`",
        subtitle="The total is rounded.",
        narrative='It was "return sum(items)" before. Prices are in cents.',
        facts=("src/cart.py now has `return round( sum(items), 2)`.",),
        files_modified=("src/cart.py",),
    )
    assert supported(draft, [event()]) == draft


def test_files_that_no_event_names_are_dropped() -> None:
    draft = kept(
        files_read=("src/cart.py", "src/order.py"),
        files_modified=("./src/cart.py", "/home/dev/app/src/cart.py", "cart.ts", ""),
    )
    assert draft.files_read == ("src/cart.py",)
    assert draft.files_modified == ("./src/cart.py", "/home/dev/app/src/cart.py")


@pytest.mark.parametrize(
    "fact",
    [
        "It has `return sum(items)`.",
        "It has `RETURN  SUM(items)`.",
        "It has `return round(…, 2)`.",
        "It has “return round(... 2)”.",
        'It has "sum(items)" and "round(".',
        "It has 'sum(items)' now.",
        "It printed `ok done Path: C:\\temp`.",
        "The items' sum and the carts' total.",
        "The change is in src/cart.py:12.",
        "The file's name isn't changed.",
        "Plain words are nobody's to prove.",
    ],
)
def test_a_fact_whose_quotes_and_paths_occur_is_kept(fact: str) -> None:
    assert kept(facts=(fact,)).facts == (fact,)


@pytest.mark.parametrize(
    "fact",
    [
        "It has `return max(items)`.",
        "It has `2) … return round(`.",
        'It says "rounded to cents" somewhere.',
        "It says “rounded to cents”.",
        "It says 'rounded to cents' there.",
        "The change is in src/order.py.",
        "See https://example.org/rounding for more.",
        "It has `sum(items)` and `mean(items)`.",
    ],
)
def test_a_fact_with_a_quote_or_path_that_occurs_nowhere_is_dropped(fact: str) -> None:
    assert kept(facts=(fact, "Prices are rounded.")).facts == ("Prices are rounded.",)


def test_the_narrative_loses_only_the_sentences_that_are_not_shown() -> None:
    text = "The total is rounded. It calls `math.fsum`. It has `round(`. See src/none.py for it."
    assert kept(narrative=text).narrative == "The total is rounded. It has `round(`."


def test_a_title_that_is_not_shown_is_replaced_by_what_is() -> None:
    draft = kept(title="`mean` replaces `sum`", facts=("`mean` is used.", "Prices are rounded."))
    assert draft.title == "Prices are rounded."


def test_only_the_events_that_are_cited_count() -> None:
    other = event({"stdout": "max(items)"}, "e2")
    draft = replace(DRAFT, facts=("It has `max(items)`.",))
    alone = supported(draft, [event(), other])
    both = supported(replace(draft, event_ids=("e1", "e2")), [event(), other])
    assert alone
    assert alone.facts == ()
    assert both
    assert both.facts == draft.facts


def test_citations_of_events_that_are_not_there_are_dropped() -> None:
    assert kept(event_ids=("e1", "e9")).event_ids == ("e1",)


def test_a_draft_that_cites_no_event_is_nothing() -> None:
    assert supported(replace(DRAFT, event_ids=("e9",)), [event()]) is None
    assert supported(replace(DRAFT, event_ids=()), [event()]) is None


def test_nothing_is_left_of_a_draft_that_only_quotes_what_is_not_there() -> None:
    draft = ObservationDraft(
        "change", "`mean`", "A subtitle saves nothing.", "`fsum`", ("`max`",), event_ids=("e1",),
        files_read=("src/cart.py",),
    )  # fmt: skip
    assert supported(draft, [event()]) is None


@pytest.mark.parametrize(
    "fields",
    [{"title": "x"}, {"narrative": "x"}, {"facts": ("x",)}, {"concepts": ("gotcha",)}],
)
def test_a_title_a_narrative_a_fact_or_a_concept_alone_is_substance(fields: dict[str, Any]) -> None:
    assert supported(replace(DRAFT, **{"title": "", **fields}), [event()]) is not None


@pytest.mark.parametrize("fields", [{}, {"subtitle": "x"}, {"files_read": ("src/cart.py",)}])
def test_a_subtitle_and_files_alone_are_none(fields: dict[str, Any]) -> None:
    assert supported(replace(DRAFT, title="", **fields), [event()]) is None


def test_the_leaves_of_a_value_are_its_texts_keys_and_numbers_at_any_depth() -> None:
    deep: JSON = "end"
    for _ in range(50_000):
        deep = [deep]
    assert set(leaves({"a": [1, None, {"b": deep}], "c": True})) == {
        "a", "b", "c", "1", "True", "end",
    }  # fmt: skip


TEXTS = st.text(alphabet="ab`\"'“”…./:\\ \n\x1b[", max_size=60)


@given(st.builds(ObservationDraft, st.just("change"), TEXTS, TEXTS, TEXTS,
                 st.tuples(TEXTS, TEXTS), st.just(()), st.tuples(TEXTS), st.tuples(TEXTS),
                 st.just(("e1",))), TEXTS)  # fmt: skip
def test_what_was_kept_once_is_kept_again(draft: ObservationDraft, text: str) -> None:
    events = [event({"text": text})]
    once = supported(draft, events)
    assert once is None or supported(once, events) == once
