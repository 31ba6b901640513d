"""A small run of the random faults; the large one is `python -m tests.benchmarks.faults --all`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import VERSION, on_postgresql
from tests.stack import CELERY, ROOT, STRAIGHT, environment

pytestmark = pytest.mark.stack

SMALL = ["--jobs=200", "--lanes=10", "--workers=2", "--kills=3", "--stops=1", "--store-kills=1",
         "--flushes=1", "--database-kills=1", "--database-restarts=1"]  # fmt: skip
OF_WORKERS = {"worker killed", "worker stopped"}
OF_THE_STORE = {"store killed", "store flushed"}
OF_POSTGRESQL = {"database killed", "database restarted"}


@pytest.mark.parametrize("engine", STRAIGHT)
def test_random_faults_lose_nothing_double_nothing_and_keep_the_order(
    engine: str, tmp_path: Path
) -> None:
    database = "postgresql" if on_postgresql() else "sqlite"
    said = tmp_path / "outcome.json"
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.faults", *SMALL, f"--database={database}",
         f"--engine={engine}", f"--outcome={said}"],
        cwd=ROOT, env=environment({"CLAUDE_MEM_TEST_POSTGRES_VERSION": VERSION}),
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    outcome = json.loads(said.read_text())
    assert set(outcome["wrong"].values()) == {0}
    struck = OF_WORKERS | (OF_THE_STORE if engine == CELERY else set())
    struck |= OF_POSTGRESQL if on_postgresql() else set()
    assert {each["kind"] for each in outcome["recoveries"]} == struck
