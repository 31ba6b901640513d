"""Agents are connected to a server, and disconnected, by changes to their own settings."""

from typing import Final

from claudemem.install import claude_code
from claudemem.install.plan import Agent

AGENTS: Final[tuple[Agent, ...]] = (claude_code.AGENT,)
BY_NAME: Final = {agent.name: agent for agent in AGENTS}
