"""Edits become what they changed: names that came and went, in which lines, and to what end."""

import pytest

from tests.observations.providers.making import edit, observe, only, tool, write

pytestmark = pytest.mark.once

CART = '''class Cart:
    """What a customer wants to buy."""

    limit: int = 10

    def total(self, items):
        """The sum of the prices."""
        if not items:
            return 0
        return sum(items)
'''


def test_a_field_that_a_class_gains_is_a_feature_of_that_class() -> None:
    draft = only(
        edit(
            "/home/dev/app/cart.py",
            "    limit: int = 10\n",
            "    limit: int = 10\n    rate: float = 0.2\n",
            CART,
        )
    )
    assert (draft.type, draft.title) == ("feature", "Cart gains rate in cart.py")
    assert draft.facts == ("Cart in cart.py now has `rate: float = 0.2`.",)
    assert draft.subtitle == "Cart: What a customer wants to buy."
    assert draft.files_modified == ("cart.py",)


def test_a_line_that_was_replaced_is_told_before_and_after_with_its_place() -> None:
    draft = only(
        edit("/home/dev/app/cart.py", "return sum(items)", "return round(sum(items), 2)", CART)
    )
    assert draft.type == "bugfix"
    assert draft.title == "Cart.total in cart.py: return round(sum(items), 2)"
    assert draft.facts == (
        "In Cart.total in cart.py, `return sum(items)` became `return round(sum(items), 2)`.",
    )
    assert "around line 10" in draft.narrative
    assert "total: The sum of the prices." in draft.narrative


@pytest.mark.parametrize(
    ("old", "new", "kind", "title"),
    [
        ("x = 1", "x = 1\n\n\ndef area(r):\n    return r", "feature", "a.py gains area"),
        ("def f(a):", "def f(a, deep=False):", "feature", "f takes deep in a.py"),
        ("def f():", "def g():", "refactor", "f became g in a.py"),
        ("def f():\n    pass\n", "", "refactor", "f removed from a.py"),
        ("n = 1", "n = 2", "change", "a.py: n = 2"),
        ("return a[k]", "return a.get(k)  # avoid KeyError for old keys", "bugfix",
         "a.py: avoid KeyError for old keys"),
        ("return f(x)", "try:\n    return f(x)\nexcept OSError:\n    return None", "bugfix", None),
        ("export const a = 1", "export const a = 1\nexport async function load() {\n}", "feature",
         "a.py gains load"),
        ("type A struct {}", "type A struct {}\n\nfunc (a *A) Run() error {\n}", "feature",
         "a.py gains Run"),
    ],
)  # fmt: skip
def test_the_type_and_the_title_follow_from_the_lines(
    old: str, new: str, kind: str, title: str | None
) -> None:
    draft = only(edit("/home/dev/app/a.py", old, new))
    assert draft.type == kind
    assert title is None or draft.title == title


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("README.md", "## Installation\n\nRun make."),
        ("pyproject.toml", 'dependencies = ["httpx"]'),
        ("tests/test_cart.py", "def test_total():\n    assert total([]) == 0"),
    ],
)
def test_documents_settings_and_tests_are_changes_not_features(path: str, new: str) -> None:
    draft = only(edit(f"/home/dev/app/{path}", "x", new))
    assert draft.type == "change"
    assert draft.title.startswith(path)


def test_a_new_file_is_told_by_what_it_defines() -> None:
    draft = only(write("/home/dev/app/src/cart.py", CART))
    assert (draft.type, draft.title) == ("feature", "New file src/cart.py: Cart")
    assert "Cart: What a customer wants to buy." in draft.narrative


def test_a_new_test_is_told_by_what_it_tests() -> None:
    draft = only(
        write(
            "/home/dev/app/tests/test_cart.py",
            "def test_an_empty_cart_costs_nothing():\n    assert total([]) == 0",
        )
    )
    assert draft.title == "New test tests/test_cart.py: test_an_empty_cart_costs_nothing"
    assert draft.subtitle == "Tests: an empty cart costs nothing."


