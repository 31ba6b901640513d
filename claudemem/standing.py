"""How everything is in a data directory, or on a database and queue store that many share."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any

from django.conf import settings

from claudemem import condition, health, monitor, peek, serverfiles, statefile, verdicts
from claudemem.members import RUNNING
from claudemem.statefile import State
from claudemem.verdicts import Check
from observations import retention, tenants
from queueing import addresses, depths, identity, kinds, pids, probes, states
from queueing.canaries import Canary
from queueing.depths import Table
from queueing.errors import QueueingError
from queueing.pauses import Hold


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a running `claudemem up`; `memory` in bytes, its share of shared pages.

    `detail` says where it is, for those that have an address of their own.
    """

    name: str
    state: str
    pid: int | None
    restarts: int
    memory: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """What clients of older servers look for: whether it runs, and as which process."""

    running: bool
    pid: int | None = None
    port: int | None = None
    runtime: str = health.RUNTIME
    started: str = ""


@dataclass(frozen=True, slots=True)
class QueueStore:
    """The queue store, without its password; `reason` says why it is away, `mode` may be none."""

    mode: str
    product: str = ""
    version: str = ""
    address: str = ""
    persistence: str = ""
    policy: str = ""
    reason: str = ""
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: its jobs by state, the messages that wait in it, and what came through it when.

    `messages` is None where there are none or it cannot be asked, `completed` and `failed` where
    it has no jobs. `seen` is how many seconds ago a canary came through, and `by` to which worker.
    """

    name: str
    verdict: str
    queued: int = 0
    processing: int = 0
    messages: int | None = None
    completed: int | None = None
    failed: int | None = None
    seen: float | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What an operator paused: `name` is what people call it."""

    subject: str
    name: str
    reason: str
    since: str
    by: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that `status` tells. `problems` is empty where all is well.

    Where it is `deployed`, each role is a container of its own, and only what they share is told.
    `checks` are those of `/v1/health`. `pruned` is how many seconds ago was seen to what is kept no
    longer, None if never.
    """

    healthy: bool
    verdict: str
    server: Server
    url: str
    data: str
    processes: list[Process]
    web: bool
    engine: str
    store: QueueStore
    database: dict[str, Any]
    jobs: dict[str, int]
    queues: list[Queue]
    lanes_waiting: int
    lag: float
    provider: dict[str, Any]
    problems: list[str]
    checks: list[Check] = field(default_factory=list)
    deployed: bool = False
    pauses: list[Held] = field(default_factory=list)
    pruned: float | None = None


def gather() -> Report:
    """Ask everything how it is. Takes a few seconds at most."""
    written = statefile.read(settings.DATA_DIR.root)
    state = written if written is not None and written.supervisor.alive else None
    processes = _processes(state) if state else []
    server = _server(state)
    web = server.port is not None and peek.healthy(settings.HOST, server.port)
    store, database = _store(), condition.database(in_full=True)
    table = depths.table() if database.initialized else None
    seen = monitor.here(
        table, database.reason, _up(server), faults=store.faults, stopped=_is_over(server, table)
    )
    checks = verdicts.checks(seen, monitor.limits())
    provider = health.provider_in(table)
    problems = _problems(server, processes, web) + _faults(store, state) + _unwell(checks, server)
    if not database.initialized:
        problems.append(f"database: {database.reason}")
    if provider.status == "errored":
        problems.append(f"provider: {provider.reason}")
    ended = depths.counts() if table else {}
    return Report(
        healthy=not problems,
        verdict=verdicts.overall(checks),
        server=server,
        url=state.url if state else _url(server),
        data=str(settings.DATA_DIR.root),
        processes=processes,
        web=web,
        engine=settings.QUEUE_ENGINE,
        store=store,
        database={"ready": database.initialized, "reason": database.reason,
                  "product": "PostgreSQL" if settings.DATABASE_URL else "SQLite"},
        jobs=_by_state(ended) if table else {},
        queues=_queues(table, ended, seen, checks) if table else [],
        lanes_waiting=sum(each.all for each in table.heads) if table else 0,
        lag=max((each.oldest for each in table.heads), default=0.0) if table else 0.0,
        provider={**provider.details, "status": provider.status, "reason": provider.reason},
        problems=problems,
        checks=checks,
        deployed=settings.DEPLOYED,
        pauses=held(table.holds) if table else [],
        pruned=retention.pruned_ago() if table else None,
    )  # fmt: skip


def held(holds: Sequence[Hold]) -> list[Held]:
    """What operators paused, for people and programs."""
    names = tenants.names(hold.subject for hold in holds)
    return [
        Held(
            subject=str(hold.subject),
            name=names[hold.subject],
            reason=hold.reason,
            since=hold.since.isoformat(timespec="seconds"),
            by=str(hold.by.get("actor_id") or hold.by.get("source") or ""),
        )
        for hold in holds
    ]


def _port(state: State) -> int:
    return int(state.url.rpartition(":")[2])


def _server(state: State | None) -> Server:
    """Whoever keeps its parts running, or the web alone where nobody does."""
    if announced := serverfiles.read(settings.DATA_DIR.root):
        started = announced.started.isoformat(timespec="milliseconds")
        return Server(True, announced.process.pid, announced.port, started=started)
    return Server(True, state.supervisor.pid, _port(state)) if state else Server(running=False)


def _url(server: Server) -> str:
    host = f"[{settings.HOST}]" if ":" in settings.HOST else settings.HOST
    return f"http://{host}:{server.port}" if server.port else ""


def _up(server: Server) -> float:
    """For how many seconds it runs: infinite where nothing runs here."""
    if not server.running:
        return inf
    try:
        return time.time() - datetime.fromisoformat(server.started).timestamp()
    except ValueError:
        return 0.0  # It has not said so yet.


def _is_over(server: Server, table: Table | None) -> bool:
    """Whether nothing runs, and whoever took something from the queues last has ended."""
    if server.running or settings.DEPLOYED or table is None:
        return False
    takers = (identity.read(each.seen_by) for each in table.canaries if each.seen_by)
    return all(taker is not None and taker.is_gone() for taker in takers)


def _processes(state: State) -> list[Process]:
    me = state.supervisor.pid
    found = [Process("supervisor", RUNNING, me, 0, pids.memory(me))]
    for member in state.members:
        mark = member.process if member.process and member.process.alive else None
        memory = pids.memory(mark.pid) if mark else 0
        # A container is no process of this machine: of it is known what its supervisor says.
        has_died = member.process is not None and mark is None
        shown = "gone" if has_died and member.state == RUNNING else member.state
        pid = mark.pid if mark else None
        found.append(Process(member.name, shown, pid, member.restarts, memory, member.detail))
    return found


def _store() -> QueueStore:
    if settings.STORE is None:
        return QueueStore("none")
    url = settings.QUEUE_STORE_URL
    if not url:
        nothing = f"none was started in {settings.DATA_DIR.root}: run `claudemem start`"
        return QueueStore(settings.STORE_MODE, reason=nothing)
    try:
        found = probes.look(
            url, settings.QUEUE_PREFIX, timeout=1.0, tries_message=False,
            owner=settings.QUEUE_STORE_OWNER,
        )  # fmt: skip
    except QueueingError as error:
        return QueueStore(settings.STORE_MODE, address=addresses.shown(url), reason=str(error))
    return QueueStore(
        settings.STORE_MODE, found.product, found.version, found.address, found.persistence,
        found.policy, "", found.faults, found.warnings,
    )  # fmt: skip


def _problems(server: Server, processes: Sequence[Process], web: bool) -> list[str]:
    if not server.running:
        nothing = "nothing runs in this data directory: start it with `claudemem start`"
        return [] if settings.DEPLOYED else [nothing]
    problems = [] if web else ["web: it does not answer yet, or its log says why"]
    return problems + [
        f"{process.name}: {process.state}, after {process.restarts} restarts"
        for process in processes
        if process.state != RUNNING
    ]


def _faults(store: QueueStore, state: State | None) -> list[str]:
    if state is None and settings.STORE and settings.STORE.ours:
        return []  # it starts with the rest
    return [f"store: {each}" for each in (store.reason, *store.faults) if each]


def _unwell(checks: Sequence[Check], server: Server) -> list[str]:
    """What has failed of what only a server that runs can keep going."""
    if not server.running and not settings.DEPLOYED:
        return []
    failed = [each for each in checks if each.verdict == verdicts.FAILED]
    told = {"lastSuccess": "jobs", "beat": "beat", "workers": "worker"}
    problems = [f"{told[each.name]}: {each.reason}" for each in failed if each.name in told]
    if not any(each.name in ("beat", "workers") for each in failed):
        problems += [
            f"queue {each.details['queue']}: {each.reason}"
            for each in failed
            if each.name == "canaries"
        ]
    return problems


def _by_state(counted: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {
        state: sum(counted.get((kind, state), 0) for kind in kinds.BY_NAME) for state in states.ALL
    }


def _queues(
    table: Table,
    counted: Mapping[tuple[str, str], int],
    seen: verdicts.Readings,
    checks: Sequence[Check],
) -> list[Queue]:
    found = {each.details["queue"]: each.verdict for each in checks if each.name == "canaries"}
    messages = seen.store.messages if seen.store else {}
    return [
        _queue(canary, found[canary.queue], messages.get(canary.queue), counted)
        for canary in table.canaries
    ]


def _queue(
    canary: Canary, verdict: str, messages: int | None, counted: Mapping[tuple[str, str], int]
) -> Queue:
    name = canary.queue
    has_jobs = canary.has_jobs
    return Queue(
        name=name,
        verdict=verdict,
        queued=counted.get((name, states.QUEUED), 0),
        processing=counted.get((name, states.PROCESSING), 0),
        messages=messages,
        completed=counted.get((name, states.COMPLETED), 0) if has_jobs else None,
        failed=counted.get((name, states.FAILED), 0) if has_jobs else None,
        seen=canary.seen_age,
        by=identity.shown(canary.seen_by),
    )
