"""Flower's door: where it listens, and who may come in. Decided before anything listens.

Light, for the supervisor's sake; what serves is in `flower_server`.
"""

import re
from dataclasses import dataclass

import click

from claudemem import datadir, deployment, settings

_PREFIX = re.compile(r"(?:[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*)?")
_PASSWORD_BYTES = 18


class FlowerRefused(click.ClickException):
    """Flower must not be started like this; the message is a sentence that says what to do."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where Flower listens, whom it lets in, and what they may do there."""

    host: str
    port: int
    user: str
    prefix: str
    read_only: bool

    @property
    def path(self) -> str:
        """What every address of it begins with, with slashes around."""
        return f"/{self.prefix}/" if self.prefix else "/"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - replaced, not bound
        host = everywhere.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{self.path}"


def door() -> Door:
    """The door that the settings ask for. Raises FlowerRefused where it would stand open."""
    host, prefix = settings.FLOWER_HOST, settings.FLOWER_PREFIX
    if not settings.FLOWER_PASSWORD and not deployment.is_loopback(host):
        raise FlowerRefused(
            f"Flower would listen at {host} without a password of your own: set "
            "CLAUDE_MEM_FLOWER_PASSWORD, or leave CLAUDE_MEM_FLOWER_HOST at 127.0.0.1"
        )
    if not _PREFIX.fullmatch(prefix):
        raise FlowerRefused(
            f"CLAUDE_MEM_FLOWER_PREFIX is {prefix!r}: use letters, digits, hyphens and slashes"
        )
    if ":" in settings.FLOWER_USER:
        raise FlowerRefused("CLAUDE_MEM_FLOWER_USER holds a colon: choose a name without one")
    typed = f"{settings.FLOWER_USER}{settings.FLOWER_PASSWORD}"
    if not (typed.isascii() and typed.isprintable()):
        raise FlowerRefused(
            "CLAUDE_MEM_FLOWER_USER and CLAUDE_MEM_FLOWER_PASSWORD must be printable ASCII: "
            "browsers do not agree on how to send other letters"
        )
    user, read_only = settings.FLOWER_USER, settings.FLOWER_READ_ONLY
    return Door(host, settings.FLOWER_PORT, user, prefix, read_only)


def password() -> str:
    """The password of the settings, else that of the data directory, made if it is missing."""
    settings.DATA_DIR.create()
    return settings.FLOWER_PASSWORD or datadir.kept(
        settings.DATA_DIR.flower_password, _PASSWORD_BYTES
    )


def password_is_missing() -> bool:
    """Whether `password` would make one: who asks first may show it once."""
    return not settings.FLOWER_PASSWORD and not settings.DATA_DIR.flower_password.exists()
