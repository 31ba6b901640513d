"""The data directory and the key that is kept in it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from claudemem import cli
from claudemem.datadir import DataDir, NoHome, django_secret, locate

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
