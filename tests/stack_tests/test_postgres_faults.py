"""A PostgreSQL that is killed, stands still, hangs up or is full, under a running server."""

import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests import proofs
from tests.backlog import in_the_middle, send_wide, tool_calls
from tests.contracts.wire_routes import ROUTES, Route, written
from tests.postgres import Server, on_postgresql
from tests.stack import (
    CELERY,
    ENGINES,
    HOOK,
    ROOT,
    SHORT_LEASES,
    Stack,
    environment,
    free_port,
    stack,
)
from tests.stack_tests.conftest import SLOW
from tests.stores import kept
from tests.waiting import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not on_postgresql(), reason="about PostgreSQL alone"),
]

# A request may wait for a connection, then for an answer, then for whether there will be one.
BOUND = 20.0
PASSWORD = "p@ss/%#: word"
LAPSED = "lease_until < clock_timestamp()"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that may be killed."""
    made = Server(durable=True, port=free_port())
    try:
        made.ask("CREATE ROLE worker LOGIN")
        made.ask("CREATE DATABASE memory OWNER worker")
        made.ask(f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'")
        made.ask("CREATE DATABASE guarded OWNER guarded")
        made.guard("guarded")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", params=ENGINES)
def running(server: Server, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Everything, on that server; not as its superuser, for whom no limit holds."""
    url = server.url("memory", "worker")
    soon = {"CLAUDE_MEM_RETRY_BASE_SECONDS": "0.5", "CLAUDE_MEM_SERVER_DATABASE_URL": url}
    with stack({**SLOW, **SHORT_LEASES, **soon}, engine=request.param) as made:
        yield made


@dataclass
class Crowd:
    """Clients that send tool calls one after the other, and what they were answered."""

    stack: Stack
    accepted: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    longest: float = 0.0
    _done: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        headers = {"Authorization": f"Bearer {self.stack.key}"}
        with httpx.Client(base_url=self.stack.url, headers=headers, timeout=60) as http:
            for call in tool_calls(10_000):
                if self._done.is_set():
                    return
                started = time.monotonic()
                answer = http.post(HOOK, json=call)
                self.longest = max(self.longest, time.monotonic() - started)
                self.statuses[answer.status_code] += 1
                if answer.is_success:
                    self.accepted.append(answer.headers["X-Event-Id"])
                else:
                    assert "try again" in answer.json()["message"]
                    assert answer.headers["Retry-After"]
                self._done.wait(0.05)

    def await_status(self, status: int) -> None:
        """Until that answer has come once more."""
        seen = self.statuses[status]
        until(lambda: self.statuses[status] > seen, 2 * BOUND)


