"""Set before Django reads its settings: a scratch data directory of this test run, and which
database it runs on: CLAUDE_MEM_TEST_DATABASE is `sqlite` (the default) or `postgresql`, started
from a wheel or, where CLAUDE_MEM_TEST_POSTGRES_URL names one, any server.
CLAUDE_MEM_TEST_POSTGRES_VERSION chooses which one of the wheel: 16 (the default) or 18.

Loaded by pytest as a plugin (see `addopts`), because settings are imported before any conftest.
"""

import atexit
import os
import shutil
import signal
import tempfile

import pytest

from tests import postgres, prepared

# A shell that runs us in the background has us ignore it, and with us all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_SCRATCH = tempfile.mkdtemp(prefix="claudemem-tests-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)

for name in [name for name in os.environ if name.startswith(("CLAUDE_MEM_", "CELERY_"))]:
    if not name.startswith("CLAUDE_MEM_TEST_"):
        del os.environ[name]
os.environ["CLAUDE_MEM_DATA_DIR"] = _SCRATCH
# Tests call with wrong keys as often as they like, but for those about that.
os.environ["CLAUDE_MEM_FAILED_CALLS_PER_MIN"] = os.environ["CLAUDE_MEM_FAILED_SIGN_INS"] = "0"

_server: postgres.Server | None = None
if os.environ.get("CLAUDE_MEM_TEST_DATABASE") == "postgresql":
    # Whoever starts first starts it for all: the workers of pytest-xdist inherit its URL.
    if "CLAUDE_MEM_TEST_POSTGRES_URL" not in os.environ:
        _server = postgres.Server()
        atexit.register(_server.stop)
        os.environ["CLAUDE_MEM_TEST_POSTGRES_URL"] = _server.url()
    # Before the server is stopped: what is registered last comes first.
    atexit.register(postgres.forget_databases)
    os.environ["CLAUDE_MEM_SERVER_DATABASE_URL"] = os.environ["CLAUDE_MEM_TEST_POSTGRES_URL"]

# As with the server: what whoever starts first has begun is that of all.
if prepared.PLACE not in os.environ:
    prepared.begin()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what of the server's log no test may leave there: whoever gave way had tried again."""
    if _server:
        for line in _server.deadlocks():
            terminalreporter.write_line(line, red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if two transactions waited for each other, whether or not a test noticed."""
    if _server and any(_server.deadlocks()) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
