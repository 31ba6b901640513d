"""What all commands share: what they say fits the terminal, or nobody who reads."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from claudemem import cli
from tests.prepared import environment

pytestmark = pytest.mark.once


def test_a_letter_that_a_terminal_does_not_know_is_shown_by_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    cli._say_what_can_be_said()
    print("naïve → done", flush=True)
    assert written.getvalue().decode("latin-1") == "naïve \\u2192 done\n"


@pytest.mark.parametrize("unbuffered", [False, True])
def test_output_that_nobody_reads_any_more_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, unbuffered: bool
) -> None:
    read, write = os.pipe()
    raw = io.FileIO(write, "w", closefd=False)
    buffer: Any = raw if unbuffered else io.BufferedWriter(raw)
    monkeypatch.setattr(
        sys, "stdout", io.TextIOWrapper(buffer, encoding="utf-8", write_through=unbuffered)
    )
    cli._say_what_can_be_said()
    print("heard", flush=True)
    assert os.read(read, 100) == b"heard\n"
    os.close(read)
    for _ in range(2):
        print("unheard", flush=True)
    os.write(write, b"by a program that was started meanwhile")
    os.close(write)


def test_a_command_is_done_whoever_reads_of_it(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "secret_key").write_text("x")
    read, write = os.pipe()
    os.close(read)
    told = subprocess.run(
        [sys.executable, "-m", "claudemem", "uninstall", "--data-dir", str(tmp_path)],
        stdout=write, stderr=subprocess.PIPE, env=environment({}), check=False,
    )  # fmt: skip
    os.close(write)
    assert (told.returncode, told.stderr) == (0, b"")
    assert os.listdir(tmp_path) == ["secret_key"]
