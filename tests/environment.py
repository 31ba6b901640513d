"""Set before Django reads its settings: a scratch data directory of this test run, nothing else.

Loaded by pytest as a plugin (see `addopts`), because settings are imported before any conftest.
"""

import atexit
import os
import shutil
import tempfile

_SCRATCH = tempfile.mkdtemp(prefix="claudemem-tests-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)

for name in [name for name in os.environ if name.startswith(("CLAUDE_MEM_", "CELERY_"))]:
    if not name.startswith("CLAUDE_MEM_TEST_"):
        del os.environ[name]
os.environ["CLAUDE_MEM_DATA_DIR"] = _SCRATCH
