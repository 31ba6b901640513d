"""pytest-celery's nodes, with programs of ours where it has containers: no Docker anywhere.

A broker node is the managed store, a worker node a real `claudemem worker start`. A Fleet is the
server that they belong to, without a supervisor: nothing that is killed comes back by itself.
"""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from typing import Any

from celery import Celery
from pytest_celery import CeleryTestBroker, CeleryTestContainer, CeleryTestSetup, CeleryTestWorker

from claudemem.datadir import DataDir
from queueing import addresses
from tests.stack import CELERY, ROLES, ROOT, Stack, environment
from tests.stores import kept
from tests.waiting import until

PATIENCE = 60.0
RUNNING, EXITED = "running", "exited"


def number_of(name: str | int) -> int:
    """A signal's number, by its name or itself."""
    return int(signal.Signals[name] if isinstance(name, str) else name)


class Program(CeleryTestContainer):
    """A program in the place of a container. Its log is that of its present life.

    It ends with this process, which holds the other end of its standard input.
    """

    def __init__(
        self, fleet: "Fleet", name: str, *arguments: str, prompt: str = "", engine: str = ""
    ) -> None:
        self.arguments = arguments
        self.engine = engine or fleet.engine
        self._fleet = fleet
        self._name = name
        self._prompt = prompt
        self._lives = 0
        self._process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Begin a life, in the place of one that has ended."""
        self._lives += 1
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._fleet._command(*self.arguments, "--supervised"),
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=ROOT,
                env=environment(self._fleet.settings | {"CLAUDE_MEM_QUEUE_ENGINE": self.engine}),
            )  # fmt: skip

    @property
    def _log(self) -> Path:
        return self._fleet.home / f"{self._name}-{self._lives}.log"

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return str(self._process.pid)

    @property
    def status(self) -> str:
        return RUNNING if self._process.poll() is None else EXITED

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    @property
    def ready_prompt(self) -> str:
        return self._prompt

    def logs(self) -> str:
        return self._log.read_text()

    def ready(self) -> bool:
        until(lambda: self._prompt in self.logs() or self.status == EXITED, PATIENCE)
        assert self.status == RUNNING, self.logs()
        return True

    def reload(self) -> None:
        """What is told is always what is."""

    def kill(self, signal: str | int | None = None) -> None:
        number = number_of(signal or "SIGKILL")
        self._process.send_signal(number)
        if number == number_of("SIGKILL"):
            self._ended(PATIENCE)

    def restart(self, timeout: float = 10) -> None:
        self._process.terminate()
        try:
            self._ended(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self.start()
        self.ready()

    def teardown(self) -> None:
        self._process.kill()
        self.wait_ended()

    def wait_ended(self) -> int:
        """Wait until its process has ended; its exit code."""
        self._ended(PATIENCE)
        return int(self._process.returncode)

    def _ended(self, timeout: float) -> None:
        self._process.wait(timeout)
        if self._process.stdin:
            self._process.stdin.close()


class StoreNode(CeleryTestContainer):
    """The private Valkey of a data directory in the place of a container."""

    def __init__(self, data: DataDir) -> None:
        self._data = data
        self._store = kept(data.root)
        self._store.start()

    @property
    def name(self) -> str:
        return "store"

    @property
    def id(self) -> str:
        process = self._store.process()
        return str(process.pid if process else 0)

    @property
    def status(self) -> str:
        return RUNNING if self._store.process() else EXITED

    @property
    def celeryconfig(self) -> dict[str, str]:
        url = self._store.url
        return {"url": url, "host_url": url}

    def logs(self) -> str:
        return (self._data.redis / "redis.log").read_text()

    def ready(self) -> bool:
        return self._store.running() is not None

    def reload(self) -> None:
        """What is told is always what is."""

    def kill(self, signal: str | int | None = None) -> None:
        process = self._store.process()
        assert process is not None
        process.signal(number_of(signal or "SIGKILL"))
        until(lambda: self.status == EXITED)

    def restart(self, timeout: float = 10) -> None:
        self._store.stop(timeout=timeout)
        # Where it was: workers have its address and look there.
        self._store.start(may_move=False)

    def wipe(self) -> None:
        """Kill it and delete what it kept, and have it begin anew."""
        self.kill()
        rmtree(self._data.redis / "data")
        self.restart()

    def teardown(self) -> None:
        self._store.stop()


class Broker(CeleryTestBroker):  # type: ignore[misc]
    """The node of the managed store."""

    container: StoreNode

    def wipe(self) -> None:
        """Let it forget everything."""
        self.container.wipe()


class Worker(CeleryTestWorker):  # type: ignore[misc]
    """The node of a `claudemem worker start`."""

    container: Program

    @property
    def worker_name(self) -> str:
        return f"worker-{self.container.id}"

    @property
    def pid(self) -> str:
        """Its process id."""
        return str(self.container.id)

    def hostname(self) -> str:
        return f"{self.worker_name}@{gethostname()}"

    def serve(self, queues: str) -> None:
        """Go on as a worker of these queues alone."""
        self.container.arguments = ("worker", "start", "--queues", queues)
        self.restart()

    def wait_ended(self) -> int:
        """Wait until its process has ended; its exit code."""
        return self.container.wait_ended()


class Setup(CeleryTestSetup):  # type: ignore[misc]
    """A setup whose app asks the nodes, and stays out of this process's other tests."""

    @classmethod
    def create_setup_app(cls, celery_setup_config: Any, celery_setup_app_name: str) -> Celery:
        app = Celery(celery_setup_app_name, set_as_current=False)
        app.config_from_object(celery_setup_config)
        app.conf.broker_transport_options = {"global_keyprefix": f"{addresses.PREFIX}:"}
        return app

    def answering(self) -> set[str]:
        """The names of the workers that answer a ping."""
        with self.app.connection() as connection:  # not one that a dead store has left behind
            replies = self.app.control.ping(timeout=1.0, connection=connection)
        return {name for reply in replies for name in reply}


