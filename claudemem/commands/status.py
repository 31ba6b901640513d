"""`claudemem status`: how everything in a data directory is, for people and for programs."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import click

from claudemem.commands import load_django
from claudemem.members import RUNNING
from claudemem.statefile import State


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
class Report:
    """Everything that `status` tells. `problems` is empty where all is well.

    Where it is `deployed`, each role is a container of its own, and only what they share is told.
    """

    healthy: bool
    url: str
    data: str
    processes: list[Process]
    web: bool
    store: dict[str, Any]
    database: dict[str, Any]
    jobs: dict[str, int]
    lanes_waiting: int
    provider: dict[str, Any]
    problems: list[str]
    deployed: bool = False


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Tell how everything is. Exits with 0 if all is well, else with 1."""
    load_django(existing=True)
    report = gather()
    click.echo(json.dumps(_wire(report), indent=2) if as_json else _text(report))
    raise SystemExit(0 if report.healthy else 1)


def gather() -> Report:
    """Ask everything how it is. Takes a few seconds at most."""
    from django.conf import settings

    from claudemem import health, peek, statefile

    written = statefile.read(settings.DATA_DIR.root)
    state = written if written is not None and written.supervisor.alive else None
    processes = _processes(state) if state else []
    web = state is not None and peek.healthy(settings.HOST, _port(state))
    store, database = _store(), health.database(in_full=True)
    problems = _problems(state, processes, web, store["reason"])
    workers = health.workers()
    runs = state or settings.DEPLOYED
    if runs and not store["reason"] and workers.status == "errored":
        problems.append(f"worker: {workers.reason}")
    if not database.initialized:
        problems.append(f"database: {database.reason}")
    provider = health.provider()
    if provider.status == "errored":
        problems.append(f"provider: {provider.reason}")
    return Report(
        healthy=not problems,
        url=state.url if state else "",
        data=str(settings.DATA_DIR.root),
        processes=processes,
        web=web,
        store=store,
        database={"ready": database.initialized, "reason": database.reason},
        jobs=_jobs() if database.initialized else {},
        lanes_waiting=_lanes_waiting() if database.initialized else 0,
        provider={**provider.details, "status": provider.status, "reason": provider.reason},
        problems=problems,
        deployed=settings.DEPLOYED,
    )


def _port(state: State) -> int:
    return int(state.url.rpartition(":")[2])


def _processes(state: State) -> list[Process]:
    from queueing import pids

    me = state.supervisor.pid
    found = [Process("supervisor", RUNNING, me, 0, pids.memory(me))]
    for member in state.members:
        mark = member.process if member.process and member.process.alive else None
        memory = pids.memory(mark.pid) if mark else 0
        shown = member.state if mark or member.state != RUNNING else "gone"
        pid = mark.pid if mark else None
        found.append(Process(member.name, shown, pid, member.restarts, memory, member.detail))
    return found


def _store() -> dict[str, Any]:
    """The queue store: where and which it is, without its password; `reason` if it is away."""
    from django.conf import settings

    from queueing import broker
    from queueing.errors import QueueStoreAway

    store = settings.STORE
    if store is None:
        return {"mode": "none", "address": "", "version": "", "reason": ""}
    server = store.running() if store.ours else None
    try:
        broker.ping()
        reason = ""
    except QueueStoreAway as away:
        reason = str(away)
    return {
        "mode": settings.STORE_MODE,
        "address": server.address if server else settings.QUEUE_STORE_URL.rpartition("@")[2],
        "version": server.version if server else "",
        "reason": reason,
    }


def _problems(
    state: State | None, processes: list[Process], web: bool, store_reason: str
) -> list[str]:
    from django.conf import settings

    if state is None and not settings.DEPLOYED:
        return ["nothing runs in this data directory: start it with `claudemem up`"]
    problems = [f"store: {store_reason}"] if store_reason else []
    if state and not web:
        problems.append("web: it does not answer yet, or its log says why")
    return problems + [
        f"{process.name}: {process.state}, after {process.restarts} restarts"
        for process in processes
        if process.state != RUNNING
    ]


def _jobs() -> dict[str, int]:
    from django.db.models import Count

    from queueing import states
    from queueing.models import GenerationJob

    rows = GenerationJob.objects.order_by().values_list("state").annotate(count=Count("pk"))
    return dict.fromkeys(states.ALL, 0) | dict(rows)


def _lanes_waiting() -> int:
    from django.db.models import F

    from queueing.models import Lane

    return Lane.objects.filter(head__lte=F("tail")).count()


def _wire(report: Report) -> dict[str, Any]:
    wire = asdict(report)
    wire["lanesWaiting"] = wire.pop("lanes_waiting")
    wire["memory"] = sum(process.memory for process in report.processes)
    return wire


def _text(report: Report) -> str:
    store = report.store
    here = [
        f"data        {report.data}",
        f"web         {report.url or '-'}  {'answers' if report.web else 'does not answer'}",
    ]
    lines = [
        *([] if report.deployed else here),
        f"store       {store['address'] or '-'}  {store['mode']}  {store['version']}".rstrip(),
        f"database    {report.database['reason']}",
        "jobs        " + ("  ".join(f"{name} {n}" for name, n in report.jobs.items()) or "-"),
        f"provider    {report.provider.get('provider', '-')}  {report.provider.get('model', '')}"
        f"  {report.provider['reason']}",
        f"lanes       {report.lanes_waiting} waiting",
    ]
    lines += [
        f"{process.name:<12}{process.state:<9} pid {process.pid or '-':<8} "
        f"{process.memory / 1e6:.0f} MB  {process.restarts} restarts  {process.detail}".rstrip()
        for process in report.processes
    ]
    return "\n".join([*lines, *(f"problem     {problem}" for problem in report.problems)])
