"""Gemini CLI: command hooks and the MCP server, both in the user's settings.json. Pure.

Source: docs/hooks/reference.md and docs/tools/mcp-server.md of google-gemini/gemini-cli.
"""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from claudemem.install import entries, jsonedit
from claudemem.install.jsonedit import JSON, Document
from claudemem.install.plan import Agent, Connection, Files, Plan, Surroundings

NAME = "gemini"
EVENTS = ("SessionStart", "BeforeAgent", "AfterTool", "AfterAgent", "PreCompress", "SessionEnd")
SETTINGS = "settings"
# Milliseconds; the client ends by itself before that.
_TIMEOUT = 5000


def _files(around: Surroundings, _project: bool) -> Mapping[str, Path]:
    named = around.environment.get("GEMINI_CLI_HOME", "").strip()
    home = Path(named).expanduser() if named else around.home
    return {SETTINGS: home / ".gemini" / "settings.json"}


def _install(found: Files, connection: Connection) -> Plan:
    settings = found[SETTINGS]
    command = shlex.join(connection.command(NAME))
    hook: JSON = {
        "name": entries.SERVER, "type": "command", "command": command, "timeout": _TIMEOUT,
    }  # fmt: skip
    groups = {event: {"hooks": [hook]} for event in EVENTS}
    document = entries.hooked(entries.load(settings), groups)
    key = f"${{{entries.KEY}}}" if settings.shared else connection.key
    entry = {
        "httpUrl": connection.url + entries.MCP_ROUTE,
        "headers": {"Authorization": f"Bearer {key}"},
    }
    document = entries.served(document, ("mcpServers",), entry)
    notes = [*_warnings(document), *([entries.exported(settings)] if settings.shared else [])]
    return Plan(entries.changes(found, {SETTINGS: jsonedit.dump(document)}), tuple(notes))


def _uninstall(found: Files) -> Plan:
    document = entries.hooked(entries.load(found[SETTINGS]), {})
    document = entries.unserved(document, ("mcpServers",))
    return Plan(entries.changes(found, {SETTINGS: jsonedit.dump(document)}))


def _warnings(document: Document) -> Iterator[str]:
    config = document.value.get("hooksConfig")
    if not isinstance(config, dict):
        return
    disabled = config.get("disabled")
    if config.get("enabled") is False or (
        isinstance(disabled, list) and entries.SERVER in disabled
    ):
        yield "hooksConfig switches our hooks off: nothing is remembered until that is taken out"


AGENT = Agent(NAME, "Gemini CLI", _files, _install, _uninstall)