class Fleet(Stack):
    """A server in processes of its own: a web, a beat if its engine has one, and as many workers
    as are asked for.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, str] = {}, *, engine: str = CELERY
    ) -> None:
        super().__init__(home, settings, engine=engine)
        self.settings["CLAUDE_MEM_SERVER_PORT"] = str(self.port)
        self.directory = DataDir(self.data)
        self.directory.create()
        self.upkeep: Sequence[Program] = ()

    def start(self) -> None:
        """Start web and beat, with a database that is up to date; the store must run."""
        if not self._shown:
            self.cli("migrate")
        roles = sorted(ROLES[self.engine] & {"web", "beat"})
        self.upkeep = [Program(self, role, role) for role in roles]
        until(self.healthy, PATIENCE)
        self.make_key()

    def worker(self, name: str, *options: str, engine: str = "") -> Worker:
        """One more worker: of all queues and of the fleet's engine, unless it is told otherwise."""
        start = ("worker", "start", *options)
        program = Program(self, name, *start, prompt="observations are made", engine=engine)
        return Worker(program, None)

    def stop(self) -> None:
        """Kill web and beat."""
        self.close()
        for program in self.upkeep:
            program.teardown()

    def held_by(self, worker: Worker) -> list[str]:
        """The jobs that a worker has in hand."""
        held = "SELECT id FROM queueing_generationjob WHERE state = ? AND leased_by LIKE ?"
        return [job for (job,) in self.sql(held, "processing", f"%:{worker.pid}")]

    def claims_of(self, worker: Worker) -> list[tuple[str, str]]:
        """The kind and id of each job that a worker has claimed, in order."""
        claims = self.sql(
            """SELECT job.kind, job.id FROM queueing_generationjobevent history
            JOIN queueing_generationjob job ON job.id = history.job_id
            WHERE history.event = 'processing' AND CAST(history.details AS text) LIKE ?
            ORDER BY history.id""",
            f'%:{worker.pid}"%',
        )
        return [(str(kind), str(job)) for kind, job in claims]
