"""What an agent is told of the tools, and what that costs it."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from claudemem.mcp import catalogue, tools
from claudemem.mcp.catalogue import TOOLS, Tool
from observations import scopes, tellings

pytestmark = pytest.mark.once

BUDGET_TOKENS = 1500
# Tokenizers take 4.3 to 4.5 characters of this list for a token; no text of English and JSON
# takes more than one for three.
CHARACTERS_A_TOKEN = 3
# As clients put it before the tool: `mcp__claude-mem__search`.
LONGEST_NAME = 64
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def test_the_whole_list_costs_an_agent_less_than_its_budget() -> None:
    told = json.dumps({"tools": catalogue.listed(writes=True)}, ensure_ascii=False)

    assert len(told) / CHARACTERS_A_TOKEN < BUDGET_TOKENS


def test_a_client_of_the_first_three_tools_finds_them_first() -> None:
    names = [tool["name"] for tool in catalogue.listed(writes=False)]

    assert names[:3] == ["search", "context", "recent"]


def test_what_an_agent_is_told_by_itself_names_tools_that_there_are() -> None:
    named = set(re.findall(r"`(\w+)`", tellings.RECORDS))

    assert named
    assert named <= set(tools.LISTED)


@pytest.mark.parametrize("name", [catalogue.NAME, *tools.DEEDS])
def test_a_name_is_one_that_every_client_takes(name: str) -> None:
    assert NAME.fullmatch(name)
    assert len(f"mcp__{catalogue.NAME}__{name}") <= LONGEST_NAME


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_is_told_completely(tool: Tool) -> None:
    told = tool.told()
    schema = told["inputSchema"]

    Draft202012Validator.check_schema(schema)
    assert told["title"]
    assert told["description"]
    assert schema["type"] == "object"
    assert set(schema.get("required", ())) <= set(schema["properties"])


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_whether_it_changes_anything(tool: Tool) -> None:
    need = tools.LISTED[tool.name].need
    hints = tool.told()["annotations"]

    assert tool.writes == (need == scopes.WRITE_MEMORY)
    assert hints["readOnlyHint"] is not tool.writes
    assert hints.get("destructiveHint", False) is (tool.name == "forget")


def test_what_is_listed_is_what_can_be_called() -> None:
    assert [tool.name for tool in TOOLS] == list(tools.LISTED)


def test_who_may_not_write_is_not_told_how() -> None:
    names = {tool["name"] for tool in catalogue.listed(writes=False)}

    assert names == {tool.name for tool in TOOLS} - {"remember", "forget"}
