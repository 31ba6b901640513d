"""The data directory and the key that is kept in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from claudemem import cli
from claudemem.datadir import DataDir, NoHome, django_secret, locate
from tests.stack import environment
from tests.stores import mounted

pytestmark = pytest.mark.once


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "data")
    assert django_secret(data) == django_secret(data)
    assert data.secret_key.stat().st_mode & 0o777 == 0o600
    assert data.root.stat().st_mode & 0o777 == 0o700


def test_an_empty_key_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.secret_key.touch()
    with pytest.raises(OSError, match="delete it"):
        django_secret(data)


def test_spaces_alone_name_no_directory() -> None:
    assert locate("  ") == locate("")


def test_where_there_is_no_home_it_says_what_to_name() -> None:
    with pytest.raises(NoHome, match="set HOME, or name a directory"):
        locate("~no-such-user/memory")
    told = CliRunner().invoke(cli.cli, ["--data-dir", "~no-such-user/memory", "stop"])
    assert (told.exit_code, told.exception.__class__) == (1, SystemExit)
    assert "set HOME, or name a directory" in told.output


def test_without_room_on_the_disk_nothing_is_started_nor_stopped_to_be_started(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "disk"
    with mounted(folder) as disk:
        data = DataDir(folder)
        assert not data.cramped()
        django_secret(data)
        disk.fill(leaving=8192)
        assert data.cramped().startswith(f"there is no room on the disk of {folder} (No space left")
        # What `start` begins with, and `restart` before it stops anything.
        told = subprocess.run(
            [sys.executable, "-m", "claudemem", "--data-dir", str(folder), "up", "--check"],
            env=environment({"HOME": str(tmp_path)}), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (told.returncode, told.stderr) == (1, f"Error: {data.cramped()}\n")
        assert not [path for path in folder.iterdir() if path.name == ".room"]
