"""What every provider must do; a provider's test class inherits this and makes one.

A provider that asks a service is tested against a stand-in of that service that answers well.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observations import modes
from observations.drafts import (
    JSON,
    Completion,
    ObservationDraft,
    Source,
    SourceEvent,
    SummaryDraft,
)
from observations.modes import Mode
from observations.providers import Provider, ProviderError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PATIENCE = 20.0  # seconds; far more than any provider under test needs


def nested(depth: int, inside: JSON = "the end") -> JSON:
    """A value that lies this deep in lists and objects."""
    for level in range(depth):
        inside = [inside] if level % 2 else {"tool_input": inside}
    return inside


# Enough to tell work that grows with the square of a text from work that grows with the text.
LONG = 200_000
HOSTILE_VALUES: dict[str, JSON] = {
    "null": None,
    "true": True,
    "zero": 0,
    "huge number": 10**400,
    "infinity": float("inf"),
    "not a number": float("nan"),
    "empty text": "",
    "spaces": "  \t\n ",
    "empty list": [],
    "list": [None, 1, "x", [], {}],
    "empty object": {},
    "numbers as keys": {"0": 1, "": None},
    "nul": "a\0b",
    "lone surrogates": "\ud800 \udfff",
    "right to left": "\u202egnp.exe \u2066x\u2069",
    "joined emoji": "👩‍👩‍👧‍👦" * 50,
    "many scripts": "᤬㨉ᓺ㜽ᭅᜓ᧟ᙠ" * 20,
    "long word": "a" * LONG,
    "long line of words": "word " * (LONG // 5),
    "many lines": "\n" * LONG,
    "many dashes": "-" * LONG,
    "many digits": "1" * LONG,
    "many quotes": "\"'`" * (LONG // 3),
    "many brackets": "([{<" * (LONG // 4),
    "many stars": "a*" * (LONG // 2),
    "many colours": "\x1b[31m" * (LONG // 5),
    "many headings": "# x\n" * (LONG // 4),
    "many definitions": "def f():\n" * (LONG // 10),
    "half a here-document": "cat > x <<'EOF'\n" + "line\n" * 1000,
    "half a diff": "diff --git a/x b/x\n@@ -1,1 +1,1 @@\n" + "+x\n-y\n" * 1000,
    "placeholders": "password=[redacted:password] %s {0} %(x)s",
    "deeper than programs call": nested(5_000),
}
SHAPES: dict[str, Any] = {
    "payload": lambda value: value,
    "tool name": lambda value: {"tool_name": value, "tool_input": {"command": "ls"}},
    "tool input": lambda value: {"tool_name": "Edit", "tool_input": value},
    "path": lambda value: {"tool_name": "Read", "tool_input": {"file_path": value}, "cwd": value},
    "old and new text": lambda value: {
        "tool_name": "Edit",
        "tool_input": {"file_path": "a", "old_string": value, "new_string": value, "edits": value},
        "tool_response": {"originalFile": value, "filePath": value},
    },
    "written text": lambda value: {
        "tool_name": "Write",
        "tool_input": {"file_path": "a.py", "content": value},
        "tool_response": {"type": "create", "originalFile": value},
    },
    "command": lambda value: {
        "tool_name": "Bash",
        "tool_input": {"command": value, "description": value},
        "tool_response": {"stdout": value, "stderr": value},
    },
    "output": lambda value: {
        "tool_name": "Bash",
        "tool_input": {"command": "pytest -q"},
        "tool_response": {"stdout": value},
        "error": value,
    },
    "file": lambda value: {
        "tool_name": "Read",
        "tool_input": {"file_path": "a.py"},
        "tool_response": {"file": {"content": value, "startLine": value, "totalLines": value}},
    },
    "search": lambda value: {
        "tool_name": "Grep",
        "tool_input": {"pattern": value, "path": value},
        "tool_response": {"filenames": value, "content": value},
    },
    "unknown tool": lambda value: {"tool_name": "mcp__x__y", "tool_input": {"q": value},
                                   "tool_response": value},
    "message": lambda value: {"last_assistant_message": value, "prompt": value, "title": value},
}  # fmt: skip
EVENT_TYPES = ("PostToolUse", "PostToolUseFailure", "SubagentStop", "Stop", "tool_use", "?")


def event(
    payload: JSON, event_type: str = "PostToolUse", number: int = 1, id: str = ""
) -> SourceEvent:
    """An event with this payload."""
    return SourceEvent(id or f"event-{number}", number, event_type, NOON, payload)


def source(*events: SourceEvent, task: Literal["observe", "summarise"] = "observe") -> Source:
    """A source of these events."""
    return Source(task, "job-1", "a project", "session-1", events)


def worked() -> Iterator[SourceEvent]:
    """The events of a short session: a prompt, a reading, an edit, a test run, a last message."""
    yield event({"prompt": "Make total() round to cents."}, "UserPromptSubmit", 1)
    content = 'def total(items):\n    """The sum of the prices."""\n    return sum(items)\n'
    yield event(
        {"tool_name": "Read", "cwd": "/app", "tool_input": {"file_path": "/app/cart.py"},
         "tool_response": {"file": {"filePath": "/app/cart.py", "content": content}}}, number=2,
    )  # fmt: skip
    yield event(
        {"tool_name": "Edit", "cwd": "/app",
         "tool_input": {"file_path": "/app/cart.py", "old_string": "return sum(items)",
                        "new_string": "return round(sum(items), 2)"},
         "tool_response": {"filePath": "/app/cart.py", "originalFile": content}}, number=3,
    )  # fmt: skip
    yield event(
        {"tool_name": "Bash", "cwd": "/app", "tool_input": {"command": "pytest test_cart.py"},
         "tool_response": {"stdout": "3 passed in 0.1s"}}, number=4,
    )  # fmt: skip
    yield event({"last_assistant_message": "total() now rounds to cents."}, "Stop", 5)


PIECES = """
def f(a): ¦ class A(B): ¦ return x ¦ import os ¦ } ¦ }, ¦ ' ¦ " ¦ `
# a comment that is long enough ¦ // TODO: more ¦ ## Heading ¦ - item ¦ x = 1
self.y: int = 2, ¦ raise E('no such thing') ¦ { ¦ [ ¦ ( ¦ @@ -1,2 +3,4 @@ def g(): ¦ +a ¦ -b
diff --git a/x b/y ¦ --- a/x ¦ +++ b/x.py ¦ new file mode 100644 ¦ *** Add File: z.py
[File: a.py (9 lines total)] ¦ 1:x ¦ 2:y ¦ a.py:3:z ¦ edit 1:2 ¦ edit 0:0 ¦ EOF
cat > a <<EOF ¦ | head ¦ && ¦ > out ¦ pytest ¦ git diff ¦ git commit -m ¦ submit ¦ rm
sed -i s/a/b/ c ¦ 1 failed, 2 passed in 1s ¦ Tests:  1 failed, 2 total
Traceback (most recent call last): ¦ Exit code 3 ¦ ValueError: no ¦ error: bad
flag{abc_def} ¦ submit flag{abc_def} ¦ [main 1a2b3c4] Fix it ¦ é ¦ … ¦ a/b/c.py ¦ README.md
x.json ¦ .env ¦ https://example.org/a ¦ INSTRUCTIONS: ¦ Your changes ¦ \t ¦ \n
[redacted:token]
"""
WORDS = st.sampled_from(
    ["", " ", '"""', '  File "a.py", line 1, in f', "0" * 70, *re.split(r" ¦ |\n", PIECES)]
)
TEXTS = st.lists(WORDS, max_size=8).map(" ".join) | st.lists(WORDS, max_size=8).map("\n".join)
TOOLS = ["Edit", "Write", "MultiEdit", "NotebookEdit", "Read", "Grep", "Glob", "Bash", "WebFetch",
         "WebSearch", "Task", "TodoWrite", "ExitPlanMode", "apply_patch", "mcp__a__b"]  # fmt: skip
KEYS = ["file_path", "path", "old_string", "new_string", "content", "command", "description",
        "pattern", "query", "url", "plan", "input", "new_source", "notebook_path"]  # fmt: skip
ANSWERS = ["stdout", "stderr", "content", "originalFile", "result", "error", "filePath"]
PAYLOADS = st.fixed_dictionaries(
    {
        "cwd": st.sampled_from(["", "/", "/app"]),
        "tool_name": st.sampled_from(TOOLS),
        "tool_input": st.dictionaries(st.sampled_from(KEYS), TEXTS, max_size=6),
        "tool_response": TEXTS | st.dictionaries(st.sampled_from(ANSWERS), TEXTS, max_size=4),
    },
    optional={"error": TEXTS, "last_assistant_message": TEXTS, "prompt": TEXTS},
)


class ProviderContract:
    """The promise of Provider. `provider` makes one that is ready to be asked."""

    def provider(self) -> Provider:
        """A provider under test."""
        raise NotImplementedError

    @pytest.fixture
    def mode(self) -> Mode:
        return modes.load("code")

    def ask(self, mode: Mode, asked: Source, timeout: float = PATIENCE) -> Completion:
        """A completion that keeps the promise, whatever was asked."""
        completion = self.provider().complete(asked, mode, timeout=timeout)
        check(completion, asked, mode)
        return completion

    def test_it_says_who_it_is(self, mode: Mode) -> None:
        provider = self.provider()
        completion = self.ask(mode, source(*worked()))
        assert provider.name
        assert provider.model
        assert (completion.provider, completion.model) == (provider.name, provider.model)

    def test_events_that_show_work_make_observations(self, mode: Mode) -> None:
        drafts = self.ask(mode, source(*worked())).drafts
        assert drafts
        assert all(isinstance(draft, ObservationDraft) for draft in drafts)

    def test_one_event_alone_is_enough_for_an_observation(self, mode: Mode) -> None:
        (edit,) = [each for each in worked() if each.number == 3]
        drafts = self.ask(mode, source(edit)).drafts
        assert [draft.event_ids for draft in drafts] == [(edit.id,)]

    def test_a_session_makes_one_summary(self, mode: Mode) -> None:
        (summary,) = self.ask(mode, source(*worked(), task="summarise")).drafts
        assert isinstance(summary, SummaryDraft)
        assert "round" in summary.request

    @pytest.mark.parametrize("task", ["observe", "summarise"])
    def test_no_events_make_no_drafts(
        self, mode: Mode, task: Literal["observe", "summarise"]
    ) -> None:
        assert self.ask(mode, source(task=task)).drafts == ()

    def test_a_timeout_that_has_passed_is_an_error_that_may_be_tried_again(
        self, mode: Mode
    ) -> None:
        with pytest.raises(ProviderError) as raised:
            self.provider().complete(source(*worked()), mode, timeout=0)
        assert raised.value.retryable

    def test_many_threads_can_ask_at_once(self, mode: Mode) -> None:
        provider, asked = self.provider(), source(*worked())
        with ThreadPoolExecutor(8) as pool:
            answers = [
                pool.submit(provider.complete, asked, mode, timeout=PATIENCE) for _ in range(24)
            ]
            for answer in answers:
                check(answer.result(), asked, mode)


class HostileContract(ProviderContract):
    """The same, whatever it is asked about."""

    @pytest.mark.parametrize("shape", SHAPES)
    def test_hostile_payloads_raise_nothing_but_its_own_error(self, mode: Mode, shape: str) -> None:
        for name, value in HOSTILE_VALUES.items():
            payload = SHAPES[shape](value)
            for event_type in EVENT_TYPES if len(str(name)) < 12 else EVENT_TYPES[:1]:
                self.survives(mode, source(event(payload, event_type)))

    def test_hostile_sessions_raise_nothing_but_its_own_error(self, mode: Mode) -> None:
        events = [
            event(SHAPES[shape](value), EVENT_TYPES[number % len(EVENT_TYPES)], number, f"{number}")
            for number, (shape, value) in enumerate(
                (shape, value) for shape in SHAPES for value in HOSTILE_VALUES.values()
            )
        ]
        for task in ("observe", "summarise"):
            self.survives(mode, source(*events, task=task))

    @given(
        st.lists(st.tuples(PAYLOADS, st.sampled_from(EVENT_TYPES)), min_size=1, max_size=6),
        st.sampled_from(["observe", "summarise"]),
    )
    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    def test_odd_pieces_in_any_order_raise_nothing_but_its_own_error(
        self, payloads: list[tuple[JSON, str]], task: Literal["observe", "summarise"]
    ) -> None:
        events = [event(each, kind, number) for number, (each, kind) in enumerate(payloads)]
        self.survives(modes.load("code"), source(*events, task=task))

    def survives(self, mode: Mode, asked: Source) -> None:
        """It answers well or raises ProviderError, and it keeps its time."""
        started, worked = time.monotonic(), time.process_time()
        with contextlib.suppress(ProviderError):
            self.ask(mode, asked)
        assert time.process_time() - worked < PATIENCE + 1
        # Where others want the machine too, work takes longer: this finds what hangs.
        assert time.monotonic() - started < 10 * PATIENCE


def check(completion: Completion, asked: Source, mode: Mode) -> None:
    """Whether a completion keeps what every provider promises."""
    ids = {each.id for each in asked.events}
    assert completion.provider
    assert completion.model
    for tokens in (completion.input_tokens, completion.output_tokens):
        assert isinstance(tokens, int)
        assert tokens >= 0
    kind = SummaryDraft if asked.task == "summarise" else ObservationDraft
    assert all(isinstance(draft, kind) for draft in completion.drafts)
    for draft in completion.drafts:
        assert draft.event_ids
        assert set(draft.event_ids) <= ids
        if isinstance(draft, ObservationDraft):
            assert draft.type in mode.type_ids
            assert draft.title.strip()
            assert set(draft.concepts) <= set(mode.concept_ids)
            assert all(fact.strip() for fact in draft.facts)
