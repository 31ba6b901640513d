"""Each line of the wire's checklist has tests that show it, or a reason why there are none."""

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.once

TESTS = Path(__file__).parents[1]
LINES: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("wire_lines.toml").read_text()
)
# How many lines the checklist has, by its sections.
SECTIONS = {
    "e2e": 18, "keys": 16, "core": 11, "sessions": 8, "events": 19, "memories": 9, "compat": 6,
    "mcp": 8, "client": 9, "queue": 22, "storage": 12, "cli": 5, "sound": 10,
}  # fmt: skip


def test_no_line_is_forgotten() -> None:
    wanted = [f"{name}-{number:02}" for name, most in SECTIONS.items()
              for number in range(1, most + 1)]  # fmt: skip
    assert list(LINES) == wanted


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_line_is_shown_or_left_out_with_a_reason(line: dict[str, Any]) -> None:
    assert set(line) in ({"says", "shown"}, {"says", "left_out"})
    if "left_out" in line:
        assert line["left_out"].endswith(".")
    for node in line.get("shown", ()):
        file, _, test = node.partition("::")
        assert test in _tests(file) | {"*"}, f"there is no {node}"


@cache
def _tests(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
