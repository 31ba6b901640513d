"""The reference has every environment variable that is read, with its default."""

import ast
import re
from pathlib import Path

import pytest

from claudemem.environment import ELSEWHERE, OURS
from tests.docs import pages

pytestmark = pytest.mark.once

REFERENCE = pages.ROOT / "docs" / "reference" / "settings.md"
SETTINGS = pages.ROOT / "claudemem" / "settings.py"
COMMANDS = pages.ROOT / "claudemem" / "commands"
# The methods that read a setting, one a kind of value.
KINDS = {"text", "whole", "number", "flag", "choice", "words", "url"}
VARIABLE = re.compile(r"\b(?:CLAUDE_MEM|CLAUDE_CONFIG|OPENROUTER)_[A-Z_]+[A-Z]\b")


def read_by_settings() -> dict[str, str | None]:
    """Each variable that settings read, with its default as text; None where it is worked out."""
    return {
        call.args[0].value: _default(call)
        for call in ast.walk(ast.parse(SETTINGS.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and ast.unparse(call.func.value) == "env"
        and call.func.attr in KINDS
        and isinstance(call.args[0], ast.Constant)
    }


def _default(call: ast.Call) -> str | None:
    if not call.args[1:]:
        return ""
    try:
        value = ast.literal_eval(call.args[1])
    except ValueError:
        return None
    if isinstance(value, bool):
        return None
    if isinstance(value, list):
        return ",".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_by_commands() -> set[str]:
    """The variables that stand for options of commands."""
    return {
        found
        for module in COMMANDS.glob("*.py")
        for found in re.findall(r'"(CLAUDE_MEM_\w+)"', module.read_text())
    }


def told() -> dict[str, str]:
    """The variables of the reference, and what stands in the column of the default."""
    return {
        pages.code(row[0]): row[1]
        for row in pages.rows(REFERENCE.read_text())
        if VARIABLE.fullmatch(pages.code(row[0]))
    }


def test_the_reference_has_every_variable_and_nothing_else() -> None:
    assert set(told()) == set(read_by_settings()) | read_by_commands()


def test_the_defaults_of_the_reference_are_those_of_the_settings() -> None:
    for variable, default in read_by_settings().items():
        if default:
            assert told()[variable] == f"`{default}`", variable


def test_every_variable_on_a_page_is_in_the_reference_or_another_program_s() -> None:
    known = set(told()) | {f"{OURS}{name}" for name in ELSEWHERE.split()}
    for page in pages.PAGES:
        for variable in VARIABLE.findall(_without_patterns(page)):
            own = variable.startswith(f"{OURS}TEST_")
            assert own or variable in known, (page, variable)


def _without_patterns(page: Path) -> str:
    # `CLAUDE_MEM_*` names a family.
    return page.read_text().replace("CLAUDE_MEM_*", "")
