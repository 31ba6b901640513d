import pytest
from hypothesis import given
from hypothesis import strategies as st

from observations import scopes
from observations.errors import InvalidInput

pytestmark = pytest.mark.once

NEEDS = [
    scopes.READ_MEMORY,
    scopes.READ_JOBS,
    scopes.READ_PAYLOADS,
    scopes.WRITE_EVENTS,
    scopes.WRITE_SESSIONS,
    scopes.WRITE_MEMORY,
    scopes.WRITE_PROJECTS,
    scopes.MANAGE_KEYS,
    scopes.READ_AUDIT,
]


@pytest.mark.parametrize("need", NEEDS)
def test_a_star_meets_every_need_and_nothing_meets_none(need: scopes.Need) -> None:
    assert scopes.allows(["*"], need)
    assert not scopes.allows([], need)


@given(st.lists(st.sampled_from(scopes.KNOWN)), st.sampled_from(NEEDS))
def test_a_need_is_met_by_any_of_its_scopes_and_by_no_other(
    held: list[str], need: scopes.Need
) -> None:
    assert scopes.allows(held, need) == ("*" in held or any(scope in need for scope in held))


def test_the_four_scopes_of_hooks_grant_what_hooks_do_and_no_more() -> None:
    hook = ["events:write", "sessions:write", "observations:read", "jobs:read"]
    granted = [need for need in NEEDS if scopes.allows(hook, need)]
    assert granted == [
        scopes.READ_MEMORY,
        scopes.READ_JOBS,
        scopes.WRITE_EVENTS,
        scopes.WRITE_SESSIONS,
    ]


def test_what_stores_or_changes_something_is_told_from_what_reads() -> None:
    writing = [need for need in NEEDS if scopes.writes(need)]
    assert {scopes.WRITE_EVENTS, scopes.WRITE_SESSIONS, scopes.MANAGE_KEYS} <= set(writing)
    assert not {scopes.READ_MEMORY, scopes.READ_JOBS, scopes.READ_AUDIT} & set(writing)


def test_who_needs_no_key_may_do_whatever_a_route_asks_for() -> None:
    assert all(scopes.allows(scopes.OF_UNKEYED, need) for need in NEEDS)


def test_writing_does_not_imply_reading_nor_admin_either() -> None:
    assert not scopes.allows(["memories:write"], scopes.READ_MEMORY)
    assert not scopes.allows(["admin", "memories:admin"], scopes.READ_MEMORY)


def test_a_list_of_scopes_is_parsed_in_order_each_once() -> None:
    parsed = scopes.parse(" memories:write, memories:read,memories:write,")
    assert parsed == ("memories:write", "memories:read")


@pytest.mark.parametrize("text", ["", " , ", "memories:reed", "memories:read,root"])
def test_an_unknown_or_missing_scope_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=text.split(",")[-1].strip() or "at least one"):
        scopes.parse(text)
