"""Agents are connected to a server, and disconnected, by changes to their own settings."""

from typing import Final

from claudemem.install import claude_code, codex, cursor, gemini, opencode, windsurf
from claudemem.install.plan import Agent

AGENTS: Final[tuple[Agent, ...]] = (
    claude_code.AGENT,
    codex.AGENT,
    cursor.AGENT,
    gemini.AGENT,
    opencode.AGENT,
    windsurf.AGENT,
)
BY_NAME: Final = {agent.name: agent for agent in AGENTS}
