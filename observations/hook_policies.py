"""Whether a hook call is stored, and whether it is told anything, by what it says. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from observations.agents.payloads import text
from observations.globs import NO_GLOBS, Globs

if TYPE_CHECKING:
    from observations.drafts import JSON
    from observations.hook_calls import HookCall

# `on`: stored, and told what helps. `capture`: stored, told nothing. `off`: neither.
HEADLESS: Final = ("on", "capture", "off")
# The same of subagents; `start`: stored, and told when they begin but not at each of their steps.
SUBAGENTS: Final = ("start", "on", "capture", "off")

# What separates words of a command line.
_BETWEEN = re.compile(r"[\s\"'`;|&<>()=,]+")
_LONGEST_COMMAND: Final = 20_000
_MOST_PATHS: Final = 500

Why = Literal["", "asked", "project", "tool", "path", "headless", "subagent", "switched off"]


@dataclass(frozen=True, slots=True)
class Policies:
    """What the settings say of hooks."""

    projects: Globs = NO_GLOBS
    paths: Globs = NO_GLOBS
    tools: frozenset[str] = frozenset()
    headless: str = "on"
    subagents: str = "start"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a hook call; `why` not all of it does."""

    store: bool = True
    tell: bool = True
    why: Why = ""


@dataclass(frozen=True, slots=True)
class Switches:
    """What is switched on in a project."""

    capture: bool = True
    context: bool = True


ALL: Final = Verdict()
ALL_ON: Final = Switches()


def verdict(call: "HookCall", policies: Policies, switches: Switches = ALL_ON) -> Verdict:
    """What becomes of a call; the first rule that keeps anything back decides."""
    hook = call.hook
    if call.facts.off:
        return _neither("asked")
    if policies.projects.match(hook.cwd):
        return _neither("project")
    if not switches.capture:
        return _neither("switched off")
    if policies.tools and text(hook.body, "tool_name") in policies.tools:
        return _neither("tool")
    if policies.headless != "on" and is_headless(call):
        return Verdict(policies.headless == "capture", False, "headless")
    if policies.subagents != "on" and is_subagent(call):
        if policies.subagents != "start":
            return Verdict(policies.subagents == "capture", False, "subagent")
        if hook.asks is None or hook.asks.moment != "subagent":
            return Verdict(tell=False, why="subagent")
    if policies.paths.patterns and policies.paths.any(paths_of(hook.body), hook.cwd):
        return _neither("path")
    return ALL if switches.context else Verdict(tell=False, why="switched off")


def is_headless(call: "HookCall") -> bool:
    """Whether nobody sits before the agent, as far as its payload or its client tells."""
    if call.hook.headless is not None:
        return call.hook.headless
    return call.facts.entrypoint.startswith("sdk")


def is_subagent(call: "HookCall") -> bool:
    """Whether a subagent did it, or begins with it."""
    return bool(call.hook.agent_id) or call.hook.event_type.startswith("Subagent")


def paths_of(body: dict[str, "JSON"]) -> Iterator[str]:
    """What may be a path in what a tool was given: values so named, and words of its command."""
    given = body.get("tool_input")
    if not isinstance(given, dict):
        return
    for name, value in given.items():
        low = name.lower()
        if low == "command" and isinstance(value, str):
            words = _BETWEEN.split(value[:_LONGEST_COMMAND])
            yield from (word for word in words[:_MOST_PATHS] if word)
        elif "path" in low or "file" in low:
            yield from _texts(value)


def _texts(value: "JSON") -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (each for each in value[:_MOST_PATHS] if isinstance(each, str))


def _neither(why: Why) -> Verdict:
    return Verdict(store=False, tell=False, why=why)
