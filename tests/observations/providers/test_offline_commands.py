"""Commands become how they went: what tests did, what failed and where, what was found."""

import pytest

from tests.observations.providers.making import bash, event, observe, only, tool

pytestmark = pytest.mark.once

PYTEST = """....F
=================================== FAILURES ===================================
E       assert 3 == 4
tests/test_cart.py:12: AssertionError
=========================== short test summary info ============================
FAILED tests/test_cart.py::test_total - assert 3 == 4
1 failed, 6 passed in 0.12s"""
TRACEBACK = """Traceback (most recent call last):
  File "/home/dev/app/run.py", line 5, in <module>
    main(0)
  File "/home/dev/app/src/cart.py", line 9, in main
    return 1 / rate
ZeroDivisionError: division by zero"""


@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        ("pytest tests/test_a.py", "== 7 passed in 0.05s ==", "pytest tests/test_a.py: 7 passed"),
        ("cd /x && python3 -m pytest -q 2>&1 | tail -5", "7 passed, 1 skipped in 1s",
         "pytest -q: 7 passed, 1 skipped"),
        ("npm test", "Tests:       12 passed, 12 total", "npm test: 12 passed, 12 total"),
        ("cargo test", "test result: ok. 3 passed; 0 failed;", "cargo test: 3 passed, 0 failed"),
        ("go test ./...", "ok  \tx/y\t0.2s\nok  \tx/z\t0.1s", "go test ./...: 2 packages ok"),
        ("./manage.py test", "Ran 4 tests in 0.2s\n\nOK", "./manage.py test: 4 tests ran: OK"),
        ("uv run mypy app", "Success: no issues found in 12 source files",
         "mypy app: Success: no issues found in 12 source files"),
    ],
)  # fmt: skip
def test_tests_and_checks_that_pass_are_told_by_their_counts(
    command: str, output: str, title: str
) -> None:
    assert only(bash(command, output)).title == title


@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        ("pytest -q", PYTEST,
         "pytest -q fails: 1 failed, 6 passed: tests/test_cart.py::test_total (assert 3 == 4)"),
        ("npx jest", "Tests:       1 failed, 2 passed, 3 total\n  ✕ adds two numbers",
         "jest fails: 1 failed, 2 passed, 3 total: adds two numbers"),
        ("cargo test", "test a::b ... FAILED\ntest result: FAILED. 2 passed; 1 failed;",
         "cargo test fails: 2 passed, 1 failed: a::b"),
        ("python -m unittest", "FAIL: test_x (a.T)\nRan 2 tests in 0.1s\n\nFAILED (failures=1)",
         "unittest fails: 2 tests ran: FAILED (failures=1): test_x"),
        ("ruff check .", "a.py:3:1: F401 unused\nFound 1 error.",
         "ruff check . fails: Found 1 error: a.py:3:1: F401 unused"),
    ],
)  # fmt: skip
def test_tests_and_checks_that_fail_name_what_failed(command: str, output: str, title: str) -> None:
    draft = only(bash(command, output))
    assert draft.title == title
    assert "gotcha" in draft.concepts


def test_a_traceback_is_told_by_its_error_and_its_place() -> None:
    draft = only(bash("python run.py", TRACEBACK))
    assert draft.title == "python run.py fails: ZeroDivisionError: division by zero"
    assert draft.subtitle == (
        "`python run.py` failed in line 9 of src/cart.py in main, at `return 1 / rate`."
    )
    assert draft.files_read == ("run.py", "src/cart.py")


def test_a_failure_that_was_reported_has_its_exit_code() -> None:
    draft = only(bash("kubectl get pods", error="Exit code 127\nbash: kubectl: command not found"))
    assert draft.title == "kubectl get pods fails: command not found"
    assert draft.facts == ("`kubectl get pods` failed with exit code 127: command not found.",)


def test_a_failure_without_a_word_still_says_that_it_failed() -> None:
    assert only(bash("./check.sh", error="Exit code 3")).title == "./check.sh fails: exit code 3"


@pytest.mark.parametrize(
    "output",
    [
        "ERROR: Could not find a version that satisfies x",
        "a.c:12:5: error: implicit declaration of function 'foo'",
        "npm ERR! missing script: build",
        "make: *** [Makefile:3: a.o] Error 1",
        "curl: (7) Failed to connect to localhost port 80: Connection refused",
    ],
)
def test_an_error_is_never_lost_though_the_command_counts_as_done(output: str) -> None:
    assert " fails: " in only(bash("make all", f"working\n{output}\nmore")).title


@pytest.mark.parametrize(
    "command",
    ["ls -la", "pwd", "cd src", "mkdir -p x && echo done", "echo $HOME", "export A=1", "git push",
     "rm reproduce.py", "git add -A", "true", ""],
)  # fmt: skip
def test_trivial_commands_leave_nothing_to_remember(command: str) -> None:
    assert observe(bash(command, "")) == ()


def test_a_trivial_command_that_fails_is_remembered() -> None:
    draft = only(bash("ls /none", error="Exit code 2\nls: cannot access '/none': No such file"))
    assert draft.title == "ls /none fails: cannot access '/none': No such file"
    assert draft.files_read == ()


