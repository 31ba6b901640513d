"""Modes are made from data, and data that makes no mode is refused with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from observations import modes, rendering
from observations.modes import ModeError

pytestmark = pytest.mark.once

CODE = json.loads((modes.PACKAGED / "code.json").read_text(encoding="utf-8"))


def placed(folder: Path, **files: Any) -> Path:
    """A folder with these mode files; `__` in a name stands for `--`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / f"{name.replace('__', '--')}.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return folder


def test_the_mode_code_has_the_types_of_the_contract_with_their_marks() -> None:
    mode = modes.load("code")
    assert {each.id: (each.emoji, each.work_emoji) for each in mode.types} == {
        "bugfix": ("●", "⚒"),
        "feature": ("◆", "⚒"),
        "refactor": ("↻", "⚒"),
        "change": ("✓", "⚒"),
        "discovery": ("○", "⌕"),
        "decision": ("⚖", "⚖"),
        "security_alert": ("⚠", "⚠"),
        "security_note": ("⚷", "⚷"),
        "sensitive": ("⊘", "⊘"),
    }
    assert mode.type_ids[0] == "bugfix"


def test_the_mode_code_has_the_concepts_and_fields_of_the_contract() -> None:
    mode = modes.load("code")
    assert mode.concept_ids == (
        "how-it-works", "why-it-exists", "what-changed", "problem-solution", "gotcha", "pattern",
        "trade-off",
    )  # fmt: skip
    assert [each.id for each in mode.observation_fields if each.many] == [
        "facts", "concepts", "files_read", "files_modified",
    ]  # fmt: skip
    assert [each.id for each in mode.summary_fields] == [
        "request", "investigated", "learned", "completed", "next_steps", "notes",
    ]  # fmt: skip


def test_lists_mark_the_types_of_the_mode_code_as_the_mode_does() -> None:
    mode = modes.load("code")
    assert {each.id: each.emoji for each in mode.types}.items() <= rendering.MARKS.items()


def test_an_unknown_type_has_a_plain_mark() -> None:
    mode = modes.load("code")
    assert (mode.emoji("feature"), mode.emoji("manual")) == ("◆", "•")


def test_the_first_folder_that_has_the_file_wins(tmp_path: Path) -> None:
    mine = placed(tmp_path / "mine", code={**CODE, "name": "Mine"})
    assert modes.load("code", [tmp_path / "none", mine, modes.PACKAGED]).name == "Mine"


def test_an_override_lies_over_its_parent_and_replaces_lists(tmp_path: Path) -> None:
    law = [{"id": "case", "label": "Case", "description": "A case.", "emoji": "§",
            "work_emoji": "§"}]  # fmt: skip
    mine = placed(tmp_path, code__law={"name": "Law", "types": law})
    mode = modes.load("code--law", [mine, modes.PACKAGED])
    assert (mode.id, mode.name, mode.type_ids) == ("code--law", "Law", ("case",))
    assert mode.concept_ids == modes.load("code").concept_ids


def test_objects_are_merged_at_any_depth() -> None:
    base = {"a": {"b": {"c": 1, "d": [1, 2]}, "e": 2}}
    assert modes.merged(base, {"a": {"b": {"d": [3]}}}) == {"a": {"b": {"c": 1, "d": [3]}, "e": 2}}
    assert base["a"]["b"]["d"] == [1, 2]  # type: ignore[index]


@pytest.mark.parametrize(
    "name", ["", "Code", "a b", "../code", "code/x", "-code", "code-", "a--b--c", "code\n", "ä"]
)
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ModeError, match="is no name of a mode"):
        modes.load(name)


@pytest.mark.parametrize("name", ["none", "none--law"])
def test_a_mode_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(ModeError, match=f"There is no mode '{name}'"):
        modes.load(name)


def test_an_override_without_its_parent_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModeError, match="There is no mode 'none'"):
        modes.load("none--law", [placed(tmp_path, none__law={})])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("{", "Mode m is not valid JSON"),
        ("[]", "Mode m is not a JSON object"),
        ("{}", "Mode m lacks 'name'"),
        ({**CODE, "name": " "}, "'name' is not a text"),
        ({**CODE, "name": 3}, "'name' is not a text"),
        ({**CODE, "types": []}, "Mode m has no types"),
        ({**CODE, "concepts": []}, "Mode m has no concepts"),
        ({**CODE, "types": 3}, "Mode m is malformed"),
        ({**CODE, "types": ["bugfix"]}, "Mode m is malformed"),
        ({**CODE, "types": [{"id": "x"}]}, "Mode m lacks 'label'"),
        ({**CODE, "concepts": CODE["concepts"] * 2}, "names one of its concepts twice"),
    ],
)
def test_data_that_makes_no_mode_is_refused_with_the_reason(
    tmp_path: Path, data: Any, reason: str
) -> None:
    with pytest.raises(ModeError, match=reason):
        modes.load("m", [placed(tmp_path, m=data)])
