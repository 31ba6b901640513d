"""`settings.json` on the disk: whatever is in its place, and how it is written."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from claudemem import settingsfile
from claudemem.kept import LARGEST, Broken
from tests.stack import ROOT, environment

pytestmark = pytest.mark.once


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fault(path: Path) -> str:
    found = settingsfile.read(path)
    assert found.said == {}
    (sentence,) = found.faults
    assert str(path) in sentence
    return sentence


def test_no_file_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "settings.json", tmp_path / "no" / "x", tmp_path / "file" / "x"):
        found = settingsfile.read(path)
        assert (dict(found.said), found.faults, found.warnings) == ({}, (), ())


def test_what_is_in_the_place_of_the_file_is_a_fault(tmp_path: Path) -> None:
    folder, pipe, noise = tmp_path / "folder", tmp_path / "pipe", tmp_path / "noise"
    folder.mkdir()
    os.mkfifo(pipe)
    noise.write_bytes(b"\xff\xfe{}")
    assert "it is no file" in fault(folder)
    assert "it is no file" in fault(pipe)
    assert "no text in UTF-8" in fault(noise)
    for path in (folder, pipe):
        with pytest.raises(OSError, match="no file"):
            settingsfile.write(path, {"A": "1"})
    with pytest.raises(Broken, match="UTF-8"):
        settingsfile.write(noise, {"A": "1"})
    assert noise.read_bytes() == b"\xff\xfe{}"


def test_a_huge_file_is_refused_before_all_of_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than any" in fault(path)
    path.write_text("{" + " " * LARGEST + "}")
    assert "larger than any" in fault(path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"CLAUDE_MEM_A": "1"}', encoding="utf-8-sig")
    assert settingsfile.read(path).said["CLAUDE_MEM_A"].text == "1"


def test_a_file_that_this_user_cannot_read_is_a_fault(reachable: Path) -> None:
    path = reachable / "settings.json"
    path.write_text("{}")
    path.chmod(0)
    assert "cannot be read (Permission denied): let this user read it" in _to_somebody(path)


def test_where_this_user_cannot_look_nothing_is_said(reachable: Path) -> None:
    folder = reachable / "closed"
    folder.mkdir()
    (folder / "settings.json").write_text("rubbish")
    folder.chmod(0)
    assert _to_somebody(folder / "settings.json").strip() == "()"
    folder.chmod(0o700)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder into which every user can look, which pytest's are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _to_somebody(path: Path) -> str:
    """The faults of a file as they are to a user who is not root."""
    program = (
        "import os, sys; from pathlib import Path; from claudemem import settingsfile;"
        "os.geteuid() or os.setuid(12345);"
        "print(settingsfile.read(Path(sys.argv[1])).faults)"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_a_link_that_leads_to_itself_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.symlink_to(path)
    assert "cannot be read" in fault(path)


@pytest.mark.parametrize(("bits", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_with_a_secret_that_others_can_read_is_warned_of(
    tmp_path: Path, bits: int, warned: bool
) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"CLAUDE_MEM_REDIS_URL": "redis://:hidden@h/0"}')
    path.chmod(bits)
    warnings = settingsfile.read(path).warnings
    assert [f"chmod 600 {path}" in warning for warning in warnings] == [True] * warned
    assert "hidden" not in str(warnings)
    path.write_text("{}")
    assert settingsfile.read(path).warnings == ()


def test_what_is_written_is_its_owners_alone_and_the_rest_stays(tmp_path: Path) -> None:
    path = tmp_path / "memory" / "settings.json"
    settingsfile.write(path, {"CLAUDE_MEM_A": "1"})
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    path.write_text('{"CLAUDE_MEM_MODEL": "x", "CLAUDE_MEM_A": "1"}')
    path.chmod(0o644)
    settingsfile.write(path, {"CLAUDE_MEM_A": None, "CLAUDE_MEM_B": "2"})
    assert json.loads(path.read_text()) == {"CLAUDE_MEM_MODEL": "x", "CLAUDE_MEM_B": "2"}
    assert mode(path) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]


def test_a_file_that_is_broken_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"CLAUDE_MEM_A": ')
    with pytest.raises(Broken, match="line 1"):
        settingsfile.write(path, {"CLAUDE_MEM_A": "1"})
    assert path.read_text() == '{"CLAUDE_MEM_A": '


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    kept, link = tmp_path / "dotfiles" / "mine.json", tmp_path / "settings.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    link.symlink_to(kept)
    settingsfile.write(link, {"CLAUDE_MEM_A": "1"})
    assert link.is_symlink()
    assert json.loads(kept.read_text()) == {"CLAUDE_MEM_A": "1"}


def test_a_disk_that_takes_nothing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text('{"CLAUDE_MEM_A": "1"}')
    program = (
        "import resource, signal, sys; from pathlib import Path;"
        "from claudemem import settingsfile;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10));"
        "settingsfile.write(Path(sys.argv[1]), {'CLAUDE_MEM_A': '2' * 100})"
    )
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "File too large" in ended.stderr
    assert path.read_text() == '{"CLAUDE_MEM_A": "1"}'
    assert [each.name for each in tmp_path.iterdir()] == ["settings.json"]
