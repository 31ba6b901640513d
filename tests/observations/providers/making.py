"""Events as they arrive, and what the offline provider makes of them."""

import json
from datetime import UTC, datetime
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from observations import modes
from observations.drafts import JSON, ObservationDraft, Source, SourceEvent, SummaryDraft
from observations.evidence import supported
from observations.privacy import scrub
from observations.providers import provider_named

RECORDINGS = sorted((Path(__file__).parents[2] / "recordings").rglob("*.jsonl"))
JOBS = ("PostToolUse", "PostToolUseFailure", "SubagentStop")  # the events that make observations
MODE = modes.load("code")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_NUMBERS = count(1)


def event(payload: JSON, event_type: str = "PostToolUse") -> SourceEvent:
    """An event of its own number."""
    number = next(_NUMBERS)
    return SourceEvent(f"e{number}", number, event_type, NOON, payload)


def tool(name: str, given: Any, answer: Any = None, **fields: Any) -> SourceEvent:
    """A tool call that came back."""
    kind = "PostToolUseFailure" if "error" in fields else "PostToolUse"
    payload = {"cwd": "/home/dev/app", "tool_name": name, "tool_input": given,
               "tool_response": answer, **fields}  # fmt: skip
    return event(payload, kind)


def bash(command: str, stdout: str = "", stderr: str = "", **fields: Any) -> SourceEvent:
    """A shell command that came back."""
    given = {"command": command, **{k: fields.pop(k) for k in ("description",) if k in fields}}
    return tool("Bash", given, {"stdout": stdout, "stderr": stderr}, **fields)


def edit(path: str, old: str, new: str, original: str | None = None) -> SourceEvent:
    """An edit that was applied."""
    return tool(
        "Edit", {"file_path": path, "old_string": old, "new_string": new},
        {"filePath": path, "oldString": old, "newString": new, "originalFile": original},
    )  # fmt: skip


def write(path: str, content: str) -> SourceEvent:
    """A file that was created."""
    return tool("Write", {"file_path": path, "content": content}, {"type": "create"})


def read(path: str, content: str, start: int = 1, total: int = 0) -> SourceEvent:
    """A file, or a part of one, that was read."""
    lines = content.count("\n") + 1
    file = {"filePath": path, "content": content, "startLine": start, "numLines": lines,
            "totalLines": total or lines}  # fmt: skip
    return tool("Read", {"file_path": path}, {"type": "text", "file": file})


def prompt(text: str) -> SourceEvent:
    """What the user asked for."""
    return event({"prompt": text}, "UserPromptSubmit")


def stop(message: str) -> SourceEvent:
    """What the agent said last."""
    return event({"last_assistant_message": message}, "Stop")


def observe(*events: SourceEvent) -> tuple[ObservationDraft, ...]:
    """The observations of a batch; each must be shown by the events that it cites."""
    source = Source("observe", "job", "app", "s", events)
    drafts = provider_named("offline").complete(source, MODE, timeout=30).drafts
    made = tuple(each for each in drafts if isinstance(each, ObservationDraft))
    for draft in made:
        assert supported(draft, events) == draft
        assert 2 <= len(draft.concepts) <= 5
        assert len(draft.subtitle.split()) <= 25
    return made


def only(*events: SourceEvent) -> ObservationDraft:
    """The one observation of a batch."""
    (draft,) = observe(*events)
    return draft


def summarise(*events: SourceEvent) -> SummaryDraft | None:
    """The summary of a session's events."""
    source = Source("summarise", "job", "app", "s", events)
    drafts = provider_named("offline").complete(source, MODE, timeout=30).drafts
    assert len(drafts) <= 1
    return next((each for each in drafts if isinstance(each, SummaryDraft)), None)


@cache
def recorded(file: Path) -> tuple[SourceEvent, ...]:
    """The events of a recording, scrubbed as they are at the door."""
    payloads = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return tuple(
        SourceEvent(f"e{n}", n, payload["hook_event_name"], NOON, scrub(payload).value)
        for n, payload in enumerate(payloads)
    )


def working(file: Path) -> tuple[SourceEvent, ...]:
    """The events of a recording that make observations."""
    return tuple(each for each in recorded(file) if each.event_type in JOBS)
