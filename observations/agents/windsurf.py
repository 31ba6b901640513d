"""The payloads of Windsurf's Cascade hooks: what each event means to us. Pure.

Source: docs.windsurf.com/windsurf/cascade/hooks. Such a hook may forbid, and has no way to tell
the model anything: memory is asked for over MCP alone.
"""

from typing import Any

from observations.agents import payloads
from observations.agents.payloads import Agent, HookPayload, Makes
from observations.drafts import JSON
from observations.errors import InvalidInput
from observations.identity import fingerprint

ADAPTER = PLATFORM = "windsurf"

# By the event: what the others call it, and the tool that it is about.
_NAMES = {
    "pre_user_prompt": ("UserPromptSubmit", ""),
    "post_cascade_response": ("Stop", ""),
    "pre_read_code": ("PreToolUse", "Read"),
    "post_read_code": ("PostToolUse", "Read"),
    "pre_write_code": ("PreToolUse", "Edit"),
    "post_write_code": ("PostToolUse", "Edit"),
    "pre_run_command": ("PreToolUse", "Bash"),
    "post_run_command": ("PostToolUse", "Bash"),
    "pre_mcp_tool_use": ("PreToolUse", "mcp"),
    "post_mcp_tool_use": ("PostToolUse", "mcp"),
}
_SAID = {"user_prompt": "prompt", "response": "last_assistant_message"}
_TEXTS = ("user_prompt", "response", "mcp_server_name", "mcp_tool_name", "command_line")
_TOP = ("tool_name", "prompt", "last_assistant_message", "agent_id", "agent_type")


def understand(payload: JSON) -> HookPayload:
    """Read a hook payload. Raises InvalidInput naming the field that cannot be used."""
    if not isinstance(payload, dict):
        raise InvalidInput("expected an object")
    event = payloads.text(payload, "agent_action_name", required=True)
    payloads.check_texts(payload, _TOP)
    info = payload.get("tool_info")
    given = info if isinstance(info, dict) else {}
    payloads.check_texts(given, _TEXTS)
    name, tool = _NAMES.get(event, (event, ""))
    return payloads.understood(
        ADAPTER,
        PLATFORM,
        name,
        _body(payload, given, tool) if event in _NAMES else payload,
        session_id=payloads.text(payload, "trajectory_id", required=True),
        own_id=_own_id(name, payload),
        occurred_at=payloads.written_time(payload) or payloads.time(payload),
        asks=None,
        makes=_makes(event),
        cwd=_cwd(payload, given),
    )


def _makes(event: str) -> Makes | None:
    # That a file was read, without what was in it, teaches nothing.
    return "nothing" if event == "post_read_code" else None


def _own_id(name: str, payload: dict[str, Any]) -> str | None:
    turn = payloads.text(payload, "execution_id")
    if turn and name == "UserPromptSubmit":
        return turn
    return f"{turn}:{fingerprint(payload)}" if turn else None


def _cwd(payload: dict[str, Any], given: dict[str, Any]) -> str:
    for fields in (given, payload):
        for field in ("cwd", "workspace_path", "root_workspace_path"):
            if cwd := payloads.text(fields, field):
                return cwd
    return ""


def _body(payload: dict[str, Any], given: dict[str, Any], tool: str) -> dict[str, Any]:
    """The payload, with what it says of the tool where that is looked for."""
    body = {key: value for key, value in payload.items() if key != "tool_info"}
    if not tool:
        return {**payloads.renamed(given, _SAID), **body}
    if tool == "mcp":
        server, name = (payloads.string(given, field) or "server"
                        for field in ("mcp_server_name", "mcp_tool_name"))  # fmt: skip
        said = {"tool_response": given["mcp_result"]} if "mcp_result" in given else {}
        asked = given.get("mcp_tool_arguments")
        return {**body, "tool_name": f"mcp__{server}__{name}", "tool_input": asked, **said}
    given = payloads.renamed(given, {"command_line": "command"})
    return {**body, "tool_name": tool, "tool_input": given}


def reply(_hook: HookPayload, _text: str, _note: str = "", /) -> dict[str, JSON]:
    """Nothing: what a Cascade hook prints is shown to nobody, or to the user as it is."""
    return {}


AGENT = Agent("windsurf", ADAPTER, PLATFORM, understand, reply)
