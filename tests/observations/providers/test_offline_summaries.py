"""A session's summary: what was asked for, looked at, learned, done and left open."""

import pytest

from tests.observations.providers.making import (
    bash,
    edit,
    event,
    prompt,
    read,
    stop,
    summarise,
    tool,
)

pytestmark = pytest.mark.once

ISSUE = """We're currently solving the following issue within our repository. Here's the issue text:
ISSUE:
TimeDelta serialization precision
Hi there!

I just found quite strange behaviour of `TimeDelta`.

```python3
print(td_field.serialize("td_field", obj))
```

Output of this snippet is `344`, but it seems that `345` is correct.


INSTRUCTIONS:
Now, you're going to solve this issue on your own. You can use any bash commands.

IMPORTANT TIPS:
1. Always start by trying to replicate the bug.

(Open file: n/a)
bash-$"""


def test_nothing_makes_no_summary() -> None:
    assert summarise() is None
    assert summarise(event({}, "SessionStart"), bash("ls", "a b"), event({}, "SessionEnd")) is None


def test_a_prompt_alone_is_a_summary() -> None:
    summary = summarise(prompt("Please cap the backoff, with a test."))
    assert summary
    assert summary.request == "cap the backoff, with a test."


def test_the_issue_is_the_request_and_not_the_instructions_around_it() -> None:
    summary = summarise(prompt(ISSUE))
    assert summary
    assert summary.request == (
        "TimeDelta serialization precision. Hi there! I just found quite strange behaviour of "
        "`TimeDelta`. Output of this snippet is `344`, but it seems that `345` is correct."
    )


@pytest.mark.parametrize(
    "text",
    ["<task-notification><id>1</id> done</task-notification>", "  \n ", "```\ncode only\n```"],
)
def test_a_prompt_without_a_request_asks_for_nothing(text: str) -> None:
    assert summarise(prompt(text)) is None


def test_all_prompts_are_in_the_request_each_once() -> None:
    summary = summarise(prompt("Add a cap."), prompt("Now test it."), prompt("Add a cap."))
    assert summary
    assert summary.request == "Add a cap. Then: Now test it."


def test_a_session_of_reading_learned_what_the_agent_says() -> None:
    summary = summarise(
        prompt("How do locks keep order?"),
        read("/home/dev/app/jobs.py", 'class Job:\n    """One unit of work."""\n'),
        stop("Each lock is a FIFO lane. Fetching skips a job whose lock is held."),
    )
    assert summary
    assert summary.investigated == "jobs.py: Job: One unit of work."
    assert summary.learned.startswith("Each lock is a FIFO lane. Fetching skips a job")
    assert "Job in jobs.py: One unit of work." in summary.learned
    assert (summary.completed, summary.next_steps) == ("", "")
    assert summary.notes == "Files read: jobs.py."


def test_a_session_of_work_completed_what_changed_and_what_the_agent_says() -> None:
    summary = summarise(
        prompt("Cap the backoff."),
        edit("/home/dev/app/a.py", "x = 1", "x = 1\n\n\ndef cap(n):\n    return n"),
        bash("pytest -q", "3 passed in 1s"),
        stop("The backoff is capped now. pytest was run."),
    )
    assert summary
    assert summary.completed == (
        "a.py gains cap. `pytest -q` then gave 3 passed. The backoff is capped now. pytest was run."
    )
    assert summary.learned == ""
    assert summary.notes == "Files changed: a.py."


def test_what_is_left_open_are_announcements_failures_and_things_to_do() -> None:
    todos = [
        {"content": "Write it", "status": "completed"},
        {"content": "Test it", "status": "pending"},
    ]
    summary = summarise(
        prompt("Cap the backoff."),
        tool("TodoWrite", {"todos": todos}),
        bash("pytest -q", "FAILED a.py::test_x\n1 failed in 1s"),
        stop("The cap is written but not yet tested. Next, the documentation should be updated."),
    )
    assert summary
    assert summary.next_steps == (
        "The cap is written but not yet tested. Next, the documentation should be updated. "
        "To do: Test it. Still failing: pytest -q: 1 failed."
    )


def test_a_failure_that_was_put_right_is_not_left_open() -> None:
    summary = summarise(
        prompt("Fix it."), bash("pytest -q", "1 failed in 1s"), bash("pytest -q", "1 passed in 1s")
    )
    assert summary
    assert summary.next_steps == ""
    assert "pytest -q fails: 1 failed." in summary.learned


def test_an_announcement_that_was_carried_out_is_not_left_open() -> None:
    summary = summarise(
        prompt("Find the flag."), bash("submit 'flag{x_y_z}'"), stop("Let's submit this flag.")
    )
    assert summary
    assert summary.next_steps == ""
    assert summary.completed == "Submitted flag{x_y_z}."


def test_a_summary_cites_the_prompts_the_work_and_the_messages() -> None:
    events = [
        prompt("Cap it."),
        bash("ls"),
        edit("/home/dev/app/a.py", "n = 1", "n = 2"),
        stop("Capped."),
    ]
    summary = summarise(*events)
    assert summary
    assert summary.event_ids == (events[0].id, events[2].id, events[3].id)


def test_a_session_of_any_length_has_a_summary_of_bounded_size() -> None:
    events = [edit(f"/home/dev/app/m{n}.py", f"n{n} = 1", f"n{n} = 2") for n in range(300)]
    words = "A long message about the work. " * 300
    summary = summarise(prompt("word " * 5000), *events, stop(words))
    assert summary
    fields = (
        summary.request,
        summary.investigated,
        summary.learned,
        summary.completed,
        summary.next_steps,
        summary.notes,
    )
    assert all(len(field) <= 1300 for field in fields)
