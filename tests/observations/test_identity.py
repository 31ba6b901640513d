"""Deterministic keys."""

import pytest

from observations.identity import generation_key, lane_key, platform, session_key

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (None, None),
        ("", "claude"),
        ("  ", "claude"),
        ("Claude Code", "claude"),
        ("transcript", "codex"),
        ("Codex CLI", "codex"),
        ("cursor-cli", "cursor"),
        ("docker-e2e", "docker-e2e"),
        ("Open  Code", "open-code"),
    ],
)
def test_platforms_have_one_name(given: str | None, canonical: str | None) -> None:
    assert platform(given) == canonical


def _key(**given: str | None) -> str | None:
    names = ("external", "content", "agent_id", "agent_type", "platform_source")
    return session_key("team-1", "project-1", **{name: given.get(name) for name in names})


@pytest.mark.parametrize(
    ("named", "digest"),
    [
        ({"external": "x1"}, "5d95bbe0b473c41a510f4b0d3f0202ef512f9bffed70394a8d9b14f577776e94"),
        (
            {"external": "x1", "platform_source": "Claude Code"},
            "10cde880d936014684d8210b1673ba81d3ec8004229dab7ad7c5b4e61e384251",
        ),
        ({"content": "c1"}, "1c6aba554d2c5bcd23869590966cb65972a53d3feffc1c3e659b0be9f8bb5cd4"),
        (
            {"agent_id": "a1", "platform_source": "codex"},
            "ea9a0af97e014a45162b1fe2b257ac723c57fbd01a7247e52768ab1ba7cbd065",
        ),
    ],
    ids=["external", "external of a platform", "content", "agent"],
)
def test_session_keys_are_those_of_the_wire_contract(named: dict[str, str], digest: str) -> None:
    named = named | {"platform_source": platform(named.get("platform_source"))}
    assert _key(**named) == f"server_session:v1:{digest}"


def test_a_session_that_nothing_tells_apart_has_no_key() -> None:
    assert _key() is None
    assert _key(agent_id="a1") is None


def test_generation_keys_are_those_of_the_wire_contract() -> None:
    assert generation_key("j1", 0, "  hello  ") == (
        "generation:v1:j1:0:c86e8f99a0b476bae7e9dc215318ddd80076c0f7364c04b95b8db39f9dd076f9"
    )


def test_a_session_has_one_lane_by_whichever_name_it_is_called() -> None:
    assert lane_key("p", "c", "x", "e1") == lane_key("p", "c", None, "e2")
    assert lane_key("p", None, "c", "e1") == lane_key("p", "c", None, "e2")
    assert lane_key("p", None, None, "e1") != lane_key("p", None, None, "e2")
    assert lane_key("p", "c", None, "e") != lane_key("q", "c", None, "e")
