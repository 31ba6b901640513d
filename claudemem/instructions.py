"""How an agent works with its memory, by topics and by operations that programs ask for."""

from typing import Final

WORKFLOW: Final = """\
# How to work with memory

1. Search with a few words of what you are about to do. The answer is an index: a number, a time, a
   mark and a title for each memory.
2. Look at the timeline around a number where the order of things matters.
3. Fetch only the memories that bear on your task, by their numbers, several at once.

An index costs about 25 tokens a line, a memory in full 150 to 400. What is remembered is what was
so then: look at the file itself before you rely on it.
"""

SEARCH_PARAMETERS: Final = """\
# What a search takes

- `query`: plain words; any of them may match, rare ones count most. Names of functions, files and
  errors are found whole and in parts.
- `limit` (1 to 100, 20) and `offset`.
- `obs_type`: types with commas between, such as `decision,bugfix`.
- `type=sessions`: summaries of sessions alone.
- `dateStart`, `dateEnd`: a day or a time as ISO 8601, or milliseconds since 1970.
- `orderBy`: `relevance`, `date_desc` or `date_asc`.
- `platformSource`: sessions of one agent alone, such as `claude`.

A timeline takes an `anchor` (a number, or a time) or a `query`, with `depth_before` and
`depth_after`.
"""

EXAMPLES: Final = """\
# Examples

- What was decided about retries: `query=retry decision`, `obs_type=decision`
- Why a test fails again: `query=<name of the test>`, then the timeline around the newest hit
- What was done to a file: `/api/observations/by-file?path=src/worker.py`
- What happened last week: no query, `dateStart=<day>`, `orderBy=date_asc`
"""

BY_TOPIC: Final = {
    "workflow": WORKFLOW,
    "search_params": SEARCH_PARAMETERS,
    "examples": EXAMPLES,
    "all": f"{WORKFLOW}\n{SEARCH_PARAMETERS}\n{EXAMPLES}",
}
BY_OPERATION: Final = {
    "search": SEARCH_PARAMETERS,
    "context": (
        "# Context\n\nA session begins with the newest observations of its project: "
        "`GET /api/context/inject?projects=<name>`. For a prompt, `POST /api/context/semantic` "
        "with `q` tells what bears on it, and an empty text where nothing does.\n"
    ),
    "summarize": (
        "# Summaries\n\nA session is summarised when a turn ends, and when it falls silent: "
        "what was asked, looked at, learned and done, and what comes next. Nothing need be asked "
        "for; what is news since the last summary is in the next.\n"
    ),
    "import": (
        "# Import\n\nSend events of other programs to `POST /v1/events/batch`, up to 500 at once. "
        "With a `sourceEventId` each can be sent again without being stored twice.\n"
    ),
    "export": (
        "# Export\n\nRead memory by `GET /v1/sessions/:id`, `GET /v1/events/:id` and "
        "`POST /v1/search`; a whole installation is copied by `claudemem db move`.\n"
    ),
}
