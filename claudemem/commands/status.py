"""`claudemem status`: how everything in a data directory is, for people and for programs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import load_django
from claudemem.commands.plain import plain

if TYPE_CHECKING:
    from claudemem.standing import Held, Process, Queue, QueueStore, Report, Server
    from claudemem.verdicts import Check

_NAME = 12
_PARTS = {"lag": "lag", "lastSuccess": "last success", "beat": "beat", "workers": "workers"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Tell how everything is. Exits with 0 if all is well, else with 1."""
    load_django(existing=True)
    # Celery's app must exist before the queue store is asked.
    from claudemem import celery  # noqa: F401
    from claudemem.standing import gather

    report = gather()
    click.echo(json.dumps(wire(report), indent=2) if as_json else text(report))
    raise SystemExit(0 if report.healthy else 1)


def wire(report: "Report") -> dict[str, Any]:
    """The report for programs."""
    from claudemem import monitor

    told = asdict(report)
    told["lanesWaiting"] = told.pop("lanes_waiting")
    told["memory"] = sum(process.memory for process in report.processes)
    told["checks"] = monitor.told(report.checks)
    return told


def text(report: "Report") -> str:
    """The report for people, on lines of 80 columns where nothing in it is longer."""
    blocks = [
        [] if report.deployed else _server(report.server),
        _problems(report.problems),
        paused(report.pauses),
        _about(report),
        [line for check in report.checks if (line := _check(check))]
        + [_line("lanes", f"{report.lanes_waiting} waiting")]
        + ([] if report.pruned is None else [_line("pruned", f"{_ago(report.pruned)} ago")]),
        _queues(report.queues),
        _processes(report.processes),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _line(name: str, value: str) -> str:
    # What belongs to the line above it is told two columns further in.
    return f"{name:<{_NAME + 1}} {plain(value)}".rstrip()


def _server(server: "Server") -> list[str]:
    if not server.running:
        return ["Server is not running"]
    known = {"PID": server.pid, "Port": server.port, "Runtime": server.runtime,
             "Started": server.started}  # fmt: skip
    return ["Server is running", *(f"  {name}: {value}" for name, value in known.items() if value)]


def _problems(problems: list[str]) -> list[str]:
    return [_line("problem", each) for each in problems]


def paused(holds: "list[Held]") -> list[str]:
    """What is paused and how it goes on, a line each."""
    return [
        line
        for hold in holds
        for line in (
            _line("paused", f"{hold.name}, since {hold.since}{_why(hold)}"),
            _line("", f"goes on {_how(hold)}"),
        )
    ]


def _how(hold: "Held") -> str:
    if hold.subject.startswith("quota:"):
        return "by itself, when the team may use more"
    return f"with `claudemem jobs resume {hold.subject}`"


def _why(hold: "Held") -> str:
    return (f" by {hold.by}" if hold.by else "") + (f": {hold.reason}" if hold.reason else "")


def _about(report: "Report") -> list[str]:
    known, provider = report.database, report.provider
    place = [
        _line("data", report.data),
        _line("web", f"{report.url or '-'}  {'answers' if report.web else 'does not answer'}"),
    ]
    chosen = (provider.get("provider", ""), provider.get("model", ""), provider["reason"])
    return [
        *([] if report.deployed else place),
        _line("engine", report.engine),
        *_store(report.store),
        _line("database", f"{known['product']}  {known['reason']}"),
        _line("provider", "  ".join(each for each in chosen if each)),
    ]


def _store(store: "QueueStore") -> list[str]:
    if store.mode == "none":
        return [_line("store", "none: the database engine uses none")]
    which = (store.mode, f"{store.product} {store.version}".strip(), store.address)
    lines = [_line("store", "  ".join(each for each in which if each))]
    for name, value in (("persistence", store.persistence), ("policy", store.policy)):
        lines += [_line(f"  {name}", value)] if value else []
    return lines + [_line("  warning", each) for each in store.warnings]


def _check(check: "Check") -> str:
    if check.name not in _PARTS:
        return ""
    told = f"{check.verdict:<8}{check.reason}"
    if check.measure and check.verdict != "off":
        told += f" ({_ago(check.measure)})"
    return _line(_PARTS[check.name], told)


def _queues(queues: "list[Queue]") -> list[str]:
    if not queues:
        return []
    head = (
        f"{'queue':<{_NAME}}{'waiting':>9}{'working':>9}{'messages':>10}{'failed':>8}"
        f"{'completed':>11}  canary"
    )
    return [head, *(_queue(queue) for queue in queues)]


def _queue(queue: "Queue") -> str:
    jobs = queue.completed is not None
    cells = (
        (queue.queued if jobs else None, 9),
        (queue.processing if jobs else None, 9),
        (queue.messages, 10),
        (queue.failed, 8),
        (queue.completed, 11),
    )
    numbers = "".join(f"{'-' if value is None else value:>{width}}" for value, width in cells)
    seen = "never" if queue.seen is None else f"{_ago(queue.seen)} ago"
    return f"{queue.name:<{_NAME}}{numbers}  {queue.verdict}, {seen}"


def _processes(processes: "list[Process]") -> list[str]:
    if not processes:
        return []
    head = f"{'process':<{_NAME}}{'state':<10}{'pid':>8}{'memory':>9}{'restarts':>10}"
    return [head, *(_process(process) for process in processes)]


def _process(process: "Process") -> str:
    memory = f"{process.memory / 1e6:.0f} MB" if process.pid else "-"
    line = (
        f"{process.name:<{_NAME}}{process.state:<10}{process.pid or '-':>8}{memory:>9}"
        f"{process.restarts:>10}  {process.detail}"
    )
    return line.rstrip()


def _ago(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
