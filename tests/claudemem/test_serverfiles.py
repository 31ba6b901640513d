"""The files by which other programs know a server."""

import json
import os
from pathlib import Path

import pytest

from claudemem import serverfiles
from claudemem.peek import Reading
from claudemem.serverfiles import Announced, Announcer
from queueing import access, pids
from queueing.pids import Mark

pytestmark = pytest.mark.once

ME = pids.mark(os.getpid())
GONE = Mark(ME.pid, "boot:1")
INFO = {
    "postgres": {"initialized": True, "schemaVersion": 7},
    "boundaries": {"queueManager": {"status": "active", "reason": "well", "details": {"a": 1}}},
}


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_what_was_written_is_read_while_its_writer_lives(tmp_path: Path) -> None:
    server = Announced(ME, 4711)
    serverfiles.write(tmp_path, server, "127.0.0.1", INFO)
    found = serverfiles.read(tmp_path)
    assert found is not None
    assert (found.process, found.port) == (ME, 4711)
    assert names(tmp_path) == set(serverfiles.NAMES)
    serverfiles.write(tmp_path, Announced(GONE, 4711), "127.0.0.1", INFO)
    assert serverfiles.read(tmp_path) is None


def test_only_the_writer_removes_them(tmp_path: Path) -> None:
    serverfiles.write(tmp_path, Announced(ME, 1), "127.0.0.1", INFO)
    serverfiles.remove(tmp_path, GONE)
    serverfiles.sweep(tmp_path)
    assert names(tmp_path) == set(serverfiles.NAMES)
    serverfiles.remove(tmp_path, ME)
    assert names(tmp_path) == set()


def test_those_of_a_process_that_is_gone_are_swept_away(tmp_path: Path) -> None:
    serverfiles.write(tmp_path, Announced(GONE, 1), "127.0.0.1", INFO)
    serverfiles.sweep(tmp_path)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("text", ["", "{}", "4711", '{"pid": "x"}', "[1]"])
def test_files_that_say_nothing_are_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / serverfiles.PID).write_text(text)
    assert serverfiles.read(tmp_path) is None


def test_they_follow_how_its_parts_are_and_keep_the_time_of_the_start(tmp_path: Path) -> None:
    announcer = Announcer(tmp_path, ME, "::1", 4711)
    announcer.follow(Reading())
    assert names(tmp_path) == set()
    announcer.follow(Reading(True))
    assert names(tmp_path) == set(serverfiles.NAMES)
    announcer.follow(Reading(True, INFO))
    first = json.loads((tmp_path / serverfiles.PARTS).read_text())
    assert first["boundaries"] == {"queueManager": {"status": "active", "reason": "well"}}
    assert first["bootstrap"]["appliedAt"] == first["startedAt"]
    later = {**INFO, "boundaries": {"queueManager": {"status": "errored", "reason": "away"}}}
    announcer.follow(Reading(False, later))
    second = json.loads((tmp_path / serverfiles.PARTS).read_text())
    assert second["boundaries"]["queueManager"]["status"] == "errored"
    assert second["startedAt"] == first["startedAt"]


def test_without_a_directory_nothing_is_written_and_none_is_made(tmp_path: Path) -> None:
    with serverfiles.announced(tmp_path / "none", "127.0.0.1", access.free_port()):
        pass
    assert not (tmp_path / "none").exists()
