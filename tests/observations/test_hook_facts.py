from datetime import UTC, datetime

import pytest

from observations import hook_facts
from observations.errors import InvalidInput
from observations.hook_facts import HookFacts
from observations.places import Place

pytestmark = pytest.mark.once


def _environ(**headers: str) -> dict[str, object]:
    return {f"HTTP_X_CLAUDE_MEM_{name.upper()}": value for name, value in headers.items()}


def test_without_headers_there_are_no_facts() -> None:
    assert hook_facts.of_environ({"HTTP_HOST": "localhost"}) is hook_facts.NONE


def test_all_that_a_client_says_is_read() -> None:
    said = _environ(
        place='{"project": "shop", "remote": "https://host/ada/shop.git", "branch": "b", "x": 1}',
        delivery="3f0c-1",
        occurred="1768070035.25",
        off="0",
        entrypoint="sdk-cli",
    )
    assert hook_facts.of_environ(said) == HookFacts(
        delivery="3f0c-1",
        occurred_at=datetime(2026, 1, 10, 18, 33, 55, 250_000, tzinfo=UTC),
        place=Place(project="shop", remote="https://host/ada/shop.git", branch="b"),
        entrypoint="sdk-cli",
    )


@pytest.mark.parametrize("word", ["1", "true", "TRUE", "Yes", " on "])
def test_memory_is_off_where_the_client_says_so(word: str) -> None:
    assert hook_facts.of_environ(_environ(off=word)).off


@pytest.mark.parametrize("value", ["$CLAUDE_CODE_ENTRYPOINT", "${CLAUDE_CODE_ENTRYPOINT}", " "])
def test_a_variable_that_nobody_filled_in_says_nothing(value: str) -> None:
    assert hook_facts.of_environ(_environ(entrypoint=value)).entrypoint == ""


@pytest.mark.parametrize("word", ["", "0", "false", "No", "off", "$MEM_OFF", "${MEM_OFF}"])
def test_an_empty_or_unfilled_variable_does_not_turn_memory_off(word: str) -> None:
    assert not hook_facts.of_environ(_environ(off=word)).off


@pytest.mark.parametrize(
    ("header", "value", "path"),
    [
        ("off", "perhaps", "X-Claude-Mem-Off"),
        ("delivery", "x" * 201, "X-Claude-Mem-Delivery"),
        ("delivery", "ä", "X-Claude-Mem-Delivery"),
        ("entrypoint", "a\x07", "X-Claude-Mem-Entrypoint"),
        ("occurred", "yesterday", "X-Claude-Mem-Occurred"),
        ("occurred", "nan", "X-Claude-Mem-Occurred"),
        ("occurred", "1e30", "X-Claude-Mem-Occurred"),
        ("place", "{", "X-Claude-Mem-Place"),
        ("place", "[]", "X-Claude-Mem-Place"),
        ("place", '{"remote": 7}', "X-Claude-Mem-Place"),
        ("place", '{"root": "' + "x" * 4097 + '"}', "X-Claude-Mem-Place"),
        ("place", " " + "x" * 16_384, "X-Claude-Mem-Place"),
    ],
)
def test_a_header_that_cannot_be_read_is_named(header: str, value: str, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        hook_facts.of_environ(_environ(**{header: value}))
    assert ".".join(map(str, refused.value.path)) == path
