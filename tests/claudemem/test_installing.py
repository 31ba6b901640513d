"""What is said where no server can be installed at all."""

import click
import pytest

from claudemem.commands import installing

pytestmark = pytest.mark.once


def test_on_windows_the_three_ways_out_are_said_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "ON_WINDOWS", True)
    with pytest.raises(click.ClickException) as refused:
        installing.install(ask=True)
    for said in (refused.value.message, installing.refusal()):
        assert "no Valkey for Windows" in said
        for way in ("--docker", "WSL", "--redis-url", "--queue database"):
            assert way in said
