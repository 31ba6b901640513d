"""A process in which nothing runs any more ends by itself."""

import subprocess
import sys
import sysconfig

import pytest

from tests.stack import ROOT

pytestmark = pytest.mark.once

# Foreign code that keeps the interpreter to itself, as long as it likes.
_KEEPS = "import ctypes; ctypes.PyDLL(None).sleep(60)"
_GIVES_WAY = "import time; time.sleep(1.5)"


def ending(does: str) -> "subprocess.CompletedProcess[str]":
    program = f"from claudemem import stuck; stuck.end_if_silent(0.5); {does}"
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=50,
        check=False,
    )  # fmt: skip


@pytest.mark.skipif(
    sys.platform != "linux" or not sysconfig.get_config_var("HAVE_SEM_CLOCKWAIT"),
    reason="here Python measures such waits by the clock on the wall",
)
def test_code_that_keeps_the_interpreter_to_itself_ends_the_process_and_is_named() -> None:
    ended = ending(_KEEPS)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert 'File "<string>", line 1' in ended.stderr


def test_a_process_that_just_waits_goes_on() -> None:
    assert ending(_GIVES_WAY).returncode == 0
