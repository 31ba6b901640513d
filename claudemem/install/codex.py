"""Codex: command hooks in hooks.json, the MCP server in config.toml. Pure.

Source: developers.openai.com/codex/hooks and /mcp, and the parsers of openai/codex. Hooks that its
user has not trusted are not run: Codex asks, and remembers them by their place, so ours are put
behind those that are there.
"""

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from claudemem.install import codex_toml, entries, jsonedit
from claudemem.install.jsonedit import JSON
from claudemem.install.plan import Agent, Connection, Files, Found, Plan, Surroundings

NAME = "codex"
EVENTS = ("SessionStart", "UserPromptSubmit", "PostToolUse", "SubagentStart", "SubagentStop",
          "PreCompact", "Stop")  # fmt: skip
HOOKS, CONFIG = "hooks", "config"
# Seconds; the client ends by itself before that.
_TIMEOUT = 5


def _files(around: Surroundings, _project: bool) -> Mapping[str, Path]:
    named = around.environment.get("CODEX_HOME", "").strip()
    folder = Path(named).expanduser() if named else around.home / ".codex"
    return {HOOKS: folder / "hooks.json", CONFIG: folder / "config.toml"}


def _install(found: Files, connection: Connection) -> Plan:
    command = shlex.join(connection.command(NAME))
    hook: JSON = {"type": "command", "command": command, "timeout": _TIMEOUT}
    groups = {event: {"hooks": [hook]} for event in EVENTS}
    hooks = entries.hooked(entries.load(found[HOOKS]), groups)
    config = codex_toml.served(found[CONFIG], connection.url, connection.key)
    notes = [
        "Codex runs a hook only when you have trusted it: it asks when it starts next, or open "
        "`/hooks` there",
        *_warnings(config),
        *([entries.exported(found[CONFIG])] if found[CONFIG].shared else []),
    ]
    after = {HOOKS: jsonedit.dump(hooks), CONFIG: config}
    return Plan(entries.changes(found, after), tuple(notes))


def _uninstall(found: Files) -> Plan:
    hooks = entries.hooked(entries.load(found[HOOKS]), {})
    after = {HOOKS: jsonedit.dump(hooks), CONFIG: codex_toml.unserved(found[CONFIG])}
    return Plan(entries.changes(found, after), tuple(_left(found[CONFIG], after[CONFIG])))


def _warnings(config: bytes) -> Iterator[str]:
    features = tomllib.loads(config.decode("utf-8-sig")).get("features")
    if isinstance(features, dict) and False in (features.get("hooks"), features.get("codex_hooks")):
        yield "config.toml switches hooks off ([features]): nothing is remembered until they are on"


def _left(found: Found, after: bytes | None) -> Iterator[str]:
    if after and codex_toml.entry(after):
        yield (
            f"the MCP server {entries.SERVER} in {found.path} was not put there by claudemem: "
            f"`codex mcp remove {entries.SERVER}` takes it out"
        )


AGENT = Agent(NAME, "Codex", _files, _install, _uninstall)
