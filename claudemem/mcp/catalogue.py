"""The tools as data: what an agent is told of them. No Django, so that both transports share it.

An agent reads all of this before it has said a word: `tests/claudemem/mcp/test_catalogue.py` holds
the list below its budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Schema = Mapping[str, Any]

NAME: Final = "claude-mem"
INSTRUCTIONS: Final = (
    "Memory of earlier sessions. Ask it before work that may have been done or decided before: "
    "`search` with `brief`, `timeline` around a hit, `get_observations` for all of it. `remember` "
    "what should outlast this session. A project is named like its directory."
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that is listed. `destructive` and `idempotent` mean something for writers alone."""

    name: str
    title: str
    description: str
    properties: Mapping[str, Schema] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    writes: bool = False
    destructive: bool = False
    idempotent: bool = False

    def told(self) -> dict[str, Any]:
        """The tool as `tools/list` has it."""
        schema: dict[str, Any] = {"type": "object", "properties": dict(self.properties)}
        if self.required:
            schema["required"] = list(self.required)
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": schema,
            "annotations": self._hints(),
        }

    def _hints(self) -> dict[str, bool]:
        if not self.writes:
            return {"readOnlyHint": True, "openWorldHint": False}
        return {
            "readOnlyHint": False,
            "destructiveHint": self.destructive,
            "idempotentHint": self.idempotent,
            "openWorldHint": False,
        }


@dataclass(frozen=True, slots=True)
class Limit:
    """How many a tool shows: if nothing usable is said, and at most."""

    usual: int
    most: int

    def schema(self) -> Schema:
        """The same as JSON Schema."""
        return {"type": "integer", "minimum": 1, "maximum": self.most, "default": self.usual}


SEARCH: Final = Limit(20, 100)
CONTEXT: Final = Limit(10, 50)
RECENT: Final = Limit(20, 100)
TIMELINE: Final = Limit(20, 100)
# So many observations are had at once.
MOST_IDS: Final = 50

_TEXT: Final[Schema] = {"type": "string"}
_PROJECT: Final[Schema] = {"type": "string", "description": "Its id or name"}
_BRIEF: Final[Schema] = {"type": "boolean", "description": "One line each"}
# A number, as lines have it behind `#`, or an id, as records have it.
_ID: Final[Schema] = {"type": ["integer", "string"]}
_QUESTION: Final = {"query": _TEXT, "projectId": _PROJECT}

TOOLS: Final = (
    Tool(
        "search",
        "Search memory",
        "What earlier sessions found, did and decided, best match first. Ask in plain words, names "
        "or paths; with `brief`, then `get_observations` for what looks right.",
        {
            **_QUESTION,
            "file": {**_TEXT, "description": "Only about this file"},
            "limit": SEARCH.schema(),
            "brief": _BRIEF,
        },
        ("query",),
    ),
    Tool(
        "context",
        "Context for a question",
        "Like search, with the contents joined into one text to read.",
        {**_QUESTION, "limit": CONTEXT.schema()},
        ("query",),
    ),
    Tool(
        "recent",
        "Newest memory",
        "The newest observations, newest first.",
        {"projectId": _PROJECT, "limit": RECENT.schema(), "brief": _BRIEF},
    ),
    Tool(
        "timeline",
        "Timeline",
        "What happened in order, one line each: the last of it, or around an observation.",
        {
            "around": {**_ID, "description": "Number or id"},
            "query": {**_TEXT, "description": "Or: around the best match"},
            "projectId": _PROJECT,
            "limit": TIMELINE.schema(),
        },
    ),
    Tool(
        "get_observations",
        "Get observations",
        "Observations in full, by the numbers or ids that the other tools show.",
        {"ids": {"type": "array", "items": _ID, "minItems": 1, "maxItems": MOST_IDS}},
        ("ids",),
    ),
    Tool(
        "session_start_context",
        "What a session should know",
        "What a new session of the project is told: last summary, decisions, latest work.",
        {"projectId": _PROJECT},
    ),
    Tool(
        "projects",
        "List projects",
        "The projects that this key reaches. Where there is one, `projectId` is not needed.",
    ),
    Tool(
        "remember",
        "Remember",
        "Keep a fact, decision or preference for later sessions. Never secrets.",
        {"content": _TEXT, "title": _TEXT, "projectId": _PROJECT},
        ("content",),
        writes=True,
    ),
    Tool(
        "forget",
        "Forget",
        "Delete one observation for good.",
        {"id": {**_ID, "description": "Number or id"}},
        ("id",),
        writes=True,
        destructive=True,
        idempotent=True,
    ),
)


def listed(*, writes: bool) -> list[dict[str, Any]]:
    """The tools, as `tools/list` has them; without `writes` only those that change nothing."""
    return [tool.told() for tool in TOOLS if writes or not tool.writes]
