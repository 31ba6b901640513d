"""OpenCode: a plugin of our own, and the MCP server in the user's opencode.json. Pure.

Source: opencode.ai/docs/plugins and /docs/mcp-servers, of version 1 and of version 2.
"""

from collections.abc import Mapping
from pathlib import Path

from claudemem.install import entries, jsonedit, opencode_plugin
from claudemem.install.jsonedit import JSON, Document
from claudemem.install.plan import Agent, Connection, Files, Found, Plan, Refused, Surroundings

NAME = "opencode"
PLUGIN, CONFIG = "plugin", "config"


def _files(around: Surroundings, _project: bool) -> Mapping[str, Path]:
    named = around.environment.get("XDG_CONFIG_HOME", "").strip()
    folder = (Path(named).expanduser() if named else around.home / ".config") / "opencode"
    return {PLUGIN: folder / "plugins" / "claude-mem.js", CONFIG: folder / "opencode.json"}


def _install(found: Files, connection: Connection) -> Plan:
    _see_ours(found[PLUGIN])
    config = found[CONFIG]
    document = entries.load(config)
    key = f"{{env:{entries.KEY}}}" if config.shared else connection.key
    path = _path(document)
    entry: dict[str, JSON] = {
        "type": "remote",
        "url": connection.url + entries.MCP_ROUTE,
        "headers": {"Authorization": f"Bearer {key}"},
        **({"enabled": True} if path == _PATHS[0] else {}),
    }
    document = entries.served(document, path, entry)
    plugin = opencode_plugin.source(str(connection.directory / "config.json"))
    notes = (
        "the plugin is for OpenCode 1.18.29 and later; what happens while no server runs is not "
        "kept for later",
        *([entries.exported(config)] if config.shared else []),
    )
    after = {PLUGIN: plugin.encode(), CONFIG: jsonedit.dump(document)}
    return Plan(entries.changes(found, after), notes)


def _uninstall(found: Files) -> Plan:
    document = entries.load(found[CONFIG])
    for path in _PATHS:
        if _is_there(document, path):
            document = entries.unserved(document, path)
    plugin = None if _is_ours(found[PLUGIN]) else found[PLUGIN].content
    return Plan(entries.changes(found, {PLUGIN: plugin, CONFIG: jsonedit.dump(document)}))


# Where servers are: OpenCode 2 reads both, but has the second in its own files.
_PATHS = (("mcp",), ("mcp", "servers"))


def _path(document: Document) -> tuple[str, ...]:
    servers = jsonedit.at(document, _PATHS[0]).get("servers")
    return _PATHS[1] if isinstance(servers, dict) and "type" not in servers else _PATHS[0]


def _is_there(document: Document, path: tuple[str, ...]) -> bool:
    value: JSON = document.value
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return isinstance(value, dict)


def _see_ours(plugin: Found) -> None:
    if plugin.content is not None and not _is_ours(plugin):
        raise Refused(f"{plugin.path} is not claudemem's: move it away, and run this again")


def _is_ours(plugin: Found) -> bool:
    return (plugin.content or b"").startswith(opencode_plugin.MARK.encode())


AGENT = Agent(NAME, "OpenCode", _files, _install, _uninstall)
