"""In a batch, events that belong together make one observation that cites them all."""

import pytest

from tests.observations.providers.making import bash, edit, observe, only, read, tool, write

pytestmark = pytest.mark.once


def test_readings_of_one_file_are_one_observation() -> None:
    parts = [
        read("/home/dev/app/a.py", "class A:\n    x = 1", total=90),
        read("/home/dev/app/a.py", "class B:\n    y = 1", start=50, total=90),
    ]
    draft = only(*parts)
    assert draft.event_ids == tuple(each.id for each in parts)
    assert draft.title == "a.py: A and B"
    assert "lines 1–2 and 50–51 of 90" in draft.narrative


def test_a_search_that_leads_to_a_reading_joins_it() -> None:
    found = tool("Glob", {"pattern": "**/cart.py"}, {"filenames": ["/home/dev/app/src/cart.py"]})
    draft = only(found, read("/home/dev/app/src/cart.py", "class Cart:\n    x = 1"))
    assert draft.title == "src/cart.py: Cart"
    assert draft.event_ids[0] == found.id


def test_edits_of_one_file_and_the_tests_that_pass_are_one_observation() -> None:
    events = [
        edit("/home/dev/app/a.py", "x = 1", "x = 1\n\n\ndef area(r):\n    return r"),
        edit("/home/dev/app/a.py", "return r", "return r * r"),
        bash("pytest -q", "3 passed in 1s"),
    ]
    draft = only(*events)
    assert draft.title == "a.py gains area"
    assert draft.subtitle == "`pytest -q` then gave 3 passed."
    assert draft.event_ids == tuple(each.id for each in events)


def test_a_failure_that_comes_from_elsewhere_stays_apart() -> None:
    trouble = (
        "tests/conftest.py:15: in <module>\n    import django\n"
        "E   ModuleNotFoundError: No module named 'django'"
    )
    change = edit("/home/dev/app/retry.py", "n = 1", "n = 2")
    failed = bash("pytest tests/test_retry.py", error=f"Exit code 4\n{trouble}")
    drafts = observe(change, failed)
    assert [draft.event_ids for draft in drafts] == [(change.id,), (failed.id,)]


def test_a_failure_that_comes_from_the_edited_file_belongs_to_the_edit() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/home/dev/app/a.py", line 1, in f\n    x()\nTypeError: no'
    )
    draft = only(edit("/home/dev/app/a.py", "n = 1", "n = 2"), bash("make run", error=trace))
    assert "`make run` then failed: TypeError: no." in draft.facts
    assert "gotcha" in draft.concepts


def test_a_script_and_its_run_are_one_observation() -> None:
    draft = only(write("/home/dev/app/try.py", "print(6 * 7)"), bash("python try.py", "42"))
    assert draft.title == "New file try.py prints 42"


def test_a_repair_cites_the_same_command_before_and_after_it() -> None:
    before, after = bash("python reproduce.py", "344"), bash("python reproduce.py", "345")
    change = edit("/home/dev/app/a.py", "return int(x)", "return int(round(x))")
    first, second = observe(before, change, after)
    assert first.event_ids == (before.id,)
    assert second.event_ids == (change.id, after.id, before.id)
    assert "`python reproduce.py` then printed `345`." in second.facts
    assert "Before it, `python reproduce.py` printed `344`." in second.facts
    assert "problem-solution" in second.concepts


def test_a_refused_edit_is_told_with_the_one_that_followed() -> None:
    refused = tool(
        "Edit",
        {"file_path": "/home/dev/app/a.py", "old_string": "x", "new_string": "y"},
        error="String to replace not found",
    )
    draft = only(refused, edit("/home/dev/app/a.py", "n = 1", "n = 2"))
    assert draft.title == "a.py: n = 2"
    assert "An edit of a.py was refused: String to replace not found." in draft.facts


def test_edits_that_were_refused_again_and_again_are_one_observation() -> None:
    refused = [
        tool(
            "Edit",
            {"file_path": "/home/dev/app/a.py", "old_string": "x", "new_string": "y"},
            error="File has not been read",
        )
        for _ in range(3)
    ]
    assert only(*refused).title == "Edit of a.py was refused (3 times): File has not been read"


def test_a_command_that_says_the_same_again_is_one_observation() -> None:
    tries = [bash(f"submit 'flag{{try {n}}}'", "Wrong flag!") for n in range(4)]
    draft = only(*tries)
    assert draft.title == "submit 'flag{try 0}' answers (4 times): Wrong flag!"
    assert len(draft.event_ids) == 4


def test_an_answer_that_is_handed_in_joins_what_found_it() -> None:
    found = bash("strings disk.img", "flag{below_the_radar}")
    handed_in = bash("submit 'flag{below_the_radar}'", "")
    draft = only(found, handed_in)
    assert draft.title == "strings on disk.img finds flag{below_the_radar}"
    assert draft.event_ids == (found.id, handed_in.id)


def test_a_diff_that_is_handed_in_joins_the_edit_and_completes_it() -> None:
    diff = (
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -9,1 +9,1 @@ class Delta(Field):\n"
        "-        return int(x)\n+        return int(round(x))\n"
    )
    listing = (
        "[File: /testbed/a.py (2 lines total)]\n"
        "1:    def total(x):\n2:        return int(round(x))\n"
    )
    change = tool(
        "Edit",
        {
            "file_path": "/testbed/a.py",
            "old_string": "edit 2:2",
            "new_string": "        return int(round(x))",
        },
        {"stdout": listing},
    )
    draft = only(change, bash("submit", diff))
    assert draft.title == "Delta.total in a.py: return int(round(x))"
    assert "In Delta.total in a.py, `return int(x)` became `return int(round(x))`." in draft.facts


def test_different_things_stay_apart_and_in_order() -> None:
    events = [
        read("/home/dev/app/a.py", "class A:\n    x = 1"),
        bash("ls", "a.py"),
        edit("/home/dev/app/b.py", "n = 1", "n = 2"),
        bash("git diff", ""),
        edit("/home/dev/app/c.py", "n = 1", "n = 2"),
    ]
    drafts = observe(*events)
    assert [draft.event_ids for draft in drafts] == [
        (events[0].id,),
        (events[2].id,),
        (events[3].id,),
        (events[4].id,),
    ]


def test_a_long_batch_does_not_become_one_observation() -> None:
    edits = [edit("/home/dev/app/a.py", f"n{n} = 1", f"n{n} = 2") for n in range(20)]
    drafts = observe(*edits)
    assert len(drafts) == 3
    assert sum(len(draft.event_ids) for draft in drafts) == 20
