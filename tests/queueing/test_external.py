"""The queue store that somebody else runs: what a start makes of it. More is in tests/contracts."""

import subprocess
import sys
from pathlib import Path

import pytest

from queueing.errors import QueueStoreAway
from queueing.external import ExternalStore
from tests.servers import serving

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


def test_a_store_that_keeps_its_messages_is_taken_without_a_word(tmp_path: Path) -> None:
    with serving(tmp_path, "--appendonly", "yes") as url:
        assert ExternalStore(url, "ours").start().warnings == ()


def test_a_store_that_forgets_is_taken_with_a_warning(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        (warning,) = ExternalStore(url, "ours").start().warnings
    assert "set appendonly yes" in warning
    assert "hidden" not in warning


def test_a_store_that_does_not_answer_is_away() -> None:
    store = ExternalStore("redis://:hidden@127.0.0.1:1/0", "ours")
    with pytest.raises(QueueStoreAway, match=r"127\.0\.0\.1:1/0 does not answer"):
        store.start()
    assert store.running() is None


def test_a_supervisor_that_only_has_one_loads_no_client() -> None:
    program = (
        "import sys; from queueing.external import ExternalStore; ExternalStore('', '');"
        "sys.exit('redis' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
