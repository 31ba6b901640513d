"""Claude Code, as far as it connects MCP servers by its command line, and runs hooks."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

# Those that take all words up to the next option: what follows them is no name and no URL.
_GREEDY = {"--header", "-H", "--env", "-e"}
_SINGLE = {"--transport", "-t", "--scope", "-s"}


@dataclass(frozen=True)
class Added:
    """What `claude mcp add` was told: a server's name, its URL or program, and its options."""

    words: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    program: tuple[str, ...]


def added(command: str) -> Added:
    """The command as Claude Code reads it. Fails for any other, and for options that it has not."""
    said = shlex.split(command)
    assert said[:3] == ["claude", "mcp", "add"], command
    given, _, program = " ".join(map(shlex.quote, said[3:])).partition(" -- ")
    words: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    left = shlex.split(given)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            words.append(word)
            continue
        assert word in _GREEDY | _SINGLE, word
        taken = [left.pop(0)]
        while word in _GREEDY and left and not left[0].startswith("-"):
            taken.append(left.pop(0))
        options[word] = tuple(taken)
    return Added(tuple(words), options, tuple(shlex.split(program)))


class Sessions:
    """Claude Code in a directory, as far as it runs the hooks of its settings.

    As documented for version 2.1: settings of the user and the directory together, `env` of both in
    the environment, a command by a shell, a post with headers filled in by what the hook allows.
    """

    def __init__(
        self, home: Path, here: Path, *, plugin: Path | None = None, **environment: str
    ) -> None:
        self._settings = [
            _json(home / ".claude" / "settings.json"),
            _json(here / ".claude" / "settings.local.json"),
        ]
        if plugin is not None:
            self._settings.append(_json(plugin / "hooks" / "hooks.json"))
            data = home / ".claude" / "plugins" / "data" / plugin.name
            environment |= {"CLAUDE_PLUGIN_ROOT": str(plugin), "CLAUDE_PLUGIN_DATA": str(data)}
            data.mkdir(parents=True, exist_ok=True)
        self._here = here
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}
        for each in self._settings:
            self.environment |= each.get("env", {})

    def fire(self, payload: dict[str, Any]) -> list[dict[str, Any]]:
        """What each hook that is meant says to a payload. Fails for one that does not work."""
        event = payload["hook_event_name"]
        groups = [g for each in self._settings for g in each.get("hooks", {}).get(event, [])]
        due = {
            json.dumps(hook): hook
            for group in groups
            if _matches(group.get("matcher"), _matched(event, payload))
            for hook in group["hooks"]
        }
        return [self._run(event, hook, payload) for hook in due.values()]

    def send_rest(self) -> None:
        """Run the hooks that are commands for nothing new: they send what they had no time for."""
        groups = [g for each in self._settings for gs in each.get("hooks", {}).values() for g in gs]
        commands = {hook.get("command") for group in groups for hook in group["hooks"]}
        for command in filter(None, commands):
            self._ran(command, "", patience=60)

    def _run(self, event: str, hook: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(payload)
        # A machine under load may need longer than anybody would wait.
        patience = hook["timeout"] * 10
        if hook["type"] == "http":
            assert event not in ("SessionStart", "Setup"), "takes no http hooks"
            headers = {name: self._filled(value, hook) for name, value in hook["headers"].items()}
            answer = httpx.post(
                hook["url"], content=text, timeout=patience,
                headers={**headers, "Content-Type": "application/json"},
            )  # fmt: skip
            assert answer.is_success, (event, answer.status_code, answer.text)
            said: dict[str, Any] = answer.json() if answer.content else {}
            return said
        printed = self._ran(hook["command"], text, patience)
        told: dict[str, Any] = json.loads(printed) if printed.strip() else {}
        return told

    def _ran(self, command: str, text: str, patience: float) -> str:
        ran = subprocess.run(
            ["sh", "-c", command], input=text, text=True, timeout=patience,
            capture_output=True, cwd=self._here, env=self.environment,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def _filled(self, value: str, hook: dict[str, Any]) -> str:
        def variable(found: re.Match[str]) -> str:
            name = found[1] or found[2]
            return self.environment.get(name, "") if name in hook["allowedEnvVars"] else ""

        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", variable, value).strip()


def _json(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
    return said


def _matched(event: str, payload: dict[str, Any]) -> str:
    field = {"SessionStart": "source", "SessionEnd": "reason", "PreCompact": "trigger",
             "SubagentStart": "agent_type", "SubagentStop": "agent_type"}  # fmt: skip
    return str(payload.get(field.get(event, "tool_name"), ""))


def _matches(matcher: str | None, value: str) -> bool:
    if matcher in (None, "", "*"):
        return True
    assert matcher is not None
    if re.fullmatch(r"[\w\-, |]+", matcher):
        return value in re.split(r"\s*[,|]\s*", matcher)
    return bool(re.search(matcher, value))
