"""Settings are checked at the start."""

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings


def test_the_default_settings_are_sound() -> None:
    call_command("check")


@override_settings(LEASE_SECONDS=6.0, HEARTBEAT_SECONDS=2.0)
def test_a_lease_that_two_lost_heartbeats_would_end_is_refused() -> None:
    with pytest.raises(SystemCheckError, match="CLAUDE_MEM_LEASE_SECONDS"):
        call_command("check")
