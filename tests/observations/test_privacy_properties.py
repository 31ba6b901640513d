"""Rules of scrubbing that hold for every payload."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observations.assignments import STEMS
from observations.detectors import PHRASES, TOKENS
from observations.drafts import JSON
from observations.privacy import scrub, scrub_text
from observations.spans import NAMES

pytestmark = pytest.mark.once

MIXED = "a1B2c3D4"
PLANTED = {
    "ghp_" + MIXED * 5: MIXED,
    "AKIA" + "IOSFODNN7" + "EXAMPLE": "IOSFODNN7",
    "https://u:zq8pass@host/": "zq8pass",
    'password = "zq8pass"': "zq8pass",
    "export TOKEN=zq8pass": "zq8pass",
    "Authorization: Bearer zq8pass.zq8pass": "zq8pass",
    "-----BEGIN PRIVATE" + " KEY-----\nzq8pass\n-----END PRIVATE" + " KEY-----": "zq8pass",
    "<private>zq8pass</private>": "zq8pass",
    "<system-reminder>zq8pass": "zq8pass",
}
WORDS = r"""
    = : ' " \ @ / [ ] ( ) { } < > , ; - . # $ & ? İ … \n
    password token secret api_key --password PASSWORD pass pw Bearer Authorization
    hunter2 abc a1 [redacted:token] [redacted: -----BEGIN -----END PRIVATE KEY-----
    http:// user: aws AKIA ghp_ eyJ sk- curl -u export str None self. f( 42 ${X}
"""
# Pieces of which the rules' own words are made, so that chance meets them.
PIECES = [
    *(f"<{name}>" for name in NAMES),
    *(f"</{name}>" for name in NAMES),
    *WORDS.split(),
    *" \n\t\0\ud800",
]
junk = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map("".join)
texts = junk | st.lists(st.sampled_from([*PIECES, *PLANTED]), max_size=12).map("".join)
values: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | st.sampled_from(["password", "token", "a"]), inner, max_size=4)
    ),
    max_leaves=8,
)


def shape(value: JSON) -> object:
    """A value without its texts."""
    if isinstance(value, dict):
        return [shape(item) for item in value.values()]
    if isinstance(value, list):
        return ["list", *map(shape, value)]
    return str if isinstance(value, str) else value


@given(values)
@settings(max_examples=300, deadline=None)
def test_scrubbing_twice_is_scrubbing_once_and_keeps_the_shape(value: JSON) -> None:
    once = scrub(value).value
    assert scrub(once).value == once
    assert shape(once) == shape(value)


@given(texts, st.integers(min_value=100, max_value=400))
@settings(max_examples=300, deadline=None)
def test_a_cut_text_is_settled_and_short_enough(text: str, limit: int) -> None:
    once = scrub_text(text * 20, max_text=limit)
    assert len(once) <= limit
    assert scrub_text(once, max_text=limit) == once


@given(st.text(st.characters()))
@settings(max_examples=300, deadline=None)
def test_any_unicode_comes_out_storable(text: str) -> None:
    clean = scrub({text: text}).value
    assert "\\u0000" not in json.dumps(clean)
    json.dumps(clean, ensure_ascii=False).encode()


@given(junk, st.sampled_from(sorted(PLANTED)), junk)
@settings(max_examples=300, deadline=None)
def test_no_planted_secret_survives_beside_anything(before: str, planted: str, after: str) -> None:
    text = f"{before}\n{planted}\n{after}"
    clean = scrub({text: [text, {"a": text}]}).value
    assert PLANTED[planted] not in json.dumps(clean)


_ABOUT = ["policy", "length", "minimum", "rules", "hash", "algorithm", "manager", "for", "the"]
subjects = st.lists(st.sampled_from(_ABOUT), max_size=4)
spoken = (
    st.from_regex(r"[0-9]{1,4}[-+]?(?:char|day|bit)s?-?[a-z]{0,3}[0-9]{1,2}", fullmatch=True)
    | st.from_regex(r"(?:md5|sha1|x9|utf8|base64|rot13|aes256)[-_]?[g-z]{4,9}[0-9]", fullmatch=True)
    | st.from_regex(r"[a-z]{3,6}[-+!]?[0-9]{2,6}", fullmatch=True).map(lambda word: f"q{word}z")
)


@given(subjects, spoken, st.sampled_from(["is", "is now", "was:"]))
@settings(max_examples=300, deadline=None)
def test_a_password_that_a_sentence_says_is_taken_whatever_the_sentence_is_about(
    about: list[str], secret: str, verb: str
) -> None:
    assert secret not in scrub_text(f"the {' '.join(['password', *about])} {verb} {secret}.")


words = st.text("abcxyz \n.,", max_size=30)


@given(st.lists(st.tuples(words, st.sampled_from(NAMES), words)), words)
def test_no_text_outside_of_spans_is_lost(spans: list[tuple[str, str, str]], after: str) -> None:
    text = "".join(f"{kept}<{name}>{hidden}</{name}>" for kept, name, hidden in spans) + after
    assert scrub_text(text) == "".join(kept for kept, _, _ in spans) + after


@given(words, st.sampled_from(NAMES), words)
def test_nothing_behind_an_open_span_is_kept(kept: str, name: str, hidden: str) -> None:
    assert scrub_text(f"{kept}<{name}>{hidden}") == kept


@given(st.text("abcdefghijklmnopqrstuvwxyz \n.,()+*0123456789", max_size=200))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert scrub_text(text) == text


def test_nothing_that_a_rule_looks_for_can_be_spelt_in_an_id():
    anchors = {anchor for rule in (*TOKENS, *PHRASES) for anchor in rule.anchors}

    letters = [set(word) - set("0123456789abcdef-") for word in {*anchors, *STEMS}]

    assert all(letters)


@given(st.text("0123456789abcdef-", max_size=120))
def test_an_id_stays_as_it_is(text):
    assert scrub_text(text) == text
    assert scrub({"id": text, text: [text]}).value == {"id": text, text: [text]}
