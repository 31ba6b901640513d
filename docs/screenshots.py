"""Makes docs/images: the walks of the browser tests, with a picture at each place worth seeing.

Run from the checkout: `.venv/bin/python -m docs.screenshots`
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMAGES = HERE / "images"
WALKS = "tests/stack_tests/test_browser.py"


def main() -> int:
    """Walk, and replace the pictures; the exit code of the tests. Without a browser they fail."""
    IMAGES.mkdir(exist_ok=True)
    environment = {**os.environ, "CLAUDE_MEM_TEST_PICTURES": str(IMAGES), "CI": "true"}
    command = [sys.executable, "-m", "pytest", "-q", WALKS]
    return subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
