"""Logs and what was set aside go by the day in their names; nothing else does."""

from datetime import date
from pathlib import Path

import pytest

from claudemem import daylogs
from claudemem.datadir import DataDir
from claudemem.daylogs import Keep

pytestmark = pytest.mark.once

TODAY = date(2031, 3, 31)
KEEP = Keep(logs=30, aside=10)


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    data = DataDir(tmp_path / "memory")
    data.create()
    data.redis.mkdir()
    return data


def aside(data: DataDir, day: str) -> Path:
    path = data.redis / f"data-damaged-{day}-101500-123456"
    path.mkdir()
    (path / "dump.rdb").write_text("x")
    return path


def test_what_is_older_than_its_days_goes(data: DataDir) -> None:
    old, young = data.logs / "web-2031-02-28.log", data.logs / "redis-2031-03-01.log"
    for path in (old, young):
        path.write_text("x")
    broken, fresh = aside(data, "20310320"), aside(data, "20310321")
    assert daylogs.old(data, KEEP, TODAY) == [broken, old]
    assert daylogs.prune(data, KEEP, TODAY) == [broken, old]
    assert [path.exists() for path in (old, young, broken, fresh)] == [False, True, False, True]
    assert daylogs.prune(data, KEEP, TODAY) == []


def test_zero_days_keep_for_ever(data: DataDir) -> None:
    (data.logs / "web-1999-01-01.log").write_text("x")
    aside(data, "19990101")
    assert daylogs.prune(data, Keep(), TODAY) == []


@pytest.mark.parametrize(
    "name",
    ["claude-mem-2020-01-02.log", "web-2020-01-02.log.gz", "web.log", "web-2020-13-45.log",
     "data-damaged-20200101-101500-123456", "notes.txt"],
)  # fmt: skip
def test_what_is_not_named_as_we_name_it_stays(data: DataDir, name: str) -> None:
    (data.logs / name).write_text("x")
    assert daylogs.prune(data, KEEP, TODAY) == []


def test_no_link_is_followed(data: DataDir, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "web-2020-01-02.log").write_text("x")
    (data.logs / "web-2020-01-02.log").symlink_to(elsewhere / "web-2020-01-02.log")
    assert daylogs.prune(data, KEEP, TODAY) == []
    linked = DataDir(tmp_path / "other")
    linked.root.mkdir()
    linked.logs.symlink_to(elsewhere)
    assert daylogs.prune(linked, KEEP, TODAY) == []


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    assert daylogs.prune(DataDir(tmp_path / "none"), KEEP, TODAY) == []
    assert not list(tmp_path.iterdir())
