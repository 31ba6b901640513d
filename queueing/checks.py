"""Settings that contradict one another stop the start with a sentence, not a lease at night."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def leases_outlive_heartbeats(
    app_configs: Sequence[AppConfig] | None,  # noqa: ARG001
    **_: Any,
) -> list[CheckMessage]:
    """A lease must survive two lost heartbeats."""
    if settings.LEASE_SECONDS > 3 * settings.HEARTBEAT_SECONDS:
        return []
    return [
        Error(
            f"a lease of {settings.LEASE_SECONDS} s is not longer than three heartbeats of "
            f"{settings.HEARTBEAT_SECONDS} s",
            hint="Raise CLAUDE_MEM_LEASE_SECONDS or lower CLAUDE_MEM_HEARTBEAT_SECONDS.",
            id="queueing.E001",
        )
    ]
