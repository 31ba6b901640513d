import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claudemem.hook import cut

pytestmark = pytest.mark.once


def test_the_longest_texts_are_left_out_whole_and_the_rest_stays() -> None:
    said = {
        "session_id": "s",
        "tool_input": {"content": "a" * 5000, "path": "/x"},
        "tool_response": [{"text": "b" * 9000 + "</private>"}, {"text": "c" * 2000}],
    }
    left = json.loads(cut.fitted(said, 8000))

    assert left["tool_response"][0]["text"] == "[9010 characters left out: too large to be sent]"
    assert left["tool_input"] == {"content": "a" * 5000, "path": "/x"}
    assert left["tool_response"][1] == {"text": "c" * 2000}


def test_what_is_large_by_its_many_small_parts_cannot_be_cut() -> None:
    assert cut.fitted({"parts": [{"x": "x" * 100}] * 1000}, 5000) == b""


def test_lines_are_left_out_together_since_a_span_may_reach_over_them() -> None:
    said = {"patch": {"lines": ["<private>" + "a" * 5000, "hidden", "</private>"]}, "b": "b" * 900}
    left = json.loads(cut.fitted(said, 2000))

    assert left["patch"]["lines"] == ["[5025 characters left out: too large to be sent]"]
    assert left["b"] == "b" * 900


@pytest.mark.parametrize(
    ("value", "fine"),
    [(["x"] * 300_000, True), ([{}] * 300_000, True), ({str(n): 1 for n in range(300_000)}, True),
     ("1,2,\n" * 300_000, False), ('"a","b"\\\\",' * 300_000, False), (["x,y" * 50] * 2000, False)],
    ids=["texts", "objects", "names", "table", "quoted", "few"],
)  # fmt: skip
def test_what_would_take_too_long_to_read_is_known_by_its_pieces(value: Any, fine: bool) -> None:
    assert cut.is_too_fine(json.dumps(value).encode()) == fine


LONG = st.integers(0, 4000).map(lambda size: "\u00e9\ud800x" * (size // 3))


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(max_size=5), LONG | st.lists(LONG, max_size=3), max_size=5))
def test_it_fits_and_is_json_whatever_is_in_it(said: dict[str, Any]) -> None:
    text = cut.fitted(said, 3000)

    assert len(text) <= 3000
    if text:
        assert set(json.loads(text)) == {key.encode("utf-8", "replace").decode() for key in said}
