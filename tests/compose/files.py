"""What lies in `compose/`, read as Docker and Compose read it."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.stack import ROOT

FOLDER = ROOT / "compose"
# ${NAME}, ${NAME:-default} or ${NAME:?what is missing}; $$ is a dollar.
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?::(?P<how>[-?])(?P<rest>[^{}]*))?\})")

SECRETS = {
    "POSTGRES_PASSWORD": "3f0c1d7f5ab8be9b3b1c",
    "VALKEY_PASSWORD": "a2a40ce1c5d64c6b8f0d",
    "CLAUDE_MEM_SECRET_KEY": "9b2e6f0a7c41d853e6f90b1a2c3d4e5f60718293a4b5c6d7",
}


class Missing(Exception):
    """A variable that must have a value has none."""


def compose_text() -> str:
    """compose.yaml as it is written."""
    return (FOLDER / "compose.yaml").read_text()


def compose(variables: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """compose.yaml with its variables put in. Raises Missing."""
    loaded: dict[str, Any] = _interpolated(yaml.safe_load(compose_text()), variables)
    return loaded


def services(variables: Mapping[str, str] = SECRETS) -> dict[str, dict[str, Any]]:
    """The services of compose.yaml by name."""
    found: dict[str, dict[str, Any]] = compose(variables)["services"]
    return found


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """A text with its variables put in. Raises Missing."""

    def put(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        value = variables.get(found["name"], "")
        if not value and found["how"] == "?":
            raise Missing(f"{found['name']}: {found['rest']}")
        return value or (found["rest"] or "" if found["how"] == "-" else "")

    return _VARIABLE.sub(put, text)


def env_file() -> dict[str, str]:
    """What .env.example gives each variable."""
    lines = (FOLDER / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile in order, each on one line."""
    text = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text())
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def image() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile's last stage."""
    whole = dockerfile()
    last = max(at for at, (word, _) in enumerate(whole) if word == "FROM")
    return whole[last:]


def image_environment() -> dict[str, str]:
    """The variables that the image sets."""
    pairs = [pair for word, rest in image() if word == "ENV" for pair in rest.split()]
    return dict(pair.split("=", 1) for pair in pairs)


def _interpolated(node: Any, variables: Mapping[str, str]) -> Any:
    match node:
        case dict():
            return {name: _interpolated(inner, variables) for name, inner in node.items()}
        case list():
            return [_interpolated(inner, variables) for inner in node]
        case str():
            return interpolate(node, variables)
    return node
