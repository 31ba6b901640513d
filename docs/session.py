"""Records docs/terminal-session.md anew: the session of the test, as it is shown today.

Run from the checkout: `.venv/bin/python -m docs.session`
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SESSION = "tests/stack_tests/test_terminal_session.py"


def main() -> int:
    """Go through the session, and write down what it shows; the exit code of the test."""
    environment = {**os.environ, "CLAUDE_MEM_TEST_RECORD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", SESSION]
    return subprocess.run(command, cwd=HERE.parent, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
