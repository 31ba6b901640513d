"""`claudemem mcp`: which server it asks, and with which key."""

import json
from pathlib import Path

import pytest

from claudemem import datadir
from claudemem.commands.mcp import Given, whom
from claudemem.datadir import DataDir
from claudemem.mcp.remote import Place, Unplaced

pytestmark = pytest.mark.once

HOOKS = "https://memory.example/team"


@pytest.fixture
def installed(tmp_path: Path) -> DataDir:
    data = datadir.locate(str(tmp_path))
    data.client.mkdir()
    (data.client / "config.json").write_text(json.dumps({"url": HOOKS, "key": "ours"}))
    return data


def test_without_a_word_it_asks_whom_the_hooks_of_this_machine_send_to(installed: DataDir) -> None:
    assert whom(installed, Given(project="shop")) == Place(HOOKS, "ours", "shop")
    assert whom(installed, Given(url=f"{HOOKS}/")) == Place(f"{HOOKS}/", "ours")


def test_another_server_never_sees_the_key_of_the_hooks(installed: DataDir) -> None:
    assert whom(installed, Given(url="https://else.example")) == Place("https://else.example")


def test_a_key_that_is_given_goes_to_the_server_that_is_given(installed: DataDir) -> None:
    assert whom(installed, Given(HOOKS, "mine")) == Place(HOOKS, "mine")
    assert whom(installed, Given(key="mine")).url.startswith("http://127.0.0.1")


def test_settings_say_it_before_what_was_installed(installed: DataDir) -> None:
    installed.settings.write_text(json.dumps({"CLAUDE_MEM_SERVER_API_KEY": "kept"}))
    assert whom(installed, Given(url=HOOKS)) == Place(HOOKS, "kept")


def test_a_configuration_that_cannot_be_understood_is_told_to_the_agent(installed: DataDir) -> None:
    (installed.client / "config.json").write_text("[]")
    with pytest.raises(Unplaced, match="remove it"):
        whom(installed, Given())
