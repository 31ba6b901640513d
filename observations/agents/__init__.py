"""The agents whose hooks are understood, by the name that a URL gives them. Pure.

Each has a module here with what its payloads mean and what it takes for an answer; `payloads` has
what they share.
"""

from observations.agents import claude_code, codex, cursor, gemini, opencode, windsurf
from observations.agents.payloads import Agent, Asks, HookPayload, asks_memory, project_name

CLAUDE_CODE = claude_code.AGENT

BY_NAME: dict[str, Agent] = {
    agent.name: agent
    for agent in (
        CLAUDE_CODE,
        codex.AGENT,
        cursor.AGENT,
        gemini.AGENT,
        opencode.AGENT,
        windsurf.AGENT,
    )
}

__all__ = ["BY_NAME", "CLAUDE_CODE", "Agent", "Asks", "HookPayload", "asks_memory", "project_name"]
