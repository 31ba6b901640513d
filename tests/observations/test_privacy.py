"""What the door does to a payload: spans, depth, length, characters, counts."""

import copy
from time import process_time

import pytest

from observations.detectors import PHRASES, TOKENS
from observations.drafts import JSON
from observations.privacy import scrub, scrub_text
from observations.spans import NAMES, fold

pytestmark = pytest.mark.once

TOKEN = "ghp_" + "a1B2c3D4" * 5
CLEAN_TOKEN = "[redacted:github-token]"


@pytest.mark.parametrize("name", NAMES)
def test_a_tagged_span_is_cut_out(name: str) -> None:
    scrubbed = scrub(f"before <{name}>hidden</{name}> after")
    assert scrubbed.value == "before  after"
    assert scrubbed.removed == {name: 1}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a<private reason='x'>b</private>c", "ac"),
        ("a<PRIVATE>b</Private>c", "ac"),
        ("a<private>b\nb</private\n>c", "ac"),
        ("a<private note='1 > 0'>b</private>c", "ac"),
        ("a<private>b</private>c<private>d</private>e", "ace"),
        ("a<private>b<private>c</private>d</private>e", "ae"),
        ("a<private>b<system-reminder>c</private>d</system-reminder>e", "ade"),
        ("a<system_instruction>b</system-instruction>c</system_instruction>d", "ad"),
        ("a<private/>b<private />c<private x='1' />d", "abcd"),
        ("a</private>b", "b"),
        ("a<private>b</private>c</private>d", "ad"),
        ("a</system-reminder>b", "ab"),
        ("<pri<private>x</private>vate>secret</private>", "<pri"),
        ("<pri<private>x</private>vate>secret", ""),
        ("<privateer>a</privateer>", "<privateer>a</privateer>"),
        ("a < private > b", "a < private > b"),
    ],
)
def test_spans_are_cut_as_they_are_written(text: str, left: str) -> None:
    assert scrub_text(text) == left


@pytest.mark.parametrize("tag", ["private", "PRIVATE", "Claude-Mem-Context"])
@pytest.mark.parametrize(
    ("opens", "slash", "ends"),
    [
        ("<", "\\/", ">"),
        ("\\u003c", "/", "\\u003e"),
        ("\\u003C", "\\/", "\\u003E"),
        ("\\\\u003c", "\\\\/", "\\\\u003e"),
        ("\\x3c", "/", "\\x3e"),
        ("&lt;", "/", "&gt;"),
        ("&LT;", "&#x2F;", "&GT;"),
        ("&#60;", "&#47;", "&#062;"),
        ("&#x3C;", "&sol;", "&#x3e;"),
        ("&amp;amp;lt;", "/", "&amp;amp;gt;"),
        ("\\u0026lt;", "/", "\\u0026gt;"),
        ("\\\\u0026amp;lt;", "\\/", "\\\\u0026amp;gt;"),
        ("%3c", "/", "%3e"),
        ("%3C", "%2F", "%3E"),
        ("%253C", "%252f", "%253e"),
    ],
)
def test_a_tag_is_known_however_a_text_around_it_escapes_it(
    tag: str, opens: str, slash: str, ends: str
) -> None:
    opening, closing = f"{opens}{tag}{ends}", f"{opens}{slash}{tag}{ends}"
    assert scrub_text(f"keep {opening}hidden{closing} this") == "keep  this"
    assert scrub_text(f"keep {opening}a{opening}b{closing}hidden{closing}c") == "keep c"
    assert scrub_text(f"keep {opens}{tag} why='x'{ends}hidden{closing}c") == "keep c"
    assert scrub_text(f"keep {opening}hidden") == "keep "
    assert (
        scrub_text(f"keep{opens}{tag}{slash}{ends}, {opens}{tag} {slash}{ends}all") == "keep, all"
    )
    assert scrub({f"a{opening}hidden{closing}": 1}).value == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "<private>\\u003c/private\\u003ehidden</private>",
        "<private>&lt;/private&gt;hidden</private>",
        "&lt;private&gt;</private>hidden&lt;/private&gt;",
        "%3Cprivate%3E&lt;/private&gt;hidden%3C/private%3E",
        "&lt;private a&gt;hidden/&gt;&lt;/private&gt;",
    ],
)
def test_a_span_ends_only_with_a_tag_that_is_written_as_its_first(text: str) -> None:
    assert scrub_text(f"a{text}b") == "ab"


