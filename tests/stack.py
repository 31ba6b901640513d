"""The whole server as a user runs it: `claudemem up` in a scratch data directory, on free ports."""

import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import httpx
from celery import Celery

from queueing import access, addresses
from queueing.pids import Mark
from tests import conformance, prepared, proofs, still
from tests.postgres import database_of, on_postgresql
from tests.prepared import PROJECT, SCOPES, environment
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = sorted((ROOT / "tests" / "recordings").rglob("*.jsonl"))
HOOK = "/v1/hooks/claude-code"
OPEN = "state IN ('queued', 'processing')"
CELERY, DATABASE = ENGINES = ("celery", "database")
# For what must hold with each engine and each database, and where neither shows in the other: two
# of the four pairs, or the other two. What an engine does with a database is in tests/contracts.
STRAIGHT, CROSSED = ((CELERY,), (DATABASE,)) if on_postgresql() else ((DATABASE,), (CELERY,))
# The one with which everything is run that says nothing of engines.
ENGINE = os.environ.get("CLAUDE_MEM_TEST_ENGINE", CELERY)
# The processes of a server, by its engine.
ROLES = {CELERY: {"store", "web", "worker", "beat"}, DATABASE: {"web", "worker"}}

# What waits and has no message is found soon.
SOON = {"CLAUDE_MEM_RECONCILE_SECONDS": "0.5"}
# What died is replaced within a second or two instead of ten, so that a test need not wait. Not for
# tests in which nothing may be taken over: a busy machine may let a worker stand still for so long.
SHORT_LEASES = {
    **SOON,
    "CLAUDE_MEM_LEASE_SECONDS": "2",
    "CLAUDE_MEM_HEARTBEAT_SECONDS": "0.5",
}
IN_TRANSACTION = "datname = current_database() AND state = 'idle in transaction'"
# Neither those that a system gives to connections, nor those that the product gives to its store:
# what is chosen here may be listened at a good while later, and again after a restart.
_PORTS = range(10_000, 20_000)


def recording(name: str) -> Path:
    """The recording of that name."""
    (found,) = [path for path in RECORDINGS if path.stem == name]
    return found


