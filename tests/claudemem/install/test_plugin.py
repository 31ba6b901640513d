"""The plugin for Claude Code is what its references ask for, and says what `install` does."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from click.testing import CliRunner

from claudemem.cli import cli
from claudemem.install import claude_code, plugin
from claudemem.mcp import catalogue

pytestmark = pytest.mark.once

URL = "https://memory.example.com"
CLIENT = {"__main__.py": b"print()", "place.py": b""}


def read(name: str) -> Any:
    return json.loads(plugin.files(URL, "1.2.0", CLIENT)[PurePosixPath(name)])


def test_the_marketplace_leads_to_the_plugin() -> None:
    marketplace = read(".claude-plugin/marketplace.json")
    (entry,) = marketplace["plugins"]
    manifest = read(f"{entry['source']}/.claude-plugin/plugin.json")

    assert re.fullmatch("[a-z-]+", marketplace["name"])
    assert marketplace["owner"]["name"]
    assert manifest["name"] == entry["name"]


def test_a_plugin_with_something_else_in_it_is_another_version() -> None:
    path = PurePosixPath("claudemem/.claude-plugin/plugin.json")
    versions = [
        json.loads(plugin.files(url, "1.2.0", client)[path])["version"]
        for url, client in [(URL, CLIENT), (URL, CLIENT), ("http://a", CLIENT), (URL, {})]
    ]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert all(re.fullmatch(r"1\.2\.0-g[0-9a-f]{12}", each) for each in versions)


def test_its_hooks_are_those_that_are_installed_but_for_how_the_client_is_found() -> None:
    hooks = read("claudemem/hooks/hooks.json")["hooks"]
    (start,) = hooks.pop("SessionStart")
    (run,) = start["hooks"]

    assert set(hooks) == set(claude_code.POSTED)
    assert {each["hooks"][0]["url"] for (each,) in hooks.values()} == {
        f"{URL}/v1/hooks/claude-code"
    }
    assert '"${CLAUDE_PLUGIN_ROOT}/claudemem/hook/__main__.py" claude-code' in run["command"]
    assert PurePosixPath("claudemem/claudemem/hook/__main__.py") in plugin.files(URL, "1", CLIENT)


def test_it_holds_no_key() -> None:
    server = read("claudemem/.mcp.json")["mcpServers"]["claude-mem"]
    assert server["headers"] == {"Authorization": "Bearer ${CLAUDE_MEM_SERVER_API_KEY}"}
    assert not any(b"cmem_" in text for text in plugin.files(URL, "1", CLIENT).values())


def test_its_skill_has_a_head_and_names_tools_that_there_are() -> None:
    head, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", plugin.SKILL, re.DOTALL).groups()  # type: ignore[union-attr]
    said = dict(line.split(": ", 1) for line in head.splitlines())
    tools = {tool.name for tool in catalogue.TOOLS}
    options = {name for tool in catalogue.TOOLS for name in tool.properties}

    assert said["name"] == "memory"
    assert 50 < len(said["description"]) < 1024
    assert set(re.findall(r"`(\w+)`", body)) <= tools | options
    steps = [body.index(f"`{name}`") for name in ("search", "timeline", "get_observations")]
    assert steps == sorted(steps)


def test_it_is_built_into_an_empty_directory_and_built_again(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    for url in ("https://one.example.com", URL):
        built = CliRunner().invoke(cli, ["plugin", "build", str(folder), "--remote", url])
        assert built.exit_code == 0, built.output
    assert f"claude plugin marketplace add {folder}" in built.stdout
    assert "claude plugin install claudemem@claudemem" in built.stdout
    assert URL in (folder / "claudemem/hooks/hooks.json").read_text()


@pytest.mark.parametrize("url", ["memory", "https://a/$(id)", "https://me@host", "ftp://host"])
def test_a_url_that_is_none_builds_nothing(tmp_path: Path, url: str) -> None:
    built = CliRunner().invoke(cli, ["plugin", "build", str(tmp_path / "team"), "--remote", url])
    assert built.exit_code == 2
    assert not (tmp_path / "team").exists()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    built = CliRunner().invoke(cli, ["plugin", "build", str(tmp_path), "--remote", URL])
    assert built.exit_code == 1
    assert "no marketplace of ours" in built.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
