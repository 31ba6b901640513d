"""`up.json`: what runs in a data directory, for `claudemem status` and for a second `up`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from claudemem.members import StartFailed, Status
from queueing import locks
from queueing.pids import Mark

NAME = "up.json"


class Taken(StartFailed):
    """Somebody else holds the data directory."""


@dataclass(frozen=True, slots=True)
class Rolled:
    """How many rolling restarts there were, and why the last one failed, if it did."""

    times: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What a supervisor wrote about itself. Marks say whether it is still true.

    `stopping`: it was told to end, and is about to. `patience`: how long (s) that may take. `fixed`
    are the settings that a rolling restart cannot change.
    """

    supervisor: Mark
    url: str
    members: tuple[Status, ...]
    stopping: bool = False
    patience: float = 60.0
    fixed: Mapping[str, str] = field(default_factory=dict)
    rolled: Rolled = Rolled()


def write(root: Path, state: State) -> None:
    """Write it; a reader sees all of it or what was there before."""
    new = root / f"{NAME}.new"
    new.write_text(json.dumps(_encoded(state), indent=1) + "\n")
    new.replace(root / NAME)


def read(root: Path) -> State | None:
    """What was written last, or None."""
    try:
        return _decoded(json.loads((root / NAME).read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove(root: Path) -> None:
    """Nothing runs here any more."""
    (root / NAME).unlink(missing_ok=True)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the data directory for as long as this block lasts; the lock dies with its holder.

    Raises Taken if somebody holds it already.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locks.hold(root / "up.lock", wait=False))
        except BlockingIOError:
            raise Taken(_taken(root)) from None
        yield


def _taken(root: Path) -> str:
    state = read(root)
    if state is None or not state.supervisor.alive:
        return (
            f"{root} is in use by another claudemem, which moves its data, removes it, or is just "
            "starting: run this again when that has ended"
        )
    return (
        f"claudemem already runs in {root} at {state.url} (process {state.supervisor.pid}): stop "
        "it with `claudemem stop`, or name another directory with --data-dir"
    )


def _encoded(state: State) -> dict[str, Any]:
    return {
        "supervisor": _mark(state.supervisor),
        "url": state.url,
        "stopping": state.stopping,
        "patience": state.patience,
        "fixed": dict(state.fixed),
        "rolled": asdict(state.rolled),
        "processes": [_member(member) for member in state.members],
    }


def _member(member: Status) -> dict[str, Any]:
    return {
        "name": member.name,
        "state": member.state,
        "restarts": member.restarts,
        "detail": member.detail,
        "process": _mark(member.process) if member.process else None,
    }


def _mark(mark: Mark) -> dict[str, Any]:
    return {"pid": mark.pid, "token": mark.token}


def _decoded(data: dict[str, Any]) -> State:
    return State(
        Mark(**data["supervisor"]),
        data["url"],
        tuple(
            Status(
                **{**member, "process": Mark(**member["process"]) if member["process"] else None}
            )
            for member in data["processes"]
        ),
        data["stopping"],
        data["patience"],
        data["fixed"],
        Rolled(**data["rolled"]),
    )
