"""Which tests run first, which together, and which of them once.

Loaded by pytest as a plugin (see `addopts`).
"""

import gc
import os
from pathlib import Path, PurePath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling, Scheduling

from tests import postgres

# Files that share a whole server: one worker runs all of them.
TOGETHER = {
    "test_admin_links.py": "stack_tests: replayed",
    "test_audit.py": "stack_tests: replayed",
    "test_privacy.py": "stack_tests: replayed",
    "test_replay.py": "stack_tests: replayed",
    "test_browser.py": "stack_tests: watched",
    "test_flower.py": "stack_tests: watched",
}
WIRE = "test_wire_"
# Of those that start no server.
LONGEST = (
    "test_lane_protocol.py",
    "test_interleavings.py",
    "test_fuzz.py",
    "test_provider_openai_compatible.py",
    "test_routes.py",
    "test_messages_store.py",
    "test_docker.py",
    "test_rubbish.py",
    "test_bounds.py",
)
# What a file says of which all tests are run once, and what to run where they are left out.
ALL_ONCE = "pytestmark = pytest.mark.once"
NOT_ONCE = "not once"
# What is imported to collect tests stays, all of it: it is not looked through again and again.
gc.disable()

FIXTURES = {"db", "transactional_db", "django_db_setup"}


class Files(LoadFileScheduling):
    """Files are handed out in the order of collection, and some of them together."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        path = PurePath(file)
        if path.name.startswith(WIRE):
            return WIRE
        return TOGETHER.get(path.name, file) if path.parent.name == "stack_tests" else file


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Files(config, log)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two a processor: whole servers are waited for more than they compute."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file of which nothing would be run is not imported: every process collects all files."""
    if config.option.markexpr != NOT_ONCE or not collection_path.name.startswith("test_"):
        return None
    return ALL_ONCE in collection_path.read_text().splitlines() or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """What takes longest comes first, so that nobody waits for it alone at the end."""
    items.sort(key=lambda item: not (item.get_closest_marker("stack") or item.path.name in LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """From here on there is garbage, which what was collected is none of."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Function) -> None:
    """What is run once, and not on each database, may ask for none."""
    once = item.get_closest_marker("once") is not None
    asks = item.get_closest_marker("django_db") or FIXTURES & set(item.fixturenames)
    assert not (once and asks), "a test that is marked `once` asks for a database"
    postgres.none_for_now = once