@pytest.mark.parametrize(
    "text", ["&lt;privateer&gt;", "\\u003cprivate-key", "%3Cprivates", "&private;"]
)
def test_what_is_no_tag_once_unescaped_stays(text: str) -> None:
    assert scrub_text(f"a {text} b") == f"a {text} b"


def test_a_span_over_several_lines_of_a_patch_is_cut_out_of_all_of_them() -> None:
    patch: JSON = [" a", " <private>", "-hidden", "+it</private>", "", "+them</private> b", " c"]
    scrubbed = scrub({"structuredPatch": [{"lines": patch}], "other": ["hidden", "not"]})
    lines = [" a", " ", "", "", "", " b", " c"]
    assert scrubbed.value == {"structuredPatch": [{"lines": lines}], "other": ["hidden", "not"]}
    assert scrubbed.removed == {"private": 2}


@pytest.mark.parametrize("lines", [["<private", "a='b'>hidden"], ["a", "&lt;private&gt;", "\0h"]])
def test_a_span_that_a_list_never_closes_is_cut_to_the_end_of_the_list(lines: list[str]) -> None:
    assert scrub([*lines, ["kept"], "hidden"]).value in (
        ["", "", ["kept"], ""],
        ["a", "", "", ["kept"], ""],
    )


def test_lines_that_reach_beyond_a_part_of_a_span_lose_what_stands_before_its_end() -> None:
    edit: JSON = {"old_string": "Acme</private>\nDeploy", "lines": ["Acme", "</private>", "go"]}
    assert scrub(edit).value == {"old_string": "\nDeploy", "lines": ["", "", "go"]}


def test_a_span_that_never_closes_is_cut_to_the_end() -> None:
    assert scrub_text("keep <private>this is\nnot for you") == "keep "


def test_a_span_whose_inner_one_never_closes_is_cut_to_the_end() -> None:
    assert scrub_text("keep <private>a<private>b</private>c") == "keep "


def test_spans_and_secrets_go_at_any_depth_and_in_keys() -> None:
    value: JSON = {"a": [{"b": ["x", f"use {TOKEN}"]}], f"k {TOKEN}": "<private>p</private>q"}
    scrubbed = scrub(value)
    assert scrubbed.value == {"a": [{"b": ["x", f"use {CLEAN_TOKEN}"]}], f"k {CLEAN_TOKEN}": "q"}
    assert scrubbed.removed == {"github-token": 2, "private": 1}


def test_the_value_that_came_is_not_changed() -> None:
    value: JSON = {"a": [TOKEN, {"password": "x"}], "b": {"c": 1}}
    before = copy.deepcopy(value)
    scrubbed = scrub(value).value
    assert value == before
    assert isinstance(scrubbed, dict)
    assert isinstance(value, dict)
    assert scrubbed["b"] is not value["b"]


def test_what_needs_no_cleaning_comes_out_equal_and_uncounted() -> None:
    value: JSON = {"n": None, "t": True, "i": 2**80, "f": 1.5, "s": "größer", "l": [], "d": {}}
    scrubbed = scrub(value)
    assert scrubbed.value == value
    assert scrubbed.removed == {}


