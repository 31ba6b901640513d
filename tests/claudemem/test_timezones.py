"""In which zone people read times."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from claudemem import timezones

pytestmark = pytest.mark.once

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOWHERE = Path("nowhere")


def test_a_name_goes_before_the_variable_and_that_before_the_machine() -> None:
    assert timezones.chosen("Europe/Berlin", "Asia/Tokyo", NOWHERE) == ZoneInfo("Europe/Berlin")
    assert timezones.chosen("", ":Asia/Tokyo", NOWHERE) == ZoneInfo("Asia/Tokyo")
    assert timezones.chosen("", "", NOWHERE) == UTC


def test_the_machine_s_own_zone_knows_its_summer_time() -> None:
    machine = next(path for each in TZPATH if (path := Path(each, "Europe/Berlin")).exists())
    assert f"{NOON.astimezone(timezones.chosen('', '', machine)):%H %Z}" == "14 CEST"


def test_what_is_no_zone_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "localtime"
    broken.write_bytes(b"nothing of the sort")
    assert timezones.chosen("", "CET-1CEST,M3.5.0,M10.5.0/3", broken) == UTC


@pytest.mark.parametrize("name", ["Nowhere", "../etc/passwd", "/etc/localtime", "\0"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    assert "Europe/Berlin" in timezones.wrong(name)
    assert timezones.wrong("Europe/Berlin") == ""
