"""The same for Claude Code as a plugin: hooks, client, tools, and a skill about them. Pure.

Source: Claude Code's references of plugins and marketplaces, version 2.1. Hooks of type `http` read
the environment of Claude Code alone, so the key has to be in that: options of plugins are not.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import PurePosixPath

from claudemem.install import claude_code
from claudemem.install.claude_code import KEY, SERVER
from claudemem.install.jsonedit import JSON

NAME = "claudemem"
MARKETPLACE = ".claude-plugin/marketplace.json"
# Where the client is in the plugin; it finds itself by the name of its package.
CLIENT = PurePosixPath("claudemem/hook")
_TELLS = "Memory of earlier sessions: what was found, done and decided, on a server of your own."
_URL = "CLAUDE_MEM_SERVER_URL"
SKILL = """\
---
name: memory
description: Recall what earlier sessions of this project found, did and decided. Use it before work that may have been done, tried or decided before, when a failure looks familiar, and when the user speaks of last time; and to keep what should outlast this session.
---

# Memory of earlier sessions

Three steps, from little text to much. Stop as soon as you know enough.

1. `search` with `brief`: a few plain words about what you are going to do, names and paths as they
   are in the code. Each line is a number, a time, a type and a title.
2. `timeline` with `around` and a number, where what came before and after matters: why something
   was changed, what was tried first.
3. `get_observations` with the numbers that bear on the task, all in one call.

A line costs about 25 tokens, an observation in full 150 to 400. `recent` tells what happened last,
`session_start_context` what a session is told when it begins. A project is named like its
directory; `projects` lists them.

What is remembered was so then. Look at the file itself before you rely on it, and say so where the
two differ.

With `remember`, keep what was decided and why, and what cost time to find out: a sentence or two,
with names and paths. No secrets, and nothing that the repository says itself. With `forget`, take
out what turned out wrong.
"""  # noqa: E501


def files(url: str, version: str, client: Mapping[str, bytes]) -> dict[PurePosixPath, bytes]:
    """The files of a marketplace with this plugin alone, for the server at `url`.

    `client` are the modules of the hook client, by their names. The plugin's version says the one
    that is given, and changes with whatever is in it.
    """
    parts: dict[PurePosixPath, bytes] = {
        PurePosixPath("hooks/hooks.json"): _json({"hooks": _hooks(url)}),
        PurePosixPath(".mcp.json"): _json({"mcpServers": {SERVER: _server(url)}}),
        PurePosixPath("skills/memory/SKILL.md"): SKILL.encode(),
        PurePosixPath("claudemem/__init__.py"): b"",
        **{CLIENT / name: text for name, text in client.items()},
    }
    manifest = _manifest(f"{version}-g{_digest(parts)}")
    parts[PurePosixPath(".claude-plugin/plugin.json")] = _json(manifest)
    return {
        PurePosixPath(MARKETPLACE): _json(_marketplace()),
        **{PurePosixPath(NAME) / path: text for path, text in parts.items()},
    }


def _hooks(url: str) -> dict[str, list[JSON]]:
    # The environment may name another server.
    where = f'{_URL}="${{{_URL}:-{url}}}"'
    door = f'"${{CLAUDE_PLUGIN_ROOT}}/{CLIENT}/__main__.py"'
    command = f'{where} python3 -I -S {door} {claude_code.NAME} "${{CLAUDE_PLUGIN_DATA}}"'
    groups = claude_code.handlers(url, command)
    return {event: [group] for event, group in groups.items()}


def _server(url: str) -> JSON:
    return claude_code.server(url, f"${{{KEY}}}")


def _manifest(version: str) -> dict[str, JSON]:
    return {
        "name": NAME,
        "version": version,
        "description": _TELLS,
        "keywords": ["memory", "hooks", "mcp"],
    }


def _marketplace() -> dict[str, JSON]:
    plugin = {"name": NAME, "source": f"./{NAME}", "description": _TELLS}
    return {"name": NAME, "owner": {"name": NAME}, "plugins": [plugin]}


def _digest(parts: Mapping[PurePosixPath, bytes]) -> str:
    hashed = sha256()
    for path, text in sorted(parts.items()):
        hashed.update(f"{path}\0{len(text)}\0".encode() + text)
    return hashed.hexdigest()[:12]


def _json(value: JSON) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
