"""What others import is imported when it is needed, and then it is there as ever."""

import subprocess
import sys

import pytest

from observations.putoff import put_off

pytestmark = pytest.mark.once

# A module of Python's that nothing of ours imports.
NAME = "colorsys"


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, NAME, raising=False)


def test_it_is_imported_with_the_first_that_is_asked_of_it() -> None:
    with put_off(NAME):
        import colorsys
    assert NAME not in sys.modules
    assert colorsys.rgb_to_hls(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert NAME in sys.modules


def test_who_asks_at_once_has_it_at_once() -> None:
    with put_off(NAME):
        from colorsys import rgb_to_hls
    assert rgb_to_hls is sys.modules[NAME].rgb_to_hls


def test_a_module_that_is_there_stays() -> None:
    import colorsys

    with put_off(NAME):
        assert sys.modules[NAME] is colorsys
    assert sys.modules[NAME] is colorsys


def test_one_that_is_not_there_is_missed_when_it_is_needed() -> None:
    with put_off("no_such_module"):
        import no_such_module  # type: ignore[import-not-found]
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        no_such_module.call()
    assert "no_such_module" not in sys.modules


def test_the_detectors_bring_no_network_along() -> None:
    said = "import sys, observations.detectors; print({'requests', 'urllib3'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", said], capture_output=True, text=True, check=True
    ).stdout
    assert found == "set()\n"
