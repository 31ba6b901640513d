"""Windsurf: Cascade's command hooks in hooks.json, the MCP server in mcp_config.json. Pure.

Source: docs.windsurf.com/windsurf/cascade/hooks and /mcp.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from claudemem.install import entries, jsonedit
from claudemem.install.jsonedit import JSON
from claudemem.install.plan import Agent, Connection, Files, Plan, Surroundings

NAME = "windsurf"
EVENTS = ("pre_user_prompt", "post_write_code", "post_run_command", "post_mcp_tool_use",
          "post_cascade_response")  # fmt: skip
HOOKS, SERVERS = "hooks", "servers"


def _files(around: Surroundings, _project: bool) -> Mapping[str, Path]:
    folder = around.home / ".codeium" / "windsurf"
    return {HOOKS: folder / "hooks.json", SERVERS: folder / "mcp_config.json"}


def _install(found: Files, connection: Connection) -> Plan:
    hook: JSON = {"command": shlex.join(connection.command(NAME)), "show_output": False}
    hooks = entries.hooked(entries.load(found[HOOKS]), dict.fromkeys(EVENTS, hook))
    servers = found[SERVERS]
    key = f"${{env:{entries.KEY}}}" if servers.shared else connection.key
    entry = {
        "serverUrl": connection.url + entries.MCP_ROUTE,
        "headers": {"Authorization": f"Bearer {key}"},
    }
    served = entries.served(entries.load(servers), ("mcpServers",), entry)
    notes = [
        "hooks of Windsurf cannot tell the model anything: it is told what it asks for, over MCP",
        *([entries.exported(servers)] if servers.shared else []),
    ]
    after = {HOOKS: jsonedit.dump(hooks), SERVERS: jsonedit.dump(served)}
    return Plan(entries.changes(found, after), tuple(notes))


def _uninstall(found: Files) -> Plan:
    hooks = entries.hooked(entries.load(found[HOOKS]), {})
    servers = entries.unserved(entries.load(found[SERVERS]), ("mcpServers",))
    after = {HOOKS: jsonedit.dump(hooks), SERVERS: jsonedit.dump(servers)}
    return Plan(entries.changes(found, after))


AGENT = Agent(NAME, "Windsurf", _files, _install, _uninstall)
