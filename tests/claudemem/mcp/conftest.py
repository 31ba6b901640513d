"""Callers of tools, and what they find."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from claudemem.mcp import tools
from claudemem.mcp.answers import Answer
from observations import keys, memories
from observations.keys import Principal
from observations.models import Observation, Project, Team

Remembered = Callable[..., Observation]


@dataclass(frozen=True)
class Agent:
    """An agent with a key: it calls tools."""

    principal: Principal

    def asks(self, name: str, **arguments: Any) -> Answer:
        return tools.call(self.principal, "request-1", name, arguments)

    def hears(self, name: str, **arguments: Any) -> str:
        """The text of an answer that must be none of an error."""
        answer = self.asks(name, **arguments)
        assert not answer.is_error, answer.text
        return answer.text

    def reads(self, name: str, **arguments: Any) -> Any:
        """The same, as JSON."""
        return json.loads(self.hears(name, **arguments))

    def is_refused(self, name: str, **arguments: Any) -> str:
        """The text of an answer that must be of an error."""
        answer = self.asks(name, **arguments)
        assert answer.is_error, answer.text
        return answer.text


NewAgent = Callable[..., Agent]


@pytest.fixture
def new_agent(team: Team) -> NewAgent:
    """new_agent("a:b", …, project=…): an agent with a fresh key with these scopes, `*` if none."""

    def _new_agent(*scopes: str, project: Project | None = None, owner: Team = team) -> Agent:
        raw = keys.create("test", scopes or ("*",), team=owner, project=project).raw
        principal = keys.authenticate(raw)
        assert principal is not None
        return Agent(principal)

    return _new_agent


@pytest.fixture
def agent(new_agent: NewAgent, project: Project) -> Agent:
    """An agent whose key is the project's, and may do everything."""
    return new_agent(project=project)


@pytest.fixture
def remembered(project: Project) -> Remembered:
    """remembered("content", title=…): a memory of the project."""

    def _remembered(content: str, of: Project = project, **more: Any) -> Observation:
        return memories.remember(of.team_id, of.id, content=content, **more)

    return _remembered
