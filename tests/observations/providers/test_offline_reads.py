"""Readings become what the file says of itself; searches become where something is."""

import pytest

from tests.observations.providers.making import bash, observe, only, read, tool

pytestmark = pytest.mark.once

JOBS = '''"""Jobs and their states."""

LIMIT = 3


class Job:
    """One unit of work.

    Parameters
    ----------
    lock:
        Jobs with the same lock never run together
    """

    #: No two jobs with the same lock run at once
    lock: str

    def start(self):
        if self.lock is None:
            raise ValueError("A job needs a lock")
        # TODO: tell the worker
'''


def test_a_module_is_told_by_its_symbols_their_documentation_and_its_comments() -> None:
    draft = only(read("/home/dev/app/jobs.py", JOBS))
    assert (draft.type, draft.title) == ("discovery", "jobs.py: Job: One unit of work.")
    assert draft.facts == (
        "Job in jobs.py: One unit of work.",
        "lock in jobs.py: No two jobs with the same lock run at once.",
        "jobs.py sets `LIMIT = 3`.",
        "jobs.py raises `A job needs a lock`.",
        "Open in jobs.py: `TODO: tell the worker`.",
    )
    assert "lock: Jobs with the same lock never run together." in draft.narrative
    assert "Jobs and their states." in draft.narrative
    assert draft.files_read == ("jobs.py",)


def test_a_part_of_a_file_says_which_part() -> None:
    draft = only(read("/home/dev/app/jobs.py", JOBS, start=101, total=400))
    assert "Read lines 101–122 of 400 of jobs.py" in draft.narrative


@pytest.mark.parametrize(
    ("path", "content", "title", "word"),
    [
        ("main.go", "// Server answers requests.\ntype Server struct {\n}\n",
         "main.go: Server: Server answers requests.", "answers"),
        ("a.ts", "/** Loads the cart. */\nexport const load = async (id) => {\n}\n",
         "a.ts: load: Loads the cart.", "cart"),
        ("a.rs", "/// Adds two numbers.\npub fn add(a: i32) -> i32 {\n}\n",
         "a.rs: add: Adds two numbers.", "numbers"),
        ("a.c", "/* Adds two numbers. */\nint add(int a) {\n  return a;\n}\n",
         "a.c: add: Adds two numbers.", "numbers"),
        ("a.sql", "CREATE TABLE IF NOT EXISTS users (\n-- the address of the user at home\n);",
         "a.sql: users", "address of the user"),
        ("README.md", "# Cart\n\nCart keeps what customers want to buy.\n\n## Usage\n",
         "README.md: Cart", "customers want"),
        ("a.toml", "[tool.ruff]\nline-length = 100\n", "a.toml: tool.ruff and line-length", "ruff"),
        ("app.json", '{\n  "name": "app",\n  "scripts": {}\n}', "app.json: name and scripts",
         "scripts"),
        ("notes.txt", "The staging database is reset every night.",
         "notes.txt: The staging database is reset every night.", "staging"),
    ],
)  # fmt: skip
def test_other_languages_and_documents_are_read_too(
    path: str, content: str, title: str, word: str
) -> None:
    draft = only(read(f"/home/dev/app/{path}", content))
    assert draft.title == title
    assert word in draft.narrative


def test_code_without_a_word_of_documentation_is_told_by_its_lines() -> None:
    draft = only(read("/home/dev/app/a.py", "def enc(x):\n    return (123 * x + 18) % 256\n"))
    assert draft.facts == ("a.py has `return (123 * x + 18) % 256`.",)


def test_a_test_file_is_told_by_what_its_tests_are_of() -> None:
    draft = only(read("/home/dev/app/tests/test_a.py", "def test_a_lock_keeps_order():\n    x()\n"))
    assert draft.subtitle == "Tests: a lock keeps order."


