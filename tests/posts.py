"""What agents post."""

from typing import Any


def hook(session: str, number: int) -> dict[str, Any]:
    """A hook's payload, the one of that number in its session."""
    return {
        "session_id": session, "hook_event_name": "PostToolUse", "cwd": "/home/dev",
        "tool_name": "Bash", "tool_use_id": f"{session}-{number}",
        "tool_input": {"command": "make"}, "tool_response": {"stdout": "done"},
    }  # fmt: skip
