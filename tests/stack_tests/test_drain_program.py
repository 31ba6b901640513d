"""A small run of what shows the cost of delivery, by a worker whose jobs have nothing to be done.

`tests.benchmarks.share` has the same worker; the large runs are by hand.
"""

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from tests import benchmarks
from tests.stack import ROOT, environment

pytestmark = [pytest.mark.stack, pytest.mark.once]

SMALL = ["--database=sqlite", "--engine=database", "--jobs=20", "--lanes=2", "--batch=1"]


def test_jobs_that_do_nothing_are_all_drained_in_order() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.drain", *SMALL],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "0 lost, done twice, out of order or overlapping" in ran.stdout


@pytest.mark.parametrize("name", [each.name for each in pkgutil.iter_modules(benchmarks.__path__)])
def test_what_the_programs_import_is_there(name: str) -> None:
    import_module(f"{benchmarks.__name__}.{name}")