@pytest.mark.parametrize("value", [None, True, 7, 1.5, "text", [], {}, ["x"]])
def test_any_json_value_may_stand_at_the_top(value: JSON) -> None:
    assert scrub(value).value == value


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", "password"),
        ("DB_PASSWORD", "password"),
        ("passwordConfirmation", "password"),
        ("api_key", "api-key"),
        ("apiKey", "api-key"),
        ("X-Api-Key", "api-key"),
        ("client_secret", "secret"),
        ("SECRET_KEY", "secret-key"),
        ("SECRET_KEY_BASE", "secret-key"),
        ("accessToken", "token"),
        ("authorization", "authorization"),
        ("Set-Cookie", "authorization"),
        ("private_key", "private-key"),
    ],
)
def test_the_string_under_a_key_that_names_a_secret_is_replaced(name: str, kind: str) -> None:
    scrubbed = scrub({"outer": {name: "two words"}})
    assert scrubbed.value == {"outer": {name: f"[redacted:{kind}]"}}
    assert scrubbed.removed == {kind: 1}


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": "42", "max_tokens": "4096", "token_type": "bearer", "nextToken": "abc1234567"},
        {"token": 42, "password": None, "secret": False, "api_key": {"id": "a"}},
        {"password": "", "token": "${TOKEN}", "api_key": "<your key>", "secret": "***"},
        {"key": "value", "primary_key": "id", "public_key": "abc", "session_id": "0b6d3c1e"},
    ],
)
def test_keys_that_only_sound_like_secrets_and_values_that_hold_none_stay(value: JSON) -> None:
    assert scrub(value).value == value


def test_a_list_under_a_key_that_names_secrets_is_replaced_item_by_item() -> None:
    assert scrub({"passwords": ["a1", ["b2"], 3]}).value == {
        "passwords": ["[redacted:password]", ["[redacted:password]"], 3]
    }


def test_keys_that_become_alike_are_told_apart() -> None:
    other = "ghp_" + "d4C3b2A1" * 5
    assert scrub({TOKEN: 1, other: 2, "a\0": 3, "a": 4}).value == {
        CLEAN_TOKEN: 1,
        f"{CLEAN_TOKEN}#1": 2,
        "a": 3,
        "a#3": 4,
    }


def test_an_overlong_text_keeps_its_head_and_its_tail() -> None:
    text = "".join(f"line {n}\n" for n in range(100_000))
    scrubbed = scrub({"stdout": text}, max_text=1_000)
    assert isinstance(scrubbed.value, dict)
    short = scrubbed.value["stdout"]
    assert isinstance(short, str)
    head, middle, tail = short.partition("\n[… ")
    assert text.startswith(head)
    assert text.endswith(tail.partition("…]\n")[2])
    assert len(short) <= 1_000
    assert 2.5 < len(head) / len(tail.partition("…]\n")[2]) < 3.5
    assert int(tail.split()[0]) == len(text) - len(head) - len(tail.partition("…]\n")[2])
    assert middle
    assert scrubbed.removed == {"truncated": 1}


