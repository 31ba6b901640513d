"""An agent with hooks, in this process: what it does is stored, and what it is told comes back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from observations import hook_calls, hooks, tasks
from observations.hook_facts import NONE, HookFacts
from observations.models import Project
from queueing import kinds

RECORDINGS = Path(__file__).parent / "recordings" / "claude-code"
# Sessions that one agent had in one project, in their order.
SESSIONS = ("locks-explained", "retry-docs-private", "retry-max-wait")
HANDLERS = {
    kinds.EVENT.name: tasks.generate_event,
    kinds.SUMMARY.name: tasks.generate_summary,
}


def recorded(*names: str) -> Iterator[dict[str, Any]]:
    """The payloads of these recordings, in their order; of all sessions if none is named."""
    for name in names or SESSIONS:
        for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines():
            yield json.loads(line)


def work(sent: list[tuple[str, str]]) -> None:
    """Work what was published, with all that follows."""
    while sent:
        job_id, kind = sent.pop(0)
        HANDLERS[kind](job_id)


class Agent:
    """Claude Code in a project. Its methods say something by a hook, and return what it is told."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.said = 0

    def say(self, session: str, event: str, facts: HookFacts = NONE, **said: Any) -> str:
        """Any hook of a session; the text that is put before the model, "" for none."""
        payload = {"session_id": session, "hook_event_name": event, "cwd": "/home/dev/shop", **said}
        call = hook_calls.understood(payload, facts=facts)
        sender = hooks.Sender(self.project.team_id, self.project.id, {"source": "test"}, reads=True)
        told = cast(dict[str, Any], hooks.told(call, sender, hooks.stored(call, sender)))
        if not told:
            return ""
        specific = told.pop("hookSpecificOutput")
        assert not told
        assert specific.pop("hookEventName") == event
        return str(specific["additionalContext"])

    def start(self, session: str = "now", source: str = "startup") -> str:
        # The client gives each call an id: of those without one, alike ones are one.
        facts = HookFacts(delivery=self._id())
        return self.say(session, "SessionStart", facts, source=source)

    def prompt(self, text: str, session: str = "now") -> str:
        return self.say(session, "UserPromptSubmit", prompt=text, prompt_id=self._id())

    def read(self, path: str, session: str = "now") -> str:
        given = {"tool_name": "Read", "tool_input": {"file_path": path}}
        return self.say(session, "PreToolUse", tool_use_id=self._id(), **given)

    def run(self, command: str, session: str = "now", error: str = "") -> str:
        """A command that worked, or failed with `error`."""
        event = "PostToolUseFailure" if error else "PostToolUse"
        came = {"error": error} if error else {"tool_response": {"stdout": "done"}}
        given = {"tool_name": "Bash", "tool_input": {"command": command}}
        return self.say(session, event, tool_use_id=self._id(), **given, **came)

    def _id(self) -> str:
        self.said += 1
        return f"id-{self.said}"
