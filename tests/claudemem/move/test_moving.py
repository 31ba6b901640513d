"""`claudemem db move`, from a store full of recordings to a real PostgreSQL."""

import fcntl
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import database_of, on_postgresql
from tests.stack import ROOT, environment
from tests.waiting import until

pytestmark = pytest.mark.skipif(not on_postgresql(), reason="PostgreSQL is the target")

URL = "CLAUDE_MEM_SERVER_DATABASE_URL"
TABLES = "SELECT relname FROM pg_stat_user_tables"
BOOKKEEPING = {"django_migrations", "django_content_type", "auth_permission"}


@dataclass(frozen=True, slots=True)
class Store:
    """A data directory with a SQLite store, and an empty database to move it to."""

    data: Path
    # Whose target this one's begins as a copy of; otherwise it is empty.
    like: Path | None = None

    @property
    def file(self) -> Path:
        return self.data / "claude-mem.sqlite3"

    @property
    def target(self) -> dict[str, str]:
        """The setting that names the target."""
        return database_of(self.data, like=self.like)

    def run(self, *command: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False,
            env=environment({**settings, **self.home}),
        )  # fmt: skip

    @property
    def home(self) -> dict[str, str]:
        return {"CLAUDE_MEM_DATA_DIR": str(self.data),
                "DJANGO_SETTINGS_MODULE": "claudemem.settings"}  # fmt: skip

    def move(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("claudemem", "db", "move", *options, settings=self.target)

    def moved(self, *options: str) -> dict[str, Any]:
        done = self.move("--json", *options)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def refused(self, *options: str) -> str:
        """What it said when it did not move; nothing is in the target."""
        done = self.move(*options)
        assert done.returncode == 1, done.stdout
        assert self.filled() == []
        (said,) = re.findall(r"^Error: (.+)", done.stderr, re.MULTILINE)
        return str(said)

    def program(self, *steps: str, moved: bool) -> dict[str, Any]:
        """What the steps of the program answered, on the target or on the file."""
        settings = self.target if moved else {}
        done = self.run("tests.claudemem.move.store_program", *steps, settings=settings)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def change(self, statement: str, *values: object) -> None:
        """Change the file by hand."""
        with closing(sqlite3.connect(self.file)) as database, database:
            assert database.execute(statement, values).rowcount

    @contextmanager
    def server(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.target[URL], autocommit=True) as connection:
            yield connection

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The answer of the target."""
        with self.server() as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def filled(self) -> list[str]:
        """The tables of the target that have rows, but for what migrating writes."""
        return [name for (name,) in self.ask(TABLES) if name not in BOOKKEEPING
                and self.ask(f'SELECT 1 FROM "{name}" LIMIT 1')]  # fmt: skip

    def migrate(self) -> None:
        done = self.run("claudemem", "migrate", settings=self.target)
        assert done.returncode == 0, done.stderr

    def meddle(self, table: str, body: str) -> None:
        """Let the target do this to each row of the table before it is written."""
        self.ask(f"""CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN {body} RETURN NEW; END $$""")
        self.ask(f"""CREATE TRIGGER meddle BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION meddle()""")

    @contextmanager
    def held_up(self) -> Iterator[subprocess.Popen[str]]:
        """A move that stands still in the middle, until the end of this block."""
        self.meddle("observations_event", "PERFORM pg_advisory_xact_lock_shared(7);")
        with self.server() as holder:
            holder.execute("SELECT pg_advisory_lock(7)")
            process = subprocess.Popen(
                [sys.executable, "-m", "claudemem", "db", "move"], cwd=ROOT, text=True,
                env=environment({**self.target, **self.home}), stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )  # fmt: skip
            until(lambda: self.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory' "
                                   "AND datname = current_database()"), 60)  # fmt: skip
            yield process


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A store with all recordings, worked but for one session, and what was said of it."""
    store = Store(tmp_path_factory.mktemp("full"))
    return store.data, store.program("fill", moved=False)["fill"]


@pytest.fixture
def store(full: tuple[Path, dict[str, Any]], tmp_path: Path) -> Store:
    """A copy of it, to be moved."""
    return Store(Path(shutil.copytree(full[0], tmp_path / "data")))


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whose target has all tables, and no rows: to make them costs more than to move all rows."""
    made = Store(tmp_path_factory.mktemp("tables"))
    made.migrate()
    return made.data


@pytest.fixture
def ready(store: Store, tables: Path) -> Store:
    """The store to be moved, with a target that has all tables."""
    return replace(store, like=tables)


def test_a_moved_store_answers_as_before_and_its_work_goes_on(
    full: tuple[Path, dict[str, Any]], store: Store
) -> None:
    before = store.program("ask", moved=False)["ask"]
    bytes_before = store.file.read_bytes()
    answer = store.moved()
    after = store.program("ask", moved=True)["ask"]

    assert store.file.read_bytes() == bytes_before
    assert {each["rows"] == each["rowsFound"] for each in answer["tables"]} == {True}
    assert {each["sha256"] == each["sha256Found"] for each in answer["tables"]} == {True}
    assert sum(each["rows"] for each in answer["tables"]) > 800
    for question, numbers in before.pop("found").items():
        assert numbers[0] in after["found"][question], question
    assert after.items() >= before.items()
    assert sha256(full[1]["key"].encode()).hexdigest() in after["keys"]
    # The job whose worker was lost is taken over, and those behind it follow.
    assert full[1]["open"] > 1
    assert store.program("due", "work", moved=True)["work"] == {"open": 0}
    states = store.ask("SELECT DISTINCT state FROM queueing_generationjob")
    assert states == [("completed",)]


def test_a_dry_run_says_what_would_be_moved_and_writes_nothing(store: Store) -> None:
    with closing(sqlite3.connect(store.file)) as database, database:
        database.execute("CREATE TABLE notes (x)")
    answer = store.moved("--dry-run")

    assert answer["leftBehind"] == ["notes"]
    assert answer["moved"] is False
    assert answer["rows"]["observations_event"] > 100
    assert store.ask(TABLES) == []
    assert "nothing was written" in store.move("--dry-run").stdout


def test_people_are_told_what_was_moved_and_what_to_do_next(ready: Store) -> None:
    with closing(sqlite3.connect(ready.file)) as database, database:
        database.execute("CREATE TABLE notes (x)")
    said = ready.move().stdout

    assert re.search(r"^observations_event +(\d+) +\1  [0-9a-f]{16}  same$", said, re.MULTILINE)
    assert "rows were moved and verified" in said
    assert "notes is no table of claudemem, and stays behind" in said
    assert URL in said
    assert str(ready.file) in said
    assert "postgres://" not in said


def test_numbers_that_were_given_are_not_given_again(ready: Store) -> None:
    # The highest of them was deleted.
    ready.change("UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'observations_observation'")
    ready.moved()

    ((number,),) = ready.ask("SELECT nextval(pg_get_serial_sequence("
                             "'observations_observation', 'number'))")  # fmt: skip
    ((line,),) = ready.ask("SELECT max(id) FROM queueing_generationjobevent")
    ((next_line,),) = ready.ask("SELECT nextval(pg_get_serial_sequence("
                                "'queueing_generationjobevent', 'id'))")  # fmt: skip
    assert (number, next_line) == (5001, line + 1)


def test_what_lies_in_the_log_of_a_killed_server_is_moved_too(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(store.file, isolation_level=None)) as database:
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("UPDATE observations_team SET name = 'of the log'")
        crashed = Store(Path(shutil.copytree(store.data, tmp_path / "crashed")))
    log = crashed.data / "claude-mem.sqlite3-wal"
    before = crashed.file.read_bytes(), log.read_bytes()
    crashed.moved()

    assert (crashed.file.read_bytes(), log.read_bytes()) == before
    assert crashed.ask("SELECT name FROM observations_team") == [("of the log",)]


def test_numbers_keep_their_value(ready: Store) -> None:
    numbers = "[1e300, 5e-324, 1.10, -0.0, 12345678901234567890123, 1E2, 0.1]"
    ready.change("UPDATE observations_session SET metadata = ?", numbers)
    ready.moved()

    ((text,), *_) = ready.ask("SELECT metadata::text FROM observations_session")
    exact = {"parse_int": Decimal, "parse_float": Decimal}
    assert json.loads(text, **exact) == json.loads(numbers, **exact)


# --- what stops it ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_move_that_is_stopped_leaves_the_target_empty_and_can_be_made_again(
    ready: Store, number: signal.Signals
) -> None:
    with ready.held_up() as process:
        process.send_signal(number)
    process.communicate(timeout=60)
    until(lambda: not ready.ask("SELECT 1 FROM pg_stat_activity WHERE datname = "
                                "current_database() AND pid <> pg_backend_pid()"))  # fmt: skip
    assert process.returncode != 0
    assert ready.filled() == []
    ready.ask("DROP TRIGGER meddle ON observations_event")

    assert ready.moved()["moved"]


def test_a_target_that_goes_away_meanwhile_is_told_in_a_sentence(ready: Store) -> None:
    with ready.held_up() as process:
        ready.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                  "WHERE wait_event = 'advisory' AND datname = current_database()")  # fmt: skip
        _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert re.fullmatch(r"Error: the target refused the rows \(.+\): nothing was moved\n", said)
    assert ready.filled() == []


def test_what_is_written_to_the_source_meanwhile_stops_it(ready: Store) -> None:
    with ready.held_up() as process:
        ready.change("UPDATE observations_team SET name = 'changed'")
    _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "something wrote to" in said
    assert ready.filled() == []


def test_nobody_writes_to_the_target_meanwhile(ready: Store) -> None:
    with ready.held_up() as process, ready.server() as other:
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("INSERT INTO observations_team VALUES ('1', 'mine', now())")
    process.communicate(timeout=60)

    assert process.returncode == 0


def test_a_row_that_came_to_be_another_is_noticed_and_named(ready: Store) -> None:
    with closing(sqlite3.connect(ready.file)) as database:
        ((row,),) = database.execute("SELECT max(id) FROM observations_event").fetchall()
    ready.meddle("observations_event",
                 f"IF NEW.id = '{row}' THEN NEW.event_type := 'other'; END IF;")  # fmt: skip
    done = ready.move()

    assert done.returncode == 1
    assert f"something else in observations_event, first in the row {row}" in done.stderr
    assert re.search(r"^observations_event .+differs: [0-9a-f]{16}$", done.stderr, re.MULTILINE)
    assert re.search(r"^observations_session .+same$", done.stderr, re.MULTILINE)
    assert ready.filled() == []


def test_a_row_that_is_lost_is_noticed(ready: Store) -> None:
    ready.meddle("queueing_generationjobevent", "IF NEW.id = 3 THEN RETURN NULL; END IF;")

    said = ready.refused()
    assert "queueing_generationjobevent, first in the row 3" in said


def test_a_target_with_rows_is_refused(store: Store) -> None:
    store.ask("CREATE TABLE others AS SELECT 1 AS x")
    done = store.move()

    assert done.returncode == 1
    assert "is not empty, it has rows in others" in done.stderr
    assert store.filled() == ["others"]


def test_a_second_move_is_refused(ready: Store) -> None:
    ready.moved()
    again = ready.move()

    assert again.returncode == 1
    assert "is not empty" in again.stderr


def test_a_target_that_is_away_is_refused_without_its_password(store: Store) -> None:
    done = store.move("--to", "postgres://ada:hidden@127.0.0.1:1/memory")

    assert done.returncode == 1
    assert "the target cannot be used" in done.stderr
    assert "Connection refused" in done.stderr
    assert "hidden" not in done.stdout + done.stderr


def test_a_target_in_another_encoding_is_refused(store: Store) -> None:
    store.ask("DROP DATABASE IF EXISTS claudemem_ascii")
    store.ask("CREATE DATABASE claudemem_ascii ENCODING 'SQL_ASCII' TEMPLATE template0")
    try:
        url = store.target[URL].rpartition("/")[0] + "/claudemem_ascii"
        done = store.move("--to", url)
    finally:
        store.ask("DROP DATABASE claudemem_ascii")

    assert done.returncode == 1
    assert "has the encoding SQL_ASCII" in done.stderr


@pytest.mark.django_db
def test_a_target_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import connection

    from claudemem.move import target
    from claudemem.move.errors import MoveFailed

    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", None)
    monkeypatch.setattr(target, "OLDEST", 99)
    with pytest.raises(MoveFailed, match="99 or newer is needed"):
        target.Target().check()


def test_without_a_target_it_is_a_wrong_call(store: Store) -> None:
    done = store.run("claudemem", "db", "move", settings={})

    assert done.returncode == 2
    assert URL in done.stderr


def test_without_a_store_it_says_where_it_looked(tmp_path: Path) -> None:
    assert f"there is no database at {tmp_path}" in Store(tmp_path).refused()


def test_what_is_no_store_of_ours_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with closing(sqlite3.connect(store.file)) as database, database:
        database.execute("CREATE TABLE notes (x)")
    assert "is no database of claudemem" in store.refused()
    store.file.write_bytes(b"no database at all" * 100)
    assert "cannot be read" in store.refused()


def test_a_source_of_another_version_is_refused(store: Store) -> None:
    store.change("UPDATE django_migrations SET name = '0999_later' WHERE name = '0002_pause'")
    assert "the source lacks 1 migrations" in store.refused()
    store.change("INSERT INTO django_migrations (app, name, applied) "
                 "VALUES ('queueing', '0002_pause', '2026-01-01')")  # fmt: skip
    assert "the source was written by a newer version" in store.refused()


def test_a_server_that_runs_is_refused(store: Store) -> None:
    with (store.data / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"{store.data} is in use by another claudemem" in store.refused()
        assert store.moved("--dry-run")["moved"] is False


def test_a_process_that_has_the_file_open_is_refused(store: Store) -> None:
    with closing(sqlite3.connect(store.file)) as database:
        database.execute("SELECT count(*) FROM observations_team")
        assert f"in use by the process {os.getpid()}" in store.refused()


def test_values_that_postgresql_cannot_store_are_named_and_replaced_only_if_asked(
    ready: Store,
) -> None:
    ready.change("UPDATE observations_session SET cwd = 'a' || char(0) || 'b' WHERE id = "
                 "(SELECT min(id) FROM observations_session)")  # fmt: skip
    ready.change("UPDATE observations_event SET payload = ? WHERE id = "
                 "(SELECT min(id) FROM observations_event)", r'{"n": 1e400, "t": "\u0000\ud800"}'
                 )  # fmt: skip
    said = ready.refused()
    assert re.search(r"observations_session.cwd of \S+ holds a character that it cannot", said)
    assert "observations_event.payload" in said
    assert "--replace-unstorable" in said

    replaced = ready.moved("--replace-unstorable")["replaced"]
    assert [(each["table"], each["column"]) for each in replaced] == [
        ("observations_session", "cwd"), ("observations_event", "payload")
    ]  # fmt: skip
    assert ready.ask("SELECT cwd FROM observations_session WHERE cwd LIKE 'a_b'") == [("a\ufffdb",)]
    ((payload,),) = ready.ask("SELECT payload->>'t' FROM observations_event ORDER BY id LIMIT 1")
    assert payload == "\ufffd\ufffd"


def test_text_that_is_too_long_for_its_column_is_named(ready: Store) -> None:
    ready.change("UPDATE observations_team SET name = ?", "x" * 201)
    assert "has 201 characters, 200 are allowed" in ready.refused("--replace-unstorable")


def test_a_row_that_points_nowhere_is_refused(ready: Store) -> None:
    ready.change("DELETE FROM observations_event WHERE id = "
                 "(SELECT max(event_id) FROM observations_observationsource)")  # fmt: skip
    said = ready.refused()
    assert "the target refused the rows" in said
    assert "observations_observationsource" in said


def test_a_value_of_another_sort_is_refused(ready: Store) -> None:
    ready.change("UPDATE observations_team SET created_at = 'yesterday'")
    assert "a row of observations_team holds what is not of its column's sort" in ready.refused()
