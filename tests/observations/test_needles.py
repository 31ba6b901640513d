"""Many words looked for in one walk are found as each by itself would be."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from observations.detectors import PHRASES, TOKENS
from observations.needles import finder

pytestmark = pytest.mark.once

WORDS = [anchor for detector in (*PHRASES, *TOKENS) for anchor in detector.anchors]
FINDS = finder(WORDS)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=8), TEXTS)
@example(["a.b", "[x]", "-"], "axb x")
@example(["q~", " ", "\n"], "line\nline")
def test_any_words_are_found_where_they_stand(words: list[str], text: str) -> None:
    assert finder(words)(text) == any(word in text for word in words)


@given(TEXTS, st.sampled_from(["", *WORDS]), TEXTS)
def test_all_that_secrets_are_known_by_is_found_within_any_text(
    before: str, word: str, after: str
) -> None:
    text = before + word + after
    assert FINDS(text) == any(each in text for each in WORDS)


def test_what_is_no_text_is_never_taken_for_harmless() -> None:
    with pytest.raises(ValidationError):
        FINDS("half of a character: \ud800")