def test_a_script_without_names_is_told_by_what_it_imports_and_does() -> None:
    script = "from app.cart import Cart\n\ncart = Cart()\nprint(cart.total([1, 2]))"
    draft = only(write("/home/dev/app/try.py", script))
    assert draft.type == "change"
    assert draft.title == "New file try.py with Cart: print(cart.total([1, 2]))"


def test_a_file_that_is_written_over_is_told_by_the_difference() -> None:
    new = CART.replace("limit: int = 10", "limit: int = 20")
    draft = only(
        tool(
            "Write",
            {"file_path": "/home/dev/app/cart.py", "content": new},
            {"type": "update", "originalFile": CART},
        )
    )
    assert draft.facts == ("In cart.py, `limit: int = 10` became `limit: int = 20`.",)


def test_an_empty_file_and_an_edit_without_effect_leave_nothing_to_remember() -> None:
    assert observe(write("/home/dev/app/a.py", "")) == ()
    assert observe(edit("/home/dev/app/a.py", "x = 1", "x = 1")) == ()


@pytest.mark.parametrize(
    "answer",
    [
        "Your proposed edit has introduced new syntax error(s).\n\nERRORS:\n- E999 bad indent\n",
        "ERRORS:\n- E999 bad indent\nYour changes have NOT been applied. Please fix them.",
    ],
)
def test_an_edit_that_was_refused_is_a_failure_and_no_change(answer: str) -> None:
    draft = only(
        tool(
            "Edit",
            {"file_path": "/home/dev/app/a.py", "old_string": "edit 7:7", "new_string": "return 1"},
            {"stdout": answer},
        )
    )
    assert draft.type == "discovery"
    assert draft.title == "Edit of a.py line 7 was refused: E999 bad indent"
    assert (draft.files_read, draft.files_modified) == (("a.py",), ())
    assert "The refused edit of a.py had `return 1`." in draft.facts


def test_an_edit_that_the_tool_failed_is_refused_too() -> None:
    draft = only(
        tool(
            "Edit",
            {"file_path": "/home/dev/app/a.py", "old_string": "x", "new_string": "y"},
            error="String to replace not found in file.",
        )
    )
    assert draft.title == "Edit of a.py was refused: String to replace not found in file."


def test_an_edit_by_line_numbers_finds_its_place_in_the_listing() -> None:
    listing = (
        "[File: /testbed/cart.py (4 lines total)]\n"
        "1:def total(items):\n2:    x = 1\n3:    return round(x)\n4:\n"
    )
    draft = only(
        tool(
            "Edit",
            {
                "file_path": "/testbed/cart.py",
                "old_string": "edit 3:3",
                "new_string": "    return round(x)",
            },
            {"stdout": listing + "File updated. Please review the changes."},
        )
    )
    assert draft.title == "total in cart.py: return round(x)"
    assert draft.files_modified == ("/testbed/cart.py",)


def test_several_edits_in_one_call_are_all_told() -> None:
    edits = [
        {"old_string": "a = 1", "new_string": "a = 2"},
        {"old_string": "b = 1", "new_string": "b = 3"},
    ]
    draft = only(tool("MultiEdit", {"file_path": "/home/dev/app/a.py", "edits": edits}, {}))
    assert draft.facts == (
        "In a.py, `a = 1` became `a = 2`.",
        "In a.py, `b = 1` became `b = 3`.",
    )


def test_a_notebook_cell_and_a_patch_are_edits() -> None:
    cell = only(
        tool(
            "NotebookEdit",
            {"notebook_path": "/home/dev/app/a.ipynb", "new_source": "df.plot(x='day')"},
            {},
        )
    )
    patch = only(
        tool(
            "apply_patch",
            {
                "input": "*** Begin Patch\n*** Update File: a.py\n@@ def f():\n"
                "-    return 1\n+    return 2\n*** End Patch"
            },
            "Success",
        )
    )
    assert cell.title == "a.ipynb: df.plot(x='day')"
    assert patch.facts == ("In f in a.py, `return 1` became `return 2`.",)


def test_paths_outside_the_working_directory_stay_as_they_are() -> None:
    draft = only(edit("/srv/other/a.py", "n = 1", "n = 2"))
    assert draft.files_modified == ("/srv/other/a.py",)
    assert draft.title == "other/a.py: n = 2"
