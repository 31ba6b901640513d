"""The database is brought up to date by one process at a time."""

import os
import subprocess
import sys
from pathlib import Path

from tests.postgres import database_of
from tests.stack import ROOT


def test_any_number_of_migrations_at_once_end_well(tmp_path: Path) -> None:
    environment = {**os.environ, **database_of(tmp_path), "CLAUDE_MEM_DATA_DIR": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-m", "claudemem", "migrate"], cwd=ROOT, env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]  # fmt: skip
    said = [each.communicate(timeout=120) for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], said
    assert sorted(out for out, _ in said) == [
        "the database is up to date\n",
        "the database is up to date\n",
        "the database was brought up to date\n",
    ]
