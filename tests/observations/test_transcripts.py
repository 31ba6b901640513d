"""Each line of a transcript stands for the hooks that were called at it, or for none."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations.transcripts import Reader
from tests.observations.transcribed import NAMES, TRANSCRIPTS, hooks

pytestmark = pytest.mark.once

SESSION = "0b0e5bd4-5b1c-4f1f-9d61-000000000001"
Payload = dict[str, Any]


def line(kind: str, content: Any, second: int = 0, **more: Any) -> Payload:
    message = {"role": kind, "content": content, **more.pop("message", {})}
    return {
        "type": kind, "sessionId": SESSION, "cwd": "/home/dev/widgets", "isSidechain": False,
        "timestamp": f"2026-01-02T12:00:{second:02}.500Z", "message": message, **more,
    }  # fmt: skip


def asked(text: Any, second: int = 0, prompt_id: str = "p1", **more: Any) -> Payload:
    return line("user", text, second, promptId=prompt_id, **more)


def said(text: str, second: int = 0, reason: str | None = "end_turn", **more: Any) -> Payload:
    message = {"stop_reason": reason, "id": more.pop("message_id", f"m{second}")}
    return line("assistant", [{"type": "text", "text": text}], second, message=message, **more)


def used(name: str, use: str = "t1", second: int = 0, **more: Any) -> Payload:
    block = {"type": "tool_use", "id": use, "name": name, "input": {"command": "ls"}}
    return line("assistant", [block], second, message={"stop_reason": "tool_use"}, **more)


def came(use: str = "t1", content: Any = "x.py", second: int = 0, **more: Any) -> Payload:
    failed = more.pop("is_error", False)
    block = {"type": "tool_result", "tool_use_id": use, "content": content, "is_error": failed}
    return line("user", [block], second, **more)


def read(*lines: Any, finished: bool = True, **options: Any) -> list[Payload]:
    reader = Reader(**options)
    told: list[Payload] = []
    for each in lines:
        told += reader.read(each if isinstance(each, bytes) else json.dumps(each).encode())
    return [*told, *reader.close(finished=finished)]


def names(payloads: list[Payload]) -> list[str]:
    return [each["hook_event_name"] for each in payloads]


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_transcript_tells_what_its_hooks_told(name: str) -> None:
    told = read(*(TRANSCRIPTS / f"{name}.jsonl").read_bytes().splitlines())
    sent = hooks(name)[1:-1]
    assert names(told) == names(sent)
    unknown = {"duration_ms", "effort", "is_interrupt", "stop_hook_active", "background_tasks",
               "session_crons", "transcript_path"}  # fmt: skip
    for ours, theirs in zip(told, sent, strict=True):
        assert {k: v for k, v in ours.items() if k != "timestamp"} == {
            k: v for k, v in theirs.items() if k not in unknown
        }


def test_each_payload_has_the_time_of_its_line() -> None:
    told = read(asked("go", 1), used("Bash", second=2), came(second=3), said("done", 4))
    assert names(told) == ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert [each["timestamp"] % 60 for each in told] == [1.5, 2.5, 3.5, 4.5]


def test_a_turn_ends_with_the_next_prompt_and_under_its_own() -> None:
    told = read(asked("one"), said("did one", 1, None), asked("two", 2, "p2"), said("did two", 3))
    assert [(each["hook_event_name"], each["prompt_id"]) for each in told] == [
        ("UserPromptSubmit", "p1"), ("Stop", "p1"), ("UserPromptSubmit", "p2"), ("Stop", "p2"),
    ]  # fmt: skip


def test_the_words_of_a_message_that_is_kept_in_pieces_are_told_together() -> None:
    told = read(asked("go"), said("One", 1, None, message_id="m"), said("Two", 1, message_id="m"))
    assert told[-1]["last_assistant_message"] == "One\nTwo"


def test_what_is_said_before_a_tool_is_used_ends_no_turn() -> None:
    told = read(asked("go"), said("I look", 1, None), used("Bash", second=2), came(second=3))
    assert "Stop" not in names(told)


def test_a_turn_that_may_go_on_has_not_ended() -> None:
    lines = (asked("go"), said("I think", 1, None))
    assert names(read(*lines, finished=False)) == ["UserPromptSubmit"]
    assert names(read(*lines)) == ["UserPromptSubmit", "Stop"]
    assert "Stop" in names(read(asked("go"), said("done", 1, "end_turn"), finished=False))


def test_a_turn_that_the_user_interrupted_tells_of_no_end() -> None:
    stopped = line("user", [{"type": "text", "text": "[Request interrupted by user]"}], 2)
    assert names(read(asked("go"), said("I", 1, None), stopped)) == ["UserPromptSubmit"]


@pytest.mark.parametrize(
    "text",
    [
        "<command-name>/clear</command-name>", "<local-command-stdout>x</local-command-stdout>",
        "<bash-input>ls</bash-input>", "<task-notification>done</task-notification>", "  ",
    ],
)  # fmt: skip
def test_what_claude_code_writes_itself_is_no_prompt(text: str) -> None:
    assert read(asked(text)) == []
    assert read(asked("x", isMeta=True)) == []
    assert read(asked("This session is continued", isCompactSummary=True)) == []


def test_what_is_added_to_a_prompt_is_no_second_one() -> None:
    assert names(read(asked("go"), asked("the file you opened", 1))) == ["UserPromptSubmit"]
    blocks = [{"type": "image", "source": {}}, {"type": "text", "text": "see this"}]
    assert read(asked(blocks))[0]["prompt"] == "see this"


def test_hooks_are_told_of_no_use_that_was_refused_rejected_or_never_ended() -> None:
    refused = came(content="<tool_use_error>No such tool</tool_use_error>", is_error=True)
    assert read(used("Grep"), refused) == []
    rejected = came(content="The user doesn't want to proceed", is_error=True,
                    toolUseResult="User rejected tool use")  # fmt: skip
    assert read(used("Bash"), rejected) == []
    assert read(used("Bash")) == []


def test_a_failure_is_told_with_its_error() -> None:
    told = read(used("Bash"), came(content="Exit code 2", is_error=True,
                                   toolUseResult="Error: Exit code 2"))  # fmt: skip
    assert names(told) == ["PreToolUse", "PostToolUseFailure"]
    assert told[1]["error"] == "Exit code 2"
    assert "tool_response" not in told[1]


def test_a_result_without_a_structure_of_its_own_is_its_words() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert read(used("Bash"), came(content=blocks))[1]["tool_response"] == "a\nb"
    structured = came(toolUseResult={"stdout": "x.py"})
    assert read(used("Bash"), structured)[1]["tool_response"] == {"stdout": "x.py"}


def test_a_subagents_file_tells_of_its_tools_and_its_end() -> None:
    aside = {"isSidechain": True, "agentId": "a1"}
    told = read(
        asked("explore", **aside), used("Bash", **aside), came(second=1, **aside),
        said("found it", 2, **aside), of_agent=True,
    )  # fmt: skip
    assert names(told) == ["PreToolUse", "PostToolUse", "SubagentStop"]
    assert {each["agent_id"] for each in told} == {"a1"}


def test_a_subagents_lines_within_a_session_end_no_turn_of_it() -> None:
    told = read(
        asked("go"), used("Task", second=1), said("found it", 2, isSidechain=True),
        came(second=3), said("done", 4),
    )  # fmt: skip
    assert names(told) == ["UserPromptSubmit", "PreToolUse", "PostToolUse", "Stop"]
    assert told[-1]["last_assistant_message"] == "done"


def test_lines_of_other_sessions_and_copied_ones_are_left_to_their_files() -> None:
    other = asked("theirs", sessionId="another")
    copied = asked("copied", 1, "p9", forkedFrom={"sessionId": "another"})
    assert [each["prompt"] for each in read(other, copied, asked("ours"), session_id=SESSION)] == [
        "ours"
    ]


def test_broken_and_unknown_lines_are_counted_and_left_out() -> None:
    reader = Reader()
    junk = (b"", b"{", b"[1]", b"\xff\xfe", b'{"type": "hologram"}', b'"text"', b'{"message": 1}')
    assert [told for each in junk for told in reader.read(each)] == []
    assert reader.counts.broken == 4
    assert read(came("unknown")) == []


def test_transcripts_without_ids_of_prompts_are_told_without() -> None:
    told = read(line("user", "one"), said("did one", 1), line("user", "two", 2))
    assert names(told) == ["UserPromptSubmit", "Stop", "UserPromptSubmit"]
    assert all("prompt_id" not in each for each in told)


blocks = st.fixed_dictionaries({}, optional={
    "type": st.sampled_from(("text", "tool_use", "tool_result", None, 1)),
    "text": st.sampled_from(("said", "", None, 1, ["x"])),
    "id": st.sampled_from(("t1", "", 1)), "name": st.sampled_from(("Bash", None)),
    "tool_use_id": st.sampled_from(("t1", None, {})), "is_error": st.sampled_from((True, "no")),
    "content": st.sampled_from(("x.py", None, 5, [None, {"text": 1}], {"text": "x"})),
})  # fmt: skip
contents = st.sampled_from((None, 1, "go", {}, [None, "x"])) | st.lists(blocks, max_size=2)
odd = st.sampled_from((None, True, 1, "p1", [], {}))
oddities = st.fixed_dictionaries({
    "type": st.sampled_from(("user", "assistant", "system", 1)),
    "sessionId": st.sampled_from((SESSION, "", None)),
    "message": st.builds(lambda said, why: {"content": said, "stop_reason": why}, contents, odd),
    "timestamp": st.sampled_from(("2026-01-02T12:00:00Z", "then", None, 5)),
    "isSidechain": odd, "promptId": odd, "cwd": odd, "toolUseResult": odd, "agentId": odd,
})  # fmt: skip


@given(st.lists(oddities, max_size=5))
def test_no_line_whatever_its_shape_stops_the_reading(lines: list[Payload]) -> None:
    for payload in read(*lines):
        assert payload["session_id"] == SESSION
        assert isinstance(payload["timestamp"], float)