def test_settings_are_told_by_their_names_and_never_by_their_values() -> None:
    draft = only(bash("cat .env.local", "API_KEY=[redacted:api-key]\nMODE=production-eu"))
    assert (draft.type, draft.title) == ("security_note", ".env.local sets API_KEY and MODE")
    assert "production-eu" not in repr(draft)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("01" * 400, "800 binary digits"),
        ("deadBEEF" * 40, "320 hexadecimal digits"),
        ("QUJDRA==".rstrip("=") * 40, "240 characters of Base64"),
    ],
)
def test_encoded_content_is_told_by_its_kind_and_size(content: str, what: str) -> None:
    draft = only(bash("cat data.bin", content))
    assert draft.title == f"data.bin holds {what}"
    assert len(repr(draft)) < 900


def test_text_of_one_script_is_text_in_whatever_language() -> None:
    text = "ロックは同じ鍵の仕事を順番に並べるためのものです。二つの仕事は同時に走りません。"
    assert "no readable text" not in repr(only(read("/home/dev/app/a.txt", text)))


def test_a_listing_with_line_numbers_is_read_without_them() -> None:
    listing = (
        "[File: /testbed/a.py (9 lines total)]\n(4 more lines above)\n"
        "5:def total(x):\n6:    return x\n"
    )
    draft = only(tool("Read", {"file_path": "b.py"}, {"stdout": listing}))
    assert draft.title == "a.py: total"
    assert draft.files_read == ("/testbed/a.py",)
    assert "lines 5–6 of 9" in draft.narrative


def test_a_file_that_could_not_be_read_says_why() -> None:
    draft = only(tool("Read", {"file_path": "/home/dev/app/a.py"}, error="File does not exist."))
    assert draft.title == "a.py could not be read: File does not exist."


def test_an_empty_file_and_an_image_leave_nothing_to_remember() -> None:
    image = {"type": "image", "file": {"base64": "aGk=" * 99}}
    assert observe(read("/home/dev/app/a.py", "")) == ()
    assert observe(tool("Read", {"file_path": "a.png"}, image)) == ()


def test_a_search_tells_the_files_and_the_lines() -> None:
    content = "app/a.py:12:    retry_in = 5\napp/b.py:40:def f(retry_in):"
    draft = only(tool("Grep", {"pattern": "retry_in"}, {"mode": "content", "content": content}))
    assert draft.title == "retry_in is in app/a.py and app/b.py"
    assert draft.facts == ("app/a.py: `retry_in = 5`.", "app/b.py: `def f(retry_in):`.")
    assert draft.files_read == ("app/a.py", "app/b.py")


def test_a_search_for_files_tells_what_matches() -> None:
    names = ["/home/dev/app/src/A.tsx", "/home/dev/app/src/B.tsx"]
    draft = only(tool("Glob", {"pattern": "**/*.tsx"}, {"filenames": names}))
    assert draft.title == "**/*.tsx matches src/A.tsx and src/B.tsx"


def test_a_search_that_found_one_file_says_where_it_is() -> None:
    answer = {"stdout": 'Found 1 matches for "fields.py" in /testbed:\n/testbed/src/fields.py'}
    draft = only(tool("Grep", {"pattern": '"fields.py" src'}, answer))
    assert draft.title == "fields.py is at src/fields.py"


@pytest.mark.parametrize(
    "answer", [{"filenames": [], "mode": "files_with_matches"}, {"stdout": "No matches found"}]
)
def test_a_search_that_found_nothing_is_worth_knowing(answer: object) -> None:
    draft = only(tool("Grep", {"pattern": "max_wait", "path": "src"}, answer))
    assert draft.title == "No match for max_wait in src"


def test_a_search_in_one_file_is_a_reading_of_it() -> None:
    output = "7:def fetch(x):\n8-    # skips a job whose lock is held\n9-    return x"
    draft = only(bash("grep -n fetch -A2 jobs.py | head", output))
    assert draft.title == "jobs.py: fetch"
    assert "jobs.py: skips a job whose lock is held." in draft.facts
