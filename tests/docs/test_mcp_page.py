"""What the pages say of MCP is so: the tools, and the commands that connect an agent."""

import json

import pytest

from claudemem.mcp import catalogue, tools
from claudemem.mcp.catalogue import TOOLS
from observations import scopes
from tests.claude_code import added
from tests.docs import pages

pytestmark = pytest.mark.once

HOW_TO = pages.ROOT / "docs" / "how-to" / "connect-over-mcp.md"
SECTIONS = pages.sections(pages.ROOT / "docs" / "reference" / "mcp.md")
LIMITS = {
    "search": catalogue.SEARCH, "context": catalogue.CONTEXT, "recent": catalogue.RECENT,
    "timeline": catalogue.TIMELINE,
}  # fmt: skip
CHANGES = {"no": (False, False), "adds": (True, False), "deletes": (True, True)}


def tables(section: str) -> dict[str, list[str]]:
    """The rows of a section by their first cell; of a name that is in several, the first."""
    rows: dict[str, list[str]] = {}
    for row in pages.rows(SECTIONS[section]):
        rows.setdefault(pages.code(row[0]), row[1:])
    return rows


def test_the_reference_has_every_tool_with_its_arguments() -> None:
    told = tables("Tools")

    assert list(told)[: len(TOOLS)] == [tool.name for tool in TOOLS]
    assert set(told) == set(tools.DEEDS)
    for tool in TOOLS:
        arguments, changes, _ = told[tool.name]
        assert set(pages.inline(arguments)) == set(tool.properties), tool.name
        assert CHANGES[changes] == (tool.writes, tool.destructive), tool.name


def test_the_reference_has_the_limits() -> None:
    rows = [row for row in pages.rows(SECTIONS["Tools"]) if len(row) == 3]

    assert {pages.code(name): (usual, most) for name, usual, most in rows} == {
        name: (str(limit.usual), str(limit.most)) for name, limit in LIMITS.items()
    }


def test_the_reference_says_which_scopes_a_tool_needs() -> None:
    needs = {
        frozenset(pages.inline(held)): allowed for held, allowed in pages.rows(SECTIONS["Scopes"])
    }

    for name, deed in tools.DEEDS.items():
        if deed.need != scopes.READ_MEMORY:
            assert name in needs[deed.need]
    assert scopes.READ_MEMORY in needs


def test_the_commands_that_connect_have_the_form_that_claude_code_takes() -> None:
    commands = [
        added(line)
        for block in pages.blocks(HOW_TO, "bash")
        for line in block.text.splitlines()
        if line.startswith("claude mcp add")
    ]

    assert commands
    for command in commands:
        if command.program:
            assert (command.words, command.program) == ((catalogue.NAME,), ("claudemem", "mcp"))
        else:
            name, url = command.words
            assert name == catalogue.NAME
            assert url.endswith("/v1/mcp")
            assert command.options["--transport"] == ("http",)
            (header,) = command.options["--header"]
            assert header.startswith("Authorization: Bearer ")


def test_the_program_of_the_how_to_is_ours() -> None:
    (configured,) = [json.loads(block.text) for block in pages.blocks(HOW_TO, "json")]

    assert configured["mcpServers"][catalogue.NAME]["args"] == ["mcp"]
