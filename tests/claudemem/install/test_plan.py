"""What is shown of changes before they are made."""

from pathlib import Path

from claudemem.install.plan import Change, Plan

PATH = Path("/home/ada/.agent/settings.json")


def test_only_what_changes_something_is_due() -> None:
    same, other = Change(PATH, b"1", b"1"), Change(PATH, None, b"1")
    assert Plan((same, other)).due == (other,)
    assert Plan((same,)).diff() == ""


def test_changes_are_shown_line_by_line_whatever_their_ends() -> None:
    shown = Plan((Change(PATH, b"a\r\nb\r\n", b"a\r\nc"),)).diff()
    assert shown.splitlines()[2:] == ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]


def test_a_file_that_is_made_or_removed_is_shown_as_that() -> None:
    assert Plan((Change(PATH, None, b"a\n"),)).diff().startswith(f"--- /dev/null\n+++ {PATH}\n")
    assert Plan((Change(PATH, b"a\n", None),)).diff().startswith(f"--- {PATH}\n+++ /dev/null\n")


def test_what_is_secret_beside_a_change_is_not_shown() -> None:
    beside = b'"OPENAI_API_KEY": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD",\n'
    shown = Plan((Change(PATH, beside, beside + b'"hooks": {}\n'),)).diff()
    assert "OPENAI_API_KEY" in shown
    assert "abcdefgh" not in shown
