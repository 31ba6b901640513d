"""Claude Code's transcripts: what its hooks would have told of the same session. Pure.

A transcript is a file of JSON lines that Claude Code keeps for itself and may change with any
version: what is not understood is counted and left out. Subagents have files of their own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from observations.drafts import JSON

# What Claude Code puts where a prompt stands and no hook is told of: commands and what they print,
# and what it tells the model by itself.
_NO_PROMPTS = (
    "<command-name>", "<command-message>", "<local-command-", "<bash-", "<system-reminder>",
    "<task-notification>", "[Request interrupted by user", "Caveat: ",
)  # fmt: skip
# Of a use that never came about: hooks are told neither of it nor of its end.
_REFUSED = "<tool_use_error>"
_INTERRUPTED = "[Request interrupted by user"
# Why a message may end that says something and uses no tool.
_ENDS = frozenset({"end_turn", "stop_sequence", "max_tokens", ""})


@dataclass(slots=True)
class Counts:
    """What was left out, and why: for the report."""

    lines: int = 0
    broken: int = 0
    unpaired: int = 0


@dataclass(slots=True)
class _Said:
    """The words with which a turn may have ended: those of one message."""

    message_id: str
    text: str
    line: Mapping[str, Any]
    stop_reason: str


@dataclass(slots=True)
class Reader:
    """Reads a transcript line by line, and says which hook payloads each line stands for.

    `session_id` names the session of the file; lines of others, which some versions copy into it,
    are left to the files of those. Without it the first line that names one does. `of_agent`: the
    file is a subagent's own. `uses` are the tool uses that were seen, whatever became of them;
    `entrypoint` how the agent was begun.
    """

    session_id: str = ""
    transcript_path: str = ""
    of_agent: bool = False
    counts: Counts = field(default_factory=Counts)
    uses: set[str] = field(default_factory=set)
    last_at: float = 0.0
    entrypoint: str = ""
    _cwd: str = ""
    _prompt_id: str = ""
    _mode: str = ""
    _open: dict[str, dict[str, JSON]] = field(default_factory=dict)
    _said: _Said | None = None
    _prompts: set[str] = field(default_factory=set)

    def read(self, line: bytes) -> Iterator[dict[str, JSON]]:
        """The payloads that the line stands for, with their time as `timestamp`; mostly none."""
        self.counts.lines += 1
        entry = _parsed(line)
        if entry is None:
            self.counts.broken += bool(line.strip())
            return
        if not self._is_ours(entry):
            return
        self._note(entry)
        kind, message = entry.get("type"), entry.get("message")
        if not isinstance(message, dict) or entry.get("isApiErrorMessage"):
            return
        if kind == "assistant":
            self._assistant(entry, message)
        elif kind == "user":
            yield from self._user(entry, message)

    def close(self, *, finished: bool) -> Iterator[dict[str, JSON]]:
        """What follows of the file's end; of a turn that may go on, nothing.

        `finished`: nothing has been written for so long that nothing will be.
        """
        if self._said and (finished or self._said.stop_reason == "end_turn"):
            yield from self._turn_ended()

    def _is_ours(self, entry: Mapping[str, Any]) -> bool:
        named = entry.get("sessionId")
        if not isinstance(named, str) or not named or entry.get("forkedFrom"):
            return False
        self.session_id = self.session_id or named
        return named == self.session_id

    def _note(self, entry: Mapping[str, Any]) -> None:
        """What later lines, and the payloads made of them, share with this one."""
        self.last_at = max(self.last_at, _moment(entry.get("timestamp")))
        self.entrypoint = self.entrypoint or _text(entry.get("entrypoint"))
        self._cwd = _text(entry.get("cwd")) or self._cwd
        self._mode = _text(entry.get("permissionMode")) or self._mode

    def _assistant(self, entry: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        for block in _blocks(message):
            if block.get("type") == "text":
                self._say(entry, message, _text(block.get("text")))
            elif block.get("type") == "tool_use":
                self._use(entry, block)

    def _say(self, entry: Mapping[str, Any], message: Mapping[str, Any], text: str) -> None:
        reason = _text(message.get("stop_reason"))
        # What a subagent says between the lines of a session ends no turn of the session's.
        if not text.strip() or reason not in _ENDS or _aside(entry) != self.of_agent:
            return
        message_id = _text(message.get("id"))
        earlier = self._said
        if earlier and message_id and earlier.message_id == message_id:
            text = f"{earlier.text}\n{text}"
        self._said = _Said(message_id, text, entry, reason)

    def _use(self, entry: Mapping[str, Any], block: Mapping[str, Any]) -> None:
        """Note a tool's use: it is told of once it is known that it came about."""
        use, name = _text(block.get("id")), _text(block.get("name"))
        if _aside(entry) == self.of_agent:
            self._said = None
        if use and name and use not in self.uses:
            self.uses.add(use)
            told = {"tool_name": name, "tool_input": block.get("input"), "tool_use_id": use}
            self._open[use] = self._payload(entry, "PreToolUse", told)

    def _user(
        self, entry: Mapping[str, Any], message: Mapping[str, Any]
    ) -> Iterator[dict[str, JSON]]:
        results = [one for one in _blocks(message) if one.get("type") == "tool_result"]
        if results:
            response = entry.get("toolUseResult") if len(results) == 1 else None
            for result in results:
                yield from self._result(entry, result, response)
        elif text := _prompt(entry, message):
            yield from self._asked(entry, text)

    def _asked(self, entry: Mapping[str, Any], text: str) -> Iterator[dict[str, JSON]]:
        own = _text(entry.get("promptId"))
        if _aside(entry):
            self._prompt_id = own or self._prompt_id
            return
        if text.startswith(_INTERRUPTED):
            self._said = None
        # What is added to a prompt has its id.
        if text.startswith(_NO_PROMPTS) or own in self._prompts:
            return
        self._prompts |= {own} if own else set()
        yield from self._turn_ended()
        self._prompt_id = own
        yield self._payload(entry, "UserPromptSubmit", {"prompt": text})

    def _result(
        self, entry: Mapping[str, Any], result: Mapping[str, Any], response: JSON
    ) -> Iterator[dict[str, JSON]]:
        use = _text(result.get("tool_use_id"))
        announced = self._open.pop(use, None)
        if announced is None:
            self.counts.unpaired += use not in self.uses
            return
        said = _joined(result.get("content"))
        if result.get("is_error") and said.startswith(_REFUSED):
            return
        self._prompt_id = _text(entry.get("promptId")) or self._prompt_id
        told = {name: announced[name] for name in ("tool_name", "tool_input", "tool_use_id")}
        if not result.get("is_error"):
            told["tool_response"] = said if response is None else response
            yield announced
            yield self._payload(entry, "PostToolUse", told)
        elif _failed(said, response):
            yield announced
            yield self._payload(entry, "PostToolUseFailure", {**told, "error": said})

    def _turn_ended(self) -> Iterator[dict[str, JSON]]:
        said, self._said = self._said, None
        if said:
            name = "SubagentStop" if self.of_agent else "Stop"
            words = {"last_assistant_message": said.text.strip()}
            yield self._payload(said.line, name, words)

    def _payload(
        self, entry: Mapping[str, Any], name: str, more: Mapping[str, JSON]
    ) -> dict[str, JSON]:
        prompt = _text(entry.get("promptId")) or self._prompt_id
        agent = _text(entry.get("agentId")) if _aside(entry) else ""
        shared = {
            "session_id": self.session_id,
            "transcript_path": self.transcript_path,
            "cwd": _text(entry.get("cwd")) or self._cwd,
            "prompt_id": prompt,
            "permission_mode": self._mode,
            "agent_id": agent,
        }
        return {
            **{name: value for name, value in shared.items() if value},
            "hook_event_name": name,
            **more,
            "timestamp": _moment(entry.get("timestamp")) or self.last_at,
        }


