"""Answers of models: lenient about what surrounds them, strict about what they hold."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations.answers import Unreadable, read, unescaped

pytestmark = pytest.mark.once

TAGS = """Sure, here you are:
<observation>
  <type>bugfix</type><title> Rounded &lt;total&gt; &amp;amp; more </title>
  <narrative></narrative>
  <facts><fact>One</fact><fact> </fact><fact>Two</fact></facts>
  <concepts><concept>gotcha: sometimes</concept></concepts>
  <files_modified><file>cart.py</file></files_modified>
  <events><event>2</event></events>
</observation>
Anything else?"""


def test_a_json_object_is_read_and_its_entities_are() -> None:
    text = json.dumps({"observations": [{"title": "a &lt; b", "facts": ["x"], "events": [1, "2"]}]})
    (raw,) = read(text, "observe")
    assert raw.one["title"] == "a < b"
    assert raw.many["facts"] == ("x",)
    assert raw.many["events"] == ("1", "2")


def test_tags_are_found_among_prose() -> None:
    (raw,) = read(TAGS, "observe")
    assert raw.one["title"] == "Rounded <total> &amp; more"
    assert raw.many["facts"] == ("One", "Two")
    assert raw.many["files_modified"] == ("cart.py",)
    assert raw.many["events"] == ("2",)


def test_a_fence_around_the_whole_answer_is_taken_off() -> None:
    assert read('```json\n{"observations": []}\n```', "observe") == ()
    assert len(read(f"```xml\n{TAGS}\n```", "observe")) == 1


def test_skipping_is_an_answer() -> None:
    assert read('Nothing here. <skip_summary reason="routine"/>', "observe") == ()
    assert read("<skip_summary />", "summarise") == ()
    assert read('{"request": "", "notes": "n"}', "summarise") == ()


def test_an_observation_of_nothing_but_a_subtitle_is_no_observation() -> None:
    assert read('{"observations": [{"subtitle": "s", "files_read": ["f"]}]}', "observe") == ()
    with pytest.raises(Unreadable, match="empty"):
        read("<observation><subtitle>s</subtitle></observation>", "observe")


def test_the_first_summary_counts_and_observations_beside_it_do_not() -> None:
    text = "<summary><request>first</request></summary><summary><request>2</request></summary>"
    (raw,) = read(text + TAGS, "summarise")
    assert raw.one["request"] == "first"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "empty"),
        (" \n", "empty"),
        ("The weather is fine.", "no <observation> element"),
        ("<observation><title>Half", "complete"),
        ("<summary><request>x</request></summary>", "no <observation> element"),
        ('{"observations": [{"title": "x"', "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"observation": []}', "no list"),
        ('{"observations": {"title": "x"}}', "no list"),
        ('{"observations": ["x"]}', "not an object"),
        ('{"observations": [{}]}', "none of the fields"),
        ('{"observations": [{"title": 5}]}', "title is not a text"),
        ('{"observations": [{"title": "x", "facts": "one"}]}', "facts is not a list"),
        ('{"observations": [{"title": "x", "facts": [1]}]}', "facts is not a text"),
        ('{"observations": [{"title": "x", "events": [null]}]}', "events is not a number"),
    ],
)
def test_what_is_wrong_is_said_without_quoting_it(text: str | None, why: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(why)) as raised:
        read(text, "observe")
    assert "weather" not in str(raised.value)


@given(st.text(), st.sampled_from(["observe", "summarise"]))
def test_no_answer_is_more_than_unreadable(text: str, task: str) -> None:
    pieces = ("<observation>", "<title>", "</title>", "</observation>", "<summary>", "{", '"')
    for whole in (text, text.join(pieces)):
        try:
            read(whole, task)  # type: ignore[arg-type]
        except Unreadable:
            continue


@given(st.text(alphabet="&lt;gamp#39' <>"))
def test_entities_are_read_once(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert unescaped(escaped) == text


def test_many_openings_without_an_end_take_no_long_time() -> None:
    with pytest.raises(Unreadable):
        read("<observation>" * 200_000, "observe")
