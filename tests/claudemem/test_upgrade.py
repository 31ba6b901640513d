"""The database is brought up to date by one process at a time."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from claudemem import condition, upgrade
from tests.postgres import database_of
from tests.stack import ROOT
from tests.waiting import until

KNOWN = [("queueing", "0001_initial"), ("auth", "0001_initial")]


def test_any_number_of_migrations_at_once_end_well(tmp_path: Path) -> None:
    environment = {**os.environ, **database_of(tmp_path), "CLAUDE_MEM_DATA_DIR": str(tmp_path)}
    started = [
        subprocess.Popen([sys.executable, "-m", "claudemem", "migrate"], cwd=ROOT, env=environment,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]  # fmt: skip
    said = [each.communicate(timeout=120) for each in started]
    assert [each.returncode for each in started] == [0, 0, 0], said
    last = sorted(out.splitlines()[-1] for out, _ in said)
    assert last == [
        "the database is up to date",
        "the database is up to date",
        "the database was brought up to date",
    ]


def test_migrations_of_ours_that_are_not_known_are_newer() -> None:
    applied = [*KNOWN, ("queueing", "0002_later"), ("auth", "0002_later")]
    assert upgrade.newer(applied, KNOWN) == ["queueing.0002_later"]
    with pytest.raises(ImproperlyConfigured, match=r"newer claudemem.*queueing\.0002_later"):
        upgrade.refuse_newer(applied, KNOWN)


def test_a_database_that_lacks_migrations_is_not_newer() -> None:
    upgrade.refuse_newer(KNOWN[:1], KNOWN)


@pytest.mark.django_db(transaction=True)
def test_a_database_of_a_newer_version_is_not_ready() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("observations", "9999_later")
    try:
        found = condition.database()
        assert not found.initialized
        assert "observations.9999_later" in found.reason
    finally:
        recorder.record_unapplied("observations", "9999_later")
    assert condition.database().initialized


@pytest.mark.django_db(transaction=True)
def test_who_accepted_events_before_an_upgrade_does_so_until_it_is_replaced() -> None:
    recorder = MigrationRecorder(connection)
    try:
        recorder.record_applied("observations", "9999_later")
        condition.forget()
        assert "a newer claudemem" in condition.obstacle()
        recorder.record_unapplied("observations", "9999_later")
        condition.forget()
        assert condition.obstacle() == ""
        recorder.record_applied("observations", "9999_later")
        condition._accepting.forget()
        assert condition.obstacle() == ""
    finally:
        recorder.record_unapplied("observations", "9999_later")
        condition.forget()


@pytest.mark.django_db(transaction=True)
def test_who_comes_second_waits_and_says_so() -> None:
    said: list[str] = []
    came = threading.Event()

    def second() -> None:
        with upgrade.alone(said.append):
            came.set()

    thread = threading.Thread(target=second)
    with upgrade.alone(said.append):
        assert said == []
        thread.start()
        until(lambda: said)
        assert not came.is_set()
    assert came.wait(30)
    thread.join()
    assert said == [upgrade.WAITS]
