"""A small run of the random faults; the large one is `python -m tests.benchmarks.faults`."""

import subprocess
import sys

import pytest

from tests.postgres import VERSION, on_postgresql
from tests.stack import ENGINES, ROOT, environment

pytestmark = pytest.mark.stack

SMALL = ["--jobs=200", "--lanes=10", "--workers=2", "--kills=3", "--stops=1", "--store-kills=1",
         "--flushes=1", "--database-kills=1", "--database-restarts=1"]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_random_faults_lose_nothing_double_nothing_and_keep_the_order(engine: str) -> None:
    database = "postgresql" if on_postgresql() else "sqlite"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.faults", *SMALL, f"--database={database}",
         f"--engine={engine}"],
        cwd=ROOT, env=environment({"CLAUDE_MEM_TEST_POSTGRES_VERSION": VERSION}),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the promise was kept" in ran.stdout
