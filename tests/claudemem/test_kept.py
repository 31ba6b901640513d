"""The text of a settings file: what it says, and how a choice is put into it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem import kept
from claudemem.environment import Environment
from claudemem.kept import ENGINE, HOST, MODE, OUTSIDE, PORT, STORE, URL, Broken

pytestmark = pytest.mark.once

SECRET = "hunter2-hunter2"
# What claude-mem writes into a file that it makes, as far as it concerns a queue.
SEEDED = {ENGINE: "sqlite", URL: "", HOST: "127.0.0.1", PORT: "6379", MODE: "external"}

names = st.sampled_from([f"CLAUDE_MEM_{name}" for name in "ABC"])
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=5)
scalars = st.one_of(texts, st.integers(), st.booleans())
anything = st.recursive(
    st.one_of(scalars, st.none(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def said(document: Any) -> dict[str, str]:
    found = kept.parse(json.dumps(document), "settings.json")
    assert found.faults == ()
    return {name: each.text for name, each in found.said.items()}


def test_settings_stand_at_the_top_or_under_env() -> None:
    settings = {"CLAUDE_MEM_MODE": "code"}

    assert said(settings) == settings
    assert said({"env": settings, "hooks": {}}) == settings
    assert said({**settings, "env": "production"}) == settings


def test_numbers_and_switches_may_be_written_as_such() -> None:
    assert said({"CLAUDE_MEM_A": 38001, "CLAUDE_MEM_B": 0.5, "CLAUDE_MEM_C": True}) == {
        "CLAUDE_MEM_A": "38001", "CLAUDE_MEM_B": "0.5", "CLAUDE_MEM_C": "1",
    }  # fmt: skip
    assert said({"CLAUDE_MEM_A": False, "CLAUDE_MEM_B": None}) == {
        "CLAUDE_MEM_A": "0", "CLAUDE_MEM_B": "",
    }  # fmt: skip


@pytest.mark.parametrize("value", [[], {}, ["x"], "a\0b", "a\x1bb", "\ud800"])
def test_a_value_of_a_wrong_kind_is_a_fault_of_whoever_asks_for_it(value: Any) -> None:
    text = json.dumps({"x": 1, "CLAUDE_MEM_A": value}, indent=2)
    env = Environment({})
    env.beneath(kept.parse(text, "settings.json"))
    assert env.verdict() == ""
    assert env.text("CLAUDE_MEM_A", "default") == "default"
    assert not env.given("CLAUDE_MEM_A")
    assert env.verdict().startswith("CLAUDE_MEM_A (settings.json, line 3) must ")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line 1: it is no JSON"),
        ('{\n"A": 1,\n', "line 3: it is no JSON"),
        ('{"A": "' + SECRET, "line 1: it is no JSON"),
        ('{"A": 1} // ' + SECRET, "line 1: it is no JSON"),
        ("\0", "line 1: it is no JSON"),
        ("[]", "must hold an object"),
        ("null", "must hold an object"),
        (json.dumps(SECRET), "must hold an object"),
        ("[" * 200_000, "cannot be read"),
        ('{"A": ' + "9" * 10_000 + "}", "cannot be read"),
        ('{"A": "' + " " * kept.LARGEST + '"}', "larger than any"),
    ],
)
def test_what_is_no_settings_file_is_one_fault_that_says_where_and_what_to_do(
    text: str, what: str
) -> None:
    found = kept.parse(text, "/data/settings.json")
    (fault,) = found.faults
    assert found.said == {}
    assert fault.startswith("/data/settings.json")
    assert what in fault
    assert "mend it, or move it away" in fault
    assert SECRET not in fault
    with pytest.raises(Broken, match=what):
        kept.changed(text or "{", {"A": "1"}, "/data/settings.json")


@given(st.text())
def test_no_text_does_more_than_be_refused(text: str) -> None:
    found = kept.parse(text, "settings.json")
    assert not (found.faults and found.said)


@pytest.mark.parametrize("name", sorted(OUTSIDE))
def test_what_only_the_environment_can_say_is_not_taken_from_a_file(name: str) -> None:
    assert said({name: "x", "PATH": "/x", "OPENROUTER_API_KEY": "x"}) == {}


def test_what_claude_mem_writes_by_itself_chooses_nothing() -> None:
    assert said(SEEDED) == {}
    assert said({**SEEDED, ENGINE: "celery"}) == {ENGINE: "celery"}
    assert said({**SEEDED, ENGINE: "database"}) == {ENGINE: "database"}


def test_what_was_chosen_in_a_file_of_claude_mem_holds() -> None:
    assert said({**SEEDED, ENGINE: "bullmq"}) == {**SEEDED, ENGINE: "bullmq"}
    assert said({**SEEDED, HOST: "queue"}) == {**SEEDED, HOST: "queue"}
    assert said({ENGINE: "sqlite"}) == {ENGINE: "sqlite"}


def test_the_line_of_a_fault_is_that_of_the_value_that_holds() -> None:
    text = '{\n"CLAUDE_MEM_A": 1,\n\n"CLAUDE_MEM_A" : "x" }'
    assert kept.parse(text, "f").where("CLAUDE_MEM_A") == "f, line 4"
    escaped = '{"CLAUDE_MEM_\\u0041": 1}'
    assert kept.parse(escaped, "f").where("CLAUDE_MEM_A") == "f"


@given(st.dictionaries(names, st.sampled_from(["", " ", "env"])), st.dictionaries(names, scalars))
def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    variables: dict[str, str], file: dict[str, Any]
) -> None:
    env = Environment(variables)
    env.beneath(kept.parse(json.dumps(file), "settings.json"))
    for name in (f"CLAUDE_MEM_{each}" for each in "ABC"):
        below = said({name: file[name]})[name] if name in file else ""
        assert env.text(name, "default") == (variables.get(name, "").strip() or below or "default")
    assert env.faults == []


@given(
    st.dictionaries(st.sampled_from(STORE), st.sampled_from(["", "env"])),
    st.dictionaries(st.sampled_from(STORE), st.just("file")),
)
def test_mode_and_place_of_the_store_are_all_of_the_environment_or_all_of_the_file(
    variables: dict[str, str], file: dict[str, str]
) -> None:
    env = Environment(variables)
    env.beneath(kept.parse(json.dumps(file), "settings.json"))
    held = {name: env.text(name) for name in STORE}
    whole = variables if any(variables.values()) else file
    assert held == {name: whole.get(name, "") for name in STORE}


@given(
    st.dictionaries(st.text(max_size=3), anything, max_size=4),
    st.booleans(),
    st.dictionaries(names, st.one_of(texts, st.none())),
)
def test_a_change_changes_what_it_names_and_nothing_else(
    document: dict[str, Any], nested: bool, changes: dict[str, str | None]
) -> None:
    whole = {"theme": "dark", "env": document} if nested else document
    text = kept.changed(json.dumps(whole), changes, "f")
    place = json.loads(text)
    if nested:
        assert place.pop("theme") == "dark"
    values = place["env"] if isinstance(place.get("env"), dict) else place
    before = document["env"] if isinstance(document.get("env"), dict) and not nested else document
    for name, value in changes.items():
        assert values.pop(name, None) == value
    assert values == {name: value for name, value in before.items() if name not in changes}
    assert kept.changed(text, changes, "f") == text


def test_what_is_written_keeps_the_order_and_has_two_spaces() -> None:
    text = '{"b": "ü", "CLAUDE_MEM_A": "1", "a": [1]}'
    assert kept.changed(text, {"CLAUDE_MEM_A": "2", "CLAUDE_MEM_B": "3"}, "f") == (
        '{\n  "b": "ü",\n  "CLAUDE_MEM_A": "2",\n  "a": [\n    1\n  ],\n  "CLAUDE_MEM_B": "3"\n}\n'
    )


def test_names_of_secrets_are_told_and_never_their_values() -> None:
    document = {
        "CLAUDE_MEM_GEMINI_API_KEY": SECRET, "CLAUDE_MEM_FLOWER_PASSWORD": SECRET,
        URL: f"redis://:{SECRET}@h/0", "CLAUDE_MEM_OPENROUTER_API_KEY": "", "PORT": 1,
    }  # fmt: skip
    assert kept.secrets(json.dumps(document)) == (
        "CLAUDE_MEM_FLOWER_PASSWORD", "CLAUDE_MEM_GEMINI_API_KEY", URL,
    )  # fmt: skip
    assert kept.secrets('{"A": "redis://h/0", "B": "redis://[h"}') == ()
    assert kept.secrets("rubbish") == ()