def started(first: Mapping[str, JSON]) -> dict[str, JSON]:
    """The payload of the start of the session whose first payload is `first`."""
    return _edge(first, "SessionStart", {"source": "startup"})


def ended(last: Mapping[str, JSON]) -> dict[str, JSON]:
    """The payload of the end of the session whose last payload is `last`; why, nothing tells."""
    prompt: dict[str, JSON] = {"prompt_id": last["prompt_id"]} if "prompt_id" in last else {}
    return _edge(last, "SessionEnd", {**prompt, "reason": "ended"})


def _edge(beside: Mapping[str, JSON], name: str, more: Mapping[str, JSON]) -> dict[str, JSON]:
    kept = ("session_id", "transcript_path", "cwd")
    return {
        **{key: beside[key] for key in kept if key in beside},
        "hook_event_name": name,
        **more,
        "timestamp": beside["timestamp"],
    }


def _aside(entry: Mapping[str, Any]) -> bool:
    """Whether it is a subagent's."""
    return bool(entry.get("isSidechain"))


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def _joined(content: JSON) -> str:
    """The words of a tool's result, which may come in blocks."""
    words = [_text(one.get("text")) for one in _blocks({"content": content})]
    return "\n".join(word for word in words if word)


def _prompt(entry: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    """What the user asked, if that is what the line holds."""
    if entry.get("isMeta") or entry.get("isCompactSummary"):
        return ""
    return _joined(message.get("content")).strip()


def _failed(said: str, response: JSON) -> bool:
    """Whether the tool failed, and was not kept from running by the user."""
    if isinstance(response, str):
        return response.startswith("Error")
    return not said.startswith((_INTERRUPTED, "The user doesn't want"))


def _moment(value: object) -> float:
    """A time as seconds since 1970; 0 where it is none."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return 0.0
    if at is None:
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
