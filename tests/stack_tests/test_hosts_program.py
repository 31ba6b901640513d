"""A short run of two hosts and a cut link; `python -m tests.benchmarks.hosts` is the long one."""

import subprocess
import sys

import pytest

from tests.benchmarks.hosts import SKIPPED
from tests.postgres import VERSION, on_postgresql
from tests.stack import ROOT, environment

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not on_postgresql(), reason="only PostgreSQL is reached from other hosts"),
]


def test_a_worker_that_the_network_loses_in_a_transaction_costs_nothing_and_holds_nothing_up() -> (
    None
):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.hosts", "--few", "--calm=4"],
        cwd=ROOT, env=environment({"CLAUDE_MEM_TEST_POSTGRES_VERSION": VERSION}),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if ran.returncode == SKIPPED:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the promise was kept" in ran.stdout