@contextmanager
def crowd(running: Stack, clients: int = 4) -> Iterator[Crowd]:
    """Clients at work; then the proof that they were told the truth and nothing was lost."""
    before = running.pids()
    in_the_middle(running, 100, send_wide)
    made = Crowd(running)
    threads = [threading.Thread(target=made.send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        made.await_status(200)
        yield made
    finally:
        made._done.set()
        for thread in threads:
            thread.join(2 * BOUND)
    assert not any(thread.is_alive() for thread in threads)
    assert set(made.statuses) <= {200, 503}
    assert made.longest < BOUND
    _prove(running, made.accepted)
    assert running.pids() == before


def _prove(running: Stack, accepted: list[str]) -> None:
    stored = {row[0] for row in running.sql("SELECT id FROM observations_event")}
    assert [event for event in accepted if event not in stored] == []
    running.wait_settled()
    with closing(running.connect()) as database:
        assert proofs.violations(database) == []


def test_a_killed_server_loses_nothing_that_was_accepted(server: Server, running: Stack) -> None:
    with crowd(running) as clients:
        server.kill()
        clients.await_status(503)
        until(lambda: running.get("/api/readiness").status_code == 503)
        assert running.get("/api/health").json()["dependencies"]["degraded"]
        assert running.get("/healthz").is_success
        assert _database_problem(running)
        server.start()
        clients.await_status(200)
        assert until(lambda: running.get("/api/readiness").is_success)


def test_while_it_is_down_every_route_is_503_within_a_second(
    server: Server, running: Stack
) -> None:
    if running.engine != CELERY:
        pytest.skip("shown with a queue store")
    running.wait_settled()
    running.post("/v1/mcp", {})  # what it needs is brought by the first who comes
    server.kill()
    try:
        with ThreadPoolExecutor(4) as threads, _client(running) as client:
            refused = partial(_refused, running, client)
            # The machine may make one answer late, and a wait of the server's each time.
            soon = partial(until, seconds=30)
            asked = [partial(refused, route) for route in ROUTES if route.need]
            list(threads.map(soon, asked))
        assert running.get("/v1/health").json()["status"] != "ok"
    finally:
        server.start()
    until(lambda: running.get("/api/readiness").is_success)
    until(lambda: running.get("/v1/jobs").is_success)


def _client(running: Stack) -> httpx.Client:
    """One for many threads: to make one for each would take longer than the answers."""
    return httpx.Client(base_url=running.url, timeout=60)


def _refused(running: Stack, client: httpx.Client, route: Route) -> bool:
    """See that it is refused; whether that was soon enough."""
    path = re.sub(r"{\w+}", "some", route.path)
    body = written(running.project_id, "some")
    given = None if route.method == "GET" else [body] if "batch" in path else body
    key = {"Authorization": f"Bearer {running.key}"}
    answer = client.request(route.method, path, json=given, headers=key)
    assert answer.status_code == 503, (route, answer.text)
    assert answer.headers["Retry-After"]
    # And another for a machine that has much else to do.
    return answer.elapsed.total_seconds() < 2


def _database_problem(running: Stack) -> str:
    with pytest.raises(subprocess.CalledProcessError) as told:
        running.cli("status", "--json")
    problems = json.loads(told.value.stdout)["problems"]
    return next(each for each in problems if each.startswith("database: "))


def test_a_server_that_is_restarted_is_found_again_by_all(server: Server, running: Stack) -> None:
    with crowd(running) as clients:
        for _ in range(2):
            server.restart()
            clients.await_status(200)


def test_connections_that_are_ended_at_random_cost_a_retry_at_most(
    server: Server, running: Stack
) -> None:
    some = ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'worker' AND random() < 0.5")  # fmt: skip
    with crowd(running) as clients:
        for _ in range(15):
            server.ask(some)
            clients.await_status(200)


def test_a_server_that_stands_still_holds_nobody_for_long(server: Server, running: Stack) -> None:
    with crowd(running) as clients:
        with server.frozen():
            clients.await_status(503)
            started = time.monotonic()
            assert running.get("/api/readiness").status_code == 503
            assert time.monotonic() - started < BOUND
            _ask_much(running)
        clients.await_status(200)


def _ask_much(running: Stack) -> None:
    """More than there are threads: each is answered at once, for one question asks for all."""
    asked = ["/v1/health", "/readyz", "/api/readiness", "/api/health", "/v1/info"] * 10
    with ThreadPoolExecutor(50) as pool, _client(running) as client:
        started = time.monotonic()
        answers = list(pool.map(client.get, asked))
        assert time.monotonic() - started < BOUND
    by_path = {answer.url.path: answer.status_code for answer in answers}
    assert by_path == {"/v1/health": 200, "/readyz": 503, "/api/readiness": 503,
                       "/api/health": 503, "/v1/info": 200}  # fmt: skip


def test_a_server_that_takes_no_writes_costs_no_job_an_attempt_or_a_second_call(
    server: Server, running: Stack
) -> None:
    """As one does that fails over, and for longer than a lease lasts."""
    before = {row[0] for row in running.sql("SELECT id FROM queueing_generationjob")}
    with crowd(running) as clients:
        try:
            until(lambda: _refused_for_longer_than_a_lease(server, running, clients))
            clients.await_status(503)
        finally:
            _refuse_writes(server, "off")
        clients.await_status(200)
    ended = "SELECT id, state, attempts FROM queueing_generationjob"
    assert {row[1:] for row in running.sql(ended) if row[0] not in before} == {("completed", 1)}
    begun = "SELECT job_id FROM queueing_generationjobevent WHERE event = 'processing'"
    times = Counter(row[0] for row in running.sql(begun) if row[0] not in before)
    assert set(times.values()) == {1}


def _refused_for_longer_than_a_lease(server: Server, running: Stack, clients: Crowd) -> bool:
    """Refuse writes until a lease runs out. Where no call was under way, none can begin: take them
    again.
    """
    _refuse_writes(server, "on")
    clients.await_status(503)
    until(lambda: running.jobs(LAPSED) or not running.jobs("lease_until IS NOT NULL"))
    if running.jobs(LAPSED):
        return True
    _refuse_writes(server, "off")
    clients.await_status(200)
    return False


def _refuse_writes(server: Server, refused: str) -> None:
    server.ask(f"ALTER SYSTEM SET default_transaction_read_only = {refused}")
    server.ask("SELECT pg_reload_conf()")


def test_a_server_without_room_for_all_is_used_by_who_is_in(server: Server, running: Stack) -> None:
    with crowd(running) as clients:
        server.ask("ALTER ROLE worker CONNECTION LIMIT 3")
        try:
            server.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE usename = 'worker'")  # fmt: skip
            answered = clients.statuses.total()
            until(lambda: clients.statuses.total() > answered + 40, 4 * BOUND)
        finally:
            server.ask("ALTER ROLE worker CONNECTION LIMIT -1")
        clients.await_status(200)


def claudemem(home: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    """A command of ours that works with the database of this URL."""
    return subprocess.Popen(
        [sys.executable, "-m", "claudemem", "--data-dir", str(home), *arguments], cwd=ROOT,
        env=environment({"CLAUDE_MEM_SERVER_DATABASE_URL": url}), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def ended(home: Path, url: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command of ours, and what it said."""
    running = claudemem(home, url, *arguments)
    said, _ = running.communicate(timeout=60)
    return running.returncode, said


def test_every_form_of_a_url_leads_there(server: Server, tmp_path: Path) -> None:
    who, where = f"guarded:{quote(PASSWORD, safe='')}", quote(str(server.home), safe="")
    forms = [
        f"postgres://{who}@127.0.0.1:{server.port}/guarded?sslmode=prefer",
        f"postgresql://{who}@{where}:{server.port}/guarded?sslmode=disable&application_name=ours",
        f"pgsql://{who}@localhost:{server.port}/guarded?prepare_threshold=none",
        f"psql://{who}@/guarded?host={where}&port={server.port}&options=-c%20work_mem%3D8MB",
    ]
    for form in forms:
        code, said = ended(tmp_path, form, "migrate")
        assert (code, said.startswith("the database ")) == (0, True), said


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ("guarded:wrong-one@127.0.0.1:{port}/guarded", "password authentication failed"),
        ("guarded:wrong-one@nowhere.invalid/guarded", "nowhere.invalid"),
        ("guarded:wrong-one@127.0.0.1:1/guarded", "efused"),
        ("postgres:wrong-one@127.0.0.1:{port}/nothing", '"nothing" does not exist'),
        ("postgres:wrong-one@127.0.0.1:{port}/postgres?sslmode=require", "SSL"),
        ("postgres:wrong-one@127.0.0.1:{port}/postgres?sslmode=perhaps", "sslmode"),
        ("postgres:wrong-one/@127.0.0.1:{port}/postgres", "percent-encoded"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_sentence(
    server: Server, tmp_path: Path, form: str, reason: str
) -> None:
    code, said = ended(tmp_path, f"postgres://{form.format(port=server.port)}", "migrate")
    assert code == 1
    assert reason in said
    assert "CLAUDE_MEM_SERVER_DATABASE_URL" in said
    assert len(said.splitlines()) == 1
    assert "wrong-one" not in said


def test_up_says_why_it_cannot_start_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    url = f"postgres://guarded:wrong-one@127.0.0.1:{server.port}/guarded"
    code, said = ended(tmp_path, url, "up", "--port", str(free_port()))
    assert code == 1
    assert "password authentication failed" in said
    assert "could not be prepared, for the reason above" in said
    assert "Traceback" not in said
    assert kept(tmp_path).running() is None


def test_two_that_start_at_once_prepare_the_database_once(server: Server, tmp_path: Path) -> None:
    server.ask("CREATE DATABASE shared OWNER worker")
    url = server.url("shared", "worker")
    both = [claudemem(tmp_path / name, url, "first-run") for name in ("one", "two")]
    said = [each.communicate(timeout=120)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert ["API key" in each for each in said].count(True) == 1


def test_a_database_of_a_newer_version_is_left_alone(server: Server, tmp_path: Path) -> None:
    server.ask("CREATE DATABASE later OWNER worker")
    url = server.url("later", "worker")
    assert ended(tmp_path, url, "migrate")[0] == 0
    server.ask("INSERT INTO django_migrations (app, name, applied)"
               " VALUES ('queueing', '9999_later', now())", "later")  # fmt: skip
    code, said = ended(tmp_path, url, "migrate")
    assert code == 1
    assert "newer claudemem" in said
    assert "queueing.9999_later" in said
