"""`claudemem jobs status`: what the database counts, beside what the queue store holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands.plain import plain
from claudemem.commands.scoping import concerning, jobs_of, scoped, told

if TYPE_CHECKING:
    from observations.tenants import Tenant
    from queueing.depths import Counts

_NAME = 12
_NUMBERS = (("queued", 8), ("delayed", 9), ("processing", 12), ("stalled", 9), ("failed", 8),
            ("cancelled", 11), ("completed", 11))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Depth:
    """A queue's lanes that may run now and that are paused, and the messages that wait in it.

    These are of all teams: a message tells nobody whose it is before a worker takes it.
    `messages` is None where there are none, or the queue store cannot be asked.
    """

    heads: int
    paused: int
    messages: int | None

    @property
    def divergence(self) -> str:
        """How messages and lanes differ, and what follows; "" where they agree."""
        if self.messages is None or self.messages == self.heads:
            return ""
        if self.messages < self.heads:
            missing = self.heads - self.messages
            return (
                f"{missing} of {self.heads} lanes that may run have no message: the next "
                "reconcile sends it; if this lasts, `claudemem status` tells what does not run"
            )
        return (
            f"{self.messages - self.heads} messages more than lanes that may run: whoever takes "
            "one of those finds nothing to do, and nothing is done twice"
        )


@click.command(short_help="Count jobs, and compare with the queue store.")
@scoped
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(tenant: "Tenant", as_json: bool) -> None:
    """Count jobs by queue and state, and name where the queue store differs from the database."""
    report = gather(tenant)
    click.echo(json.dumps(report, indent=2) if as_json else _text(report))


def gather(tenant: "Tenant") -> dict[str, Any]:
    """The report. `postgres` and `bullmq` are what older clients look for, whatever is in use."""
    from django.conf import settings

    from claudemem import standing
    from queueing import kinds, states

    counted = _counted(tenant)
    depths, away = _depths()
    return {
        "scope": told(tenant),
        "engine": settings.QUEUE_ENGINE,
        "postgres": {
            state: sum(counted[name, state] for name in kinds.BY_NAME) for state in states.ALL
        },
        "bullmq": {"unavailable": True} if away else _broker(counted, depths),
        "divergence": {"reason": away[0], "message": away[1]} if away else _divergence(depths),
        "queues": {
            name: {**_of_kind(counted, name), **asdict(depths[name])} for name in kinds.BY_NAME
        },
        "pauses": [asdict(hold) for hold in standing.held(concerning(tenant))],
    }


def _counted(tenant: "Tenant") -> "Counts":
    from queueing import depths

    return depths.counts() if not tenant.columns else depths.counts_of(jobs_of(tenant))


def _depths() -> "tuple[dict[str, Depth], tuple[str, str] | None]":
    """Each queue, and why the queue store is not told of, where it is not."""
    from django.conf import settings

    from claudemem import storechoice
    from queueing import broker, depths, kinds
    from queueing.errors import QueueStoreAway

    away, messages = None, {}
    if settings.QUEUE_ENGINE == storechoice.DATABASE:
        away = ("database_engine", "the database engine has no messages: workers look for jobs")
    else:
        try:
            messages = broker.depths()
        except QueueStoreAway as error:
            away = ("bullmq_unavailable", str(error))
    heads = {each.kind: each for each in depths.heads()}
    found = {}
    for name in kinds.BY_NAME:
        its = heads.get(name)
        found[name] = Depth(its.due if its else 0, its.paused if its else 0, messages.get(name))
    return found, away


def _broker(counted: "Counts", depths: Mapping[str, Depth]) -> dict[str, Any]:
    return {
        name: {
            "waiting": depth.messages,
            "active": counted[name, "processing"] - counted[name, "stalled"],
            "completed": counted[name, "completed"],
            "failed": counted[name, "failed"],
            "delayed": counted[name, "delayed"],
            "stalled": counted[name, "stalled"],
        }
        for name, depth in depths.items()
    }


def _divergence(depths: Mapping[str, Depth]) -> dict[str, Any]:
    differing = {name: each for name, each in depths.items() if each.divergence}
    if not differing:
        return {}
    return {
        "queuedMismatch": {
            "postgres": sum(each.heads for each in depths.values()),
            "bullmq": sum(each.messages or 0 for each in depths.values()),
        },
        "queues": {
            name: {"heads": each.heads, "messages": each.messages, "message": each.divergence}
            for name, each in differing.items()
        },
    }


def _of_kind(counted: "Counts", name: str) -> dict[str, int]:
    return {state: counted[name, state] for state, _ in _NUMBERS}


def _text(report: dict[str, Any]) -> str:
    queues = report["queues"].items()
    lines = [f"{'queue':<{_NAME}}" + "".join(f"{name:>{width}}" for name, width in _NUMBERS)]
    lines += [_rows(name, queue) for name, queue in queues]
    lines += ["", f"{'of all teams':<{_NAME}}{'may run':>9}{'paused':>8}{'messages':>10}"]
    lines += [_lanes(name, queue) for name, queue in queues]
    divergence = report["divergence"]
    for name, each in divergence.get("queues", {}).items():
        lines.append(f"divergence   {name}: {each['message']}")
    if "reason" in divergence:
        lines.append(f"divergence   not told: {divergence['message']}")
    elif not divergence:
        lines.append("divergence   none: a message for each lane that may run")
    return "\n".join([*lines, *(_paused(hold) for hold in report["pauses"])])


def _rows(name: str, queue: Mapping[str, Any]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{queue[state]:>{width}}" for state, width in _NUMBERS)


def _lanes(name: str, queue: Mapping[str, Any]) -> str:
    messages = "-" if queue["messages"] is None else queue["messages"]
    return f"{name:<{_NAME}}{queue['heads']:>9}{queue['paused']:>8}{messages:>10}"


def _paused(hold: Mapping[str, str]) -> str:
    why = f": {plain(hold['reason'])}" if hold["reason"] else ""
    return f"paused       {plain(hold['name'])}, since {hold['since']} by {hold['by']}{why}"