def payloads(files: Iterable[Path] = RECORDINGS) -> list[dict[str, Any]]:
    """The hook payloads of the recordings, in order."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines() if line]


def free_port() -> int:
    """A port at which nobody listens now, and which nobody else in this test run is given."""
    while True:
        port = secrets.choice(_PORTS)
        if access.bindable(port) and prepared.is_first(f"port-{port}"):
            return port


class Stack:
    """A running server. `home` holds its data directory and what `up` printed.

    `engine` is what brings work to its workers: by default `ENGINE`, or Celery for Flower's sake.
    """

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, str] = {},
        *,
        flower: bool = False,
        engine: str = "",
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.output = home / "up.log"
        # Whose database is somebody else's has its first start with the first `start`.
        named = "CLAUDE_MEM_SERVER_DATABASE_URL" in settings
        self._shown = None if named else prepared.copied_to(self.data)
        # Tests call with wrong keys as often as they like, but for those about that.
        usual = {"CLAUDE_MEM_FAILED_CALLS_PER_MIN": "0", "CLAUDE_MEM_FAILED_SIGN_INS": "0"}
        self.settings = {**usual, **({} if named else database_of(self.data)), **settings}
        self.engine = engine or (CELERY if flower else ENGINE)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.flower = f"http://127.0.0.1:{free_port()}/flower/" if flower else ""
        self.key = ""
        self.project_id = ""
        hooks = {"response": [conformance.check_response]}
        self.http = httpx.Client(base_url=self.url, timeout=30.0, event_hooks=hooks)
        self._up: subprocess.Popen[bytes] | None = None
        self._seen: set[Mark] = set()
        self._asking: dict[str, Any] = {}

    @property
    def engine(self) -> str:
        """What brings work to its workers; another from the next start on if it is set."""
        return self.settings["CLAUDE_MEM_QUEUE_ENGINE"]

    @engine.setter
    def engine(self, name: str) -> None:
        self.settings["CLAUDE_MEM_QUEUE_ENGINE"] = name

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until all of it runs; again in the same data directory too."""
        self.launch()
        until(self.healthy, 60)
        self.wait_complete()

    def wait_complete(self) -> None:
        """Wait until a process has each of the roles."""
        roles = {*ROLES[self.engine], *(["flower"] if self.flower else [])}
        # One that is not ours, or in a container, is no process of ours.
        elsewhere = {"CLAUDE_MEM_REDIS_URL", "CLAUDE_MEM_REDIS_MODE"} & set(self.settings)
        roles -= {"store"} if elsewhere else set()
        until(lambda: set(self.pids()) == roles, 60)
        if self.flower:
            self._wait_watched()

    def _wait_watched(self) -> None:
        """Wait until Flower hears of the worker, and the worker tells of its tasks.

        Flower asks for that itself, every five seconds: here it need not be waited for.
        """
        until(lambda: self._answers(f"{self.flower}healthcheck"), 60)
        with self.flowers() as flower:
            until(lambda: flower.get("workers?json=1").json()["data"], 60)
        control = self.celery().control
        until(lambda: control.enable_events(reply=True, timeout=1, limit=1), 60)

    def flowers(self) -> httpx.Client:
        """A client of its Flower that knows the password."""
        door = ("admin", self.flower_password)
        return httpx.Client(base_url=self.flower, auth=door, timeout=30.0)

    def celery(self) -> Celery:
        """Celery without tasks, at its queue store and under its prefix."""
        known = addresses.parse(
            self.settings.get("CLAUDE_MEM_REDIS_URL") or self.store_access().url
        )
        prefix = addresses.prefix(self.settings.get("CLAUDE_MEM_QUEUE_REDIS_PREFIX", ""))
        app = Celery(broker=known.broker_url, set_as_current=False)
        app.conf.broker_use_ssl = known.tls
        app.conf.broker_transport_options = {
            "global_keyprefix": f"{prefix}:",
            **known.broker_options,
        }
        return app

    @property
    def admin_password(self) -> str:
        """The password of the user `admin`, as it was shown."""
        if self._shown:
            return self._shown.admin_password
        (shown,) = re.findall(r"admin password +(\S+)", self.output.read_text())
        return str(shown)

    @property
    def flower_password(self) -> str:
        """The password that was made for Flower."""
        return (self.data / "flower_password").read_text().strip()

    def launch(self) -> None:
        """Start `up`, without waiting for anything."""
        with self.output.open("ab") as log:
            self._up = subprocess.Popen(
                self._command("up", "--port", str(self.port), *self._flower_options()),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
                env=environment(self.settings), start_new_session=True,
            )  # fmt: skip

    def healthy(self) -> bool:
        """Whether the web answers. Fails if `up` has ended."""
        assert self._up is None or self._up.poll() is None, self.output.read_text()
        return self._answers("/healthz")

    def _answers(self, address: str) -> bool:
        with suppress(httpx.TransportError):
            return bool(self.http.get(address).is_success)
        return False

    def _flower_options(self) -> list[str]:
        if not self.flower:
            return []
        self.settings["CLAUDE_MEM_FLOWER_PORT"] = str(httpx.URL(self.flower).port)
        return ["--flower"]

    def make_key(self, project: str | None = PROJECT) -> None:
        """Have a key for one project, or for the whole team."""
        if self._shown and project == PROJECT:
            self.key, self.project_id = self._shown.key, self._shown.project_id
        else:
            of = ["--project", project] if project else ["--team", "default"]
            made = json.loads(self.cli("api-key", "create", "--name", "k", "--scope", SCOPES, *of))
            self.key, self.project_id = made["key"], made["projectId"]
        self.http.headers["Authorization"] = f"Bearer {self.key}"

    def stop(self) -> None:
        """Stop it as Ctrl-C does, for good. Fails as `end` does."""
        self.close()
        if self._up is not None:
            self.end()

    def close(self) -> None:
        """Let go of what connects this process with it."""
        self.http.close()
        for connection in self._asking.values():
            connection.close()

    def end(self) -> None:
        """Stop it as Ctrl-C does. Fails, having killed it, if anything of it is left running."""
        assert self._up is not None
        self._note_processes()
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(60)
        finally:
            left = self._kill_rest()
        assert self._up.returncode == 0, self.output.read_text()
        assert not left, f"left running: {left}"

    def _kill_rest(self) -> list[int]:
        assert self._up is not None
        if self._up.poll() is None:
            self._up.kill()
            self._up.wait()
        left = [mark for mark in self._seen if mark.alive]
        for mark in left:
            mark.signal(signal.SIGCONT)
            mark.signal(signal.SIGKILL)
        return [mark.pid for mark in left]

    # --- its processes ----------------------------------------------------------------------------

    def pids(self) -> dict[str, int]:
        """The living processes by role."""
        return {role: mark.pid for role, mark in self._note_processes().items()}

    def _note_processes(self) -> dict[str, Mark]:
        with suppress(FileNotFoundError):
            state = json.loads((self.data / "up.json").read_text())
            marks = {p["name"]: Mark(**p["process"]) for p in state["processes"]
                     if p["process"]}  # fmt: skip
            self._seen |= set(marks.values())
            return {role: mark for role, mark in marks.items() if mark.alive}
        return {}

    def kill(self, role: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the process of this role; its pid."""
        pid = self.pids()[role]
        os.kill(pid, number)
        return pid

    def wait_replaced(self, role: str, pid: int) -> None:
        """Wait until another process than `pid` has this role."""
        until(lambda: self.pids().get(role, pid) != pid)

    @contextmanager
    def frozen(self, role: str) -> Iterator[int]:
        """Within this block the process of this role stands still, and answers nothing."""
        pid = self.pids()[role]
        with self.standing(pid):
            yield pid

    @contextmanager
    def standing(self, pid: int) -> Iterator[None]:
        """Within this block this process stands still, and not in the middle of a transaction: all
        others would wait for that.
        """
        still.stop(pid, self._nobody_writes)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _nobody_writes(self) -> bool:
        if self.on_postgresql:
            return not self.count("pg_stat_activity", IN_TRANSACTION)
        return still.sqlite_is_free(self.data / "claude-mem.sqlite3")

    @contextmanager
    def unattended(self) -> Iterator[None]:
        """Within this block nobody replaces what dies."""
        assert self._up is not None
        with self.standing(self._up.pid):
            yield

    # --- its doors --------------------------------------------------------------------------------

    def cli(self, *arguments: str) -> str:
        """What a command of the command line printed. Raises CalledProcessError."""
        return subprocess.run(
            self._command(*arguments), cwd=ROOT, env=environment(self.settings),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "claudemem", "--data-dir", str(self.data), *arguments]

    def post(self, path: str, body: Any) -> httpx.Response:
        """The answer to a POST with our key."""
        return self.http.post(path, json=body)

    def get(self, path: str, **query: str | int) -> httpx.Response:
        """The answer to a GET with our key."""
        return self.http.get(path, params=query)

    def replay(self, files: Sequence[Path] = RECORDINGS) -> list[httpx.Response]:
        """The answers to the payloads of these recordings, sent one after the other."""
        return [self.post(HOOK, payload) for payload in payloads(files)]

    def search(self, query: str, limit: int = 10) -> list[dict[str, Any]]:
        """The observations that a search answers, best first."""
        body = {"projectId": self.project_id, "query": query, "limit": limit}
        answer = self.post("/v1/search", body)
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()["observations"]
        return found

    # --- its insides ------------------------------------------------------------------------------

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query, with `?` for values, read beside the running server."""
        if self.on_postgresql:
            return self._asked(query.replace("?", "%s"), values)
        with closing(self.connect()) as database:
            found: list[tuple[Any, ...]] = database.execute(query, values).fetchall()
            return found

    def _asked(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """By one connection as long as its server keeps it: a new one costs that a whole process.

        While something is waited for it is asked again and again.
        """
        import psycopg

        url = self.settings["CLAUDE_MEM_SERVER_DATABASE_URL"]
        if self._asking.get(url) is None or self._asking[url].closed:
            self._asking[url] = self.connect()
        try:
            found: list[tuple[Any, ...]]
            found = self._asking[url].execute(query, values or None).fetchall()
            return found
        except psycopg.OperationalError:
            if not self._asking[url].closed:
                raise
        return self._asked(query, values)

    def change(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Run a statement once a row, with `?` for values, all in one transaction."""
        with closing(self.connect()) as database:
            if isinstance(database, sqlite3.Connection):
                database.execute("BEGIN IMMEDIATE")
                database.executemany(statement, rows)
                database.execute("COMMIT")
            else:
                with database.transaction():
                    database.cursor().executemany(statement.replace("?", "%s"), rows)

    @property
    def now(self) -> str:
        """The moment, in the database's SQL and as it stores times."""
        return (
            "clock_timestamp()" if self.on_postgresql else "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
        )

    @property
    def on_postgresql(self) -> bool:
        """Whether its database is PostgreSQL."""
        return "CLAUDE_MEM_SERVER_DATABASE_URL" in self.settings

    def connect(self) -> Any:
        """A connection, of the driver's own, at the database as it is; each statement commits."""
        if url := self.settings.get("CLAUDE_MEM_SERVER_DATABASE_URL"):
            import psycopg

            return psycopg.connect(url, autocommit=True, prepare_threshold=None)
        path = self.data / "claude-mem.sqlite3"
        return sqlite3.connect(path, timeout=20, isolation_level=None)

    def count(self, table: str, where: str = "true") -> int:
        """How many rows there are."""
        return int(self.sql(f"SELECT count(*) FROM {table} WHERE {where}")[0][0])

    def jobs(self, where: str = "true") -> int:
        """How many jobs there are."""
        return self.count("queueing_generationjob", where)

    def wait_settled(self, timeout: float = 60) -> None:
        """Wait until no job is queued or processing."""
        until(lambda: not self.jobs(OPEN), timeout)

    def wait_worked(self, timeout: float = 60) -> None:
        """The same, of jobs that all must go well: fails as soon as one failed for good."""
        with closing(self.connect()) as database:
            until(lambda: proofs.none_given_up(database) or not self.jobs(OPEN), timeout)

    def store_access(self) -> access.Access:
        """How to reach its queue store."""
        found = access.read(self.data / "redis")
        assert found is not None
        return found


@contextmanager
def stack(
    settings: Mapping[str, str] = {}, *, flower: bool = False, engine: str = ""
) -> Iterator[Stack]:
    """A server with a key, stopped and gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="claudemem-stack-"))
    running = Stack(home, settings, flower=flower, engine=engine)
    try:
        running.start()
        running.make_key()
        yield running
    finally:
        try:
            running.stop()
        finally:
            rmtree(home, ignore_errors=True)
