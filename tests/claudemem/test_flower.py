"""Flower's door: who may come in, and where it may stand."""

import subprocess
import sys
from pathlib import Path

import pytest

from claudemem import flower, settings
from claudemem.datadir import DataDir
from claudemem.flower import Door, FlowerRefused

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    data = DataDir(tmp_path)
    monkeypatch.setattr(settings, "DATA_DIR", data)
    return data


def test_on_loopback_a_password_is_made_once_and_kept_for_its_owner_alone(data: DataDir) -> None:
    assert flower.password_is_missing()
    made = flower.password()
    assert len(made) >= 24
    assert flower.password() == made
    assert not flower.password_is_missing()
    assert data.flower_password.stat().st_mode & 0o777 == 0o600


def test_a_password_of_ones_own_is_not_written_down(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "FLOWER_PASSWORD", "chosen")
    assert flower.password() == "chosen"
    assert not flower.password_is_missing()
    assert not data.flower_password.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "flower", "127.example.com"])
def test_beyond_loopback_a_password_of_ones_own_is_required(
    host: str, data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    flower.password()  # one that was made for loopback is not enough
    monkeypatch.setattr(settings, "FLOWER_HOST", host)
    with pytest.raises(FlowerRefused, match="set CLAUDE_MEM_FLOWER_PASSWORD"):
        flower.door()
    monkeypatch.setattr(settings, "FLOWER_PASSWORD", "chosen")
    assert flower.door().host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_none_need_be_set(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "FLOWER_HOST", host)
    assert flower.door().host == host


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FLOWER_PREFIX", "flower(.*)", "CLAUDE_MEM_FLOWER_PREFIX"),
        ("FLOWER_PREFIX", "two//steps", "CLAUDE_MEM_FLOWER_PREFIX"),
        ("FLOWER_USER", "a:b", "without a colon|holds a colon"),
        ("FLOWER_PASSWORD", "schlüssel", "must be printable ASCII"),
        ("FLOWER_PASSWORD", "two\nlines", "must be printable ASCII"),
    ],
)
def test_what_could_not_work_is_refused_with_a_sentence(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, name, value)
    with pytest.raises(FlowerRefused, match=said):
        flower.door()


@pytest.mark.parametrize(
    ("host", "prefix", "url"),
    [
        ("127.0.0.1", "flower", "http://127.0.0.1:5555/flower/"),
        ("0.0.0.0", "", "http://127.0.0.1:5555/"),
        ("::1", "team/flower", "http://[::1]:5555/team/flower/"),
    ],
)
def test_its_address_is_one_that_a_browser_here_can_open(host: str, prefix: str, url: str) -> None:
    assert Door(host, 5555, "admin", prefix, read_only=True).url == url


def test_only_a_plain_no_lets_one_change_things(data: DataDir) -> None:
    program = "from claudemem import settings; print(settings.FLOWER_READ_ONLY)"
    for value, shown in (("", "True"), ("1", "True"), ("nein", ""), ("0", "False")):
        told = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True,
            env={"CLAUDE_MEM_FLOWER_READ_ONLY": value, "CLAUDE_MEM_DATA_DIR": str(data.root)},
        )  # fmt: skip
        assert told.stdout.strip() == shown, value
        assert shown or "CLAUDE_MEM_FLOWER_READ_ONLY must be 1 or 0" in told.stderr


def test_no_other_process_imports_it() -> None:
    program = (
        "import sys, django; django.setup()\n"
        "import claudemem.wsgi, claudemem.supervise, claudemem.commands.process\n"
        "from claudemem.celery import app; app.loader.import_default_modules()\n"
        "sys.exit(' '.join({'flower', 'tornado', 'prometheus_client'} & sys.modules.keys()) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
