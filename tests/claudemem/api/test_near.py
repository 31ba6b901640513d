"""What is read of the directories of callers on this machine."""

import threading
from pathlib import Path

import pytest

from claudemem.api import near

pytestmark = pytest.mark.once

HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "127.0.0.1:37877"}


def test_only_a_caller_on_this_machine_has_its_directory_looked_at(tmp_path: Path) -> None:
    found = near.look(HERE)(str(tmp_path))
    assert found is not None
    assert found.root == str(tmp_path)
    assert near.look({**HERE, "REMOTE_ADDR": "10.0.0.7"})(str(tmp_path)) is None
    assert near.look({**HERE, "HTTP_X_FORWARDED_FOR": "10.0.0.7"})(str(tmp_path)) is None


def test_directories_that_do_not_answer_are_waited_for_no_longer_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of a host that is away."""
    answers = threading.Event()
    monkeypatch.setattr(near, "PATIENCE", 0.01)
    monkeypatch.setattr(near, "_free", threading.BoundedSemaphore(2))
    monkeypatch.setattr(near, "place", lambda _: {"root": "/late"} if answers.wait(30) else {})
    assert [near.look(HERE)(str(tmp_path)) for _ in range(3)] == [None] * 3
    readers = [each for each in threading.enumerate() if each.name == "near"]
    assert len(readers) == 2  # and those who come while both wait make no more of them
    answers.set()
    for each in readers:
        each.join(30)
