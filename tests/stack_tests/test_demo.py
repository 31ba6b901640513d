"""`claudemem demo`, as the first thing that anybody runs."""

import subprocess
import sys
import time

import pytest

from tests.stack import ROOT, environment

pytestmark = pytest.mark.stack


def test_the_demo_shows_what_was_remembered_within_a_minute() -> None:
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-m", "claudemem", "demo"], cwd=ROOT, env=environment(),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - started < 60
    for heading in ("as a timeline", "Search: cap for", "Search: how do locks", "next session"):
        assert heading in ran.stdout
    sections = ran.stdout.split("====\n")
    assert all(len(section) > 200 for section in sections[1:]), ran.stdout