@pytest.mark.parametrize("length", [1_000, 5_000, 20_000])
@pytest.mark.parametrize("secret", [TOKEN, "password='hunter2hunter2'", "x://u:hunter2pw@h "])
def test_no_half_of_a_secret_survives_a_cut(length: int, secret: str) -> None:
    body = (secret + " ") * (length // len(secret) + 100)
    for shift in range(0, 60, 7):
        clean = scrub_text("-" * shift + "\n" + body, max_text=900)
        assert "hunter2" not in clean
        assert "a1B2" not in clean
        assert len(clean) <= 900


def test_a_secret_longer_than_the_margin_leaves_no_tail() -> None:
    blob = "a1B2c3D4" * 4_000
    assert "a1B2" not in scrub_text(f"token={blob}\n", max_text=1_000)


def test_a_span_that_reaches_over_the_cut_is_gone_whole() -> None:
    text = "head <private>" + "x" * 50_000 + " hidden</private> tail"
    assert scrub_text(text, max_text=1_000) == "head  tail"


def test_a_key_block_that_reaches_over_the_cut_is_gone_whole() -> None:
    text = (
        "-----BEGIN PRIVATE" + " KEY-----\n" + "MIIEowIB\n" * 9_000 + "-----END PRIVATE KEY-----x"
    )
    assert scrub_text(text, max_text=1_000) == "[redacted:private-key]x"


@pytest.mark.parametrize("limit", [0, 1, 5, 50, 95, 96, 97, 200])
def test_small_limits_hold_too(limit: int) -> None:
    clean = scrub_text("some words " * 100, max_text=limit)
    assert len(clean) <= limit
    assert scrub_text(clean, max_text=limit) == clean


def test_nul_and_lone_surrogates_are_cleaned_in_keys_and_values() -> None:
    assert scrub({"a\0b\ud800": ["\0x", "\udfff!", "\U0001f600"]}).value == {
        "ab\ufffd": ["x", "\ufffd!", "\U0001f600"]
    }


def test_a_nul_hides_no_secret_and_no_tag() -> None:
    assert scrub_text("pass\0word=hunter2 <pri\0vate>x") == "password=[redacted:password] "


def test_a_thousand_levels_are_walked_without_recursion() -> None:
    deep: JSON = TOKEN
    for n in range(1_000):
        deep = [deep] if n % 2 else {"k": deep}
    clean = scrub(deep)
    assert clean.removed == {"github-token": 1}
    value = clean.value
    for _ in range(1_000):
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]  # type: ignore[index]
    assert value == CLEAN_TOKEN


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "<",
        "<private>",
        "</private ",
        "\\",
        "&amp;",
        "\\u0026",
        "%25",
        "&lt;private",
        "<private \"'",
        "password=",
        "-----BEGIN",
        "http://a:",
        "eyJ",
        "token.",
        "\0",
        "\ud800",
    ],
)
def test_five_hostile_megabytes_take_linear_time(unit: str) -> None:
    text = unit * (5_000_000 // len(unit))
    start = process_time()
    scrub({"stdout": text})
    assert process_time() - start < 5  # a fraction of a second; quadratic would be minutes


UNITS = {anchor for detector in (*TOKENS, *PHRASES) for anchor in detector.anchors} | {
    "password=",
    "pass: ",
    "http://a:b@",
    "--token ",
    "eyJ.",
    "token='",
    "password " + "-" * 150,
    "BEGIN PRIVATE KEY-----'",
}


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_uncut_hostile_text_takes_linear_time(unit: str) -> None:
    start = process_time()
    scrub_text(unit * (30_000 // len(unit)))
    scrub_text(f"{unit}-1a " * (30_000 // len(unit)))
    assert process_time() - start < 5


def test_of_more_suspects_than_anything_real_holds_the_others_go_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("observations.privacy._MOST_SUSPECTED", 100)
    names: list[JSON] = [f'long_named_password_{i} = "hunter{i}"' for i in range(200)]
    value: JSON = {"last": dict.fromkeys(map(str, names), "x"), "first": names, "plain": "stays"}

    scrubbed = scrub(value)

    assert isinstance(scrubbed.value, dict)
    assert scrubbed.value["plain"] == "stays"
    assert scrubbed.removed["unsettled"] == 300
    assert scrubbed.removed["password"] == 100
    assert "hunter" not in str(scrubbed.value)
    assert scrub(scrubbed.value).value == scrubbed.value


def test_what_a_name_holds_that_was_not_looked_into_is_withheld(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("observations.privacy._MOST_SUSPECTED", 100)
    value: JSON = {f"number_{i}_of_a_long_password": f"letme{i}" for i in range(200)}
    assert "letme" not in str(scrub(value).value)


@pytest.mark.parametrize(
    "unit", ["1", "_1", "_new", "aws_secret", "Aa", "-", "${", "/a", "a.", "{"]
)
def test_hostile_names_and_values_are_judged_in_linear_time(unit: str) -> None:
    start = process_time()
    scrub({f"token{unit * 40}x": "y", f"{unit * 400} x": "y", "k": f"token = '{unit * 400} x'"})
    assert process_time() - start < 1


def test_a_text_that_never_settles_is_not_kept() -> None:
    text = "x"
    for _ in range(12):
        text = f"<pri<private>{text}</private>vate>y</private>"
    clean = scrub_text("keep " + text)
    assert scrub_text(clean) == clean
    assert "private" not in clean


def test_folding_keeps_every_offset() -> None:
    assert all(len(fold(chr(c))) == 1 for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    assert fold("İPASSWORD") == "ipassword"


def test_text_beside_letters_that_grow_when_lowered_is_cut_at_the_right_place() -> None:
    assert scrub_text('İİİ password = "hunter2" İ') == 'İİİ password = "[redacted:password]" İ'