@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        ("python run.py", "344", "python run.py prints 344"),
        ("wc -l a.py", " 12 a.py", "wc -l a.py prints 12 a.py"),
        ("psql -c 'select 1'", " count\n-------\n 1523\n(1 row)",
         "psql -c 'select 1': count 1523 (1 row)"),
        ("curl -s host/x", '{"token_count": 1, "items": [' + "1, " * 60 + "]}",
         "curl -s host/x answers with token_count and items"),
    ],
)  # fmt: skip
def test_what_a_command_printed_is_its_title(command: str, output: str, title: str) -> None:
    assert only(bash(command, output)).title == title


def test_the_agents_own_description_names_the_command() -> None:
    draft = only(bash("python bench.py", "p50: 12 ms", description="Measure the latency"))
    assert draft.title == "Measure the latency: p50: 12 ms"
    assert "Measure the latency: `python bench.py`." in draft.narrative


def test_what_was_looked_for_is_found_with_its_label() -> None:
    output = "Ubuntu 12.04\nhost login:\ncsaw\nPassword:\nflag{not_a_secret}\nLogin incorrect"
    draft = only(bash("tshark -r networking.pcap -Y telnet", output))
    assert draft.title == "tshark on networking.pcap finds flag{not_a_secret}"
    assert "tshark on networking.pcap printed `Password: flag{not_a_secret}`." in draft.facts
    assert "networking.pcap is a network capture." in draft.narrative


def test_output_that_is_no_text_is_told_by_its_kind() -> None:
    draft = only(bash("python decode.py", "᤬㨉ᓺ㜽ᭅᜓ᧟ᙠ㨉㢣ំᭅ" * 9))
    assert draft.title == "python decode.py prints 108 characters that are no readable text"


def test_long_words_are_cut_so_that_the_rest_can_be_read() -> None:
    draft = only(bash(f"tool --key 0x{'AB' * 99} -e 5 > out.pub", "done"))
    assert draft.title == "tool writes out.pub"
    assert "AB" * 30 not in repr(draft)


@pytest.mark.parametrize(
    ("command", "output", "kind", "title"),
    [
        ('git commit -m "fix: round totals"', "[main 1a2b3c4] fix: round totals\n 1 file changed",
         "bugfix", "Committed 1a2b3c4: fix: round totals"),
        ("git add . && git commit -m 'Add carts'", "[main 1a2b3c4] Add carts", "feature",
         "Committed 1a2b3c4: Add carts"),
        ("git commit -am 'Rename a to b'", "[main 1a2b3c4] Rename a to b", "refactor",
         "Committed 1a2b3c4: Rename a to b"),
        ("git log --oneline -2 -- a.py", "49d7ca54 widen the type\n91354bbc fix it", "discovery",
         "History of a.py: widen the type"),
        ("git status --short", " M a.py\n?? b.py", "discovery",
         "Uncommitted in the working tree: a.py and b.py"),
        ("git diff docs | head", "", "discovery", "git diff docs shows no change"),
        ("git show 1a2", "diff --git a/a.py b/a.py\n@@ -1 +1 @@ def f():\n-    x = 1\n+    x = 2",
         "change", "f in a.py: x = 2"),
    ],
)  # fmt: skip
def test_git_is_told_by_what_it_did_or_showed(
    command: str, output: str, kind: str, title: str
) -> None:
    draft = only(bash(command, output))
    assert (draft.type, draft.title) == (kind, title)


@pytest.mark.parametrize(
    ("command", "output", "title"),
    [
        ("pip install httpx", "Collecting httpx\nSuccessfully installed httpx-0.28.1",
         "Installed httpx-0.28.1 with pip"),
        ("npm i zod", "added 1 package in 2s", "Installed zod with npm"),
        ("uv add httpx", " + anyio==4.0.0\n + httpx==0.28.1",
         "Installed anyio==4.0.0 and httpx==0.28.1 with uv"),
        ("mv a.py b.py", "", "Moved a.py to b.py"),
        ("rm -rf src/legacy.py tmp/", "", "Removed src/legacy.py"),
        ("sed -i 's/3/6/' a.toml", "", "a.toml edited with sed -i 's/3/6/' a.toml"),
        ("submit 'flag{x_y_z}'", "", "Submitted flag{x_y_z}"),
        ("cat > a.py <<'EOF'\ndef area(r):\n    return r\nEOF", "", "New file a.py: area"),
    ],
)  # fmt: skip
def test_commands_that_change_something_are_changes(command: str, output: str, title: str) -> None:
    draft = only(bash(command, output))
    assert draft.title == title
    assert draft.type in ("change", "feature")


def test_a_submission_with_a_diff_is_the_whole_change() -> None:
    diff = (
        "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -9,3 +9,3 @@ class Delta(Field):\n"
        "-        return int(x)\n+        return int(round(x))  # round to nearest int\n"
    )
    draft = only(bash("submit", diff))
    assert (draft.type, draft.title) == ("bugfix", "Delta in a.py: round to nearest int")


def test_a_list_of_words_is_a_command_too() -> None:
    draft = only(tool("shell", {"command": ["bash", "-lc", "pytest -q"]}, {"output": "3 passed"}))
    assert draft.title == "pytest -q: 3 passed"


def test_an_event_of_a_rest_client_is_read_like_a_hook() -> None:
    payload = {
        "tool_name": "Bash",
        "tool_input": {"command": "pytest -q"},
        "tool_response": "3 passed in 1s",
    }
    assert only(event(payload, "tool_use")).title == "pytest -q: 3 passed"
