"""Cursor: command hooks in hooks.json, the MCP server in mcp.json, both the user's. Pure.

Source: cursor.com/docs/agent/hooks and /docs/context/mcp. `postToolUse` comes for every tool, so
that the events of single kinds of tools are left out.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from claudemem.install import entries, jsonedit
from claudemem.install.jsonedit import JSON, Document
from claudemem.install.plan import Agent, Connection, Files, Plan, Surroundings

NAME = "cursor"
EVENTS = ("sessionStart", "beforeSubmitPrompt", "postToolUse", "postToolUseFailure",
          "subagentStop", "afterAgentResponse", "preCompact", "stop", "sessionEnd")  # fmt: skip
HOOKS, SERVERS = "hooks", "servers"
_VERSION = "version"


def _files(around: Surroundings, _project: bool) -> Mapping[str, Path]:
    folder = around.home / ".cursor"
    return {HOOKS: folder / "hooks.json", SERVERS: folder / "mcp.json"}


def _install(found: Files, connection: Connection) -> Plan:
    hook: JSON = {"command": shlex.join(connection.command(NAME))}
    hooks = entries.load(found[HOOKS])
    is_new = not hooks.value
    hooks = entries.hooked(hooks, dict.fromkeys(EVENTS, hook))
    if is_new:
        # Behind the hooks: by that it is known for ours.
        hooks = jsonedit.put(hooks, (_VERSION,), 1)
    servers = found[SERVERS]
    key = f"${{env:{entries.KEY}}}" if servers.shared else connection.key
    entry = {
        "url": connection.url + entries.MCP_ROUTE,
        "headers": {"Authorization": f"Bearer {key}"},
    }
    served = entries.served(entries.load(servers), ("mcpServers",), entry)
    notes = (entries.exported(servers),) if servers.shared else ()
    after = {HOOKS: jsonedit.dump(hooks), SERVERS: jsonedit.dump(served)}
    return Plan(entries.changes(found, after), notes)


def _uninstall(found: Files) -> Plan:
    hooks = _unversioned(entries.load(found[HOOKS]))
    servers = entries.unserved(entries.load(found[SERVERS]), ("mcpServers",))
    after = {HOOKS: jsonedit.dump(hooks), SERVERS: jsonedit.dump(servers)}
    return Plan(entries.changes(found, after))


def _unversioned(document: Document) -> Document:
    """The hooks without ours; and without the version, where that was put there for ours."""
    names = list(document.value)
    left = entries.hooked(document, {})
    if names == ["hooks", _VERSION] and list(left.value) == [_VERSION]:
        return entries.hooked(jsonedit.take(document, (_VERSION,)), {})
    return left


AGENT = Agent(NAME, "Cursor", _files, _install, _uninstall)
