"""`claudemem drill`: see with faults, made on purpose, that delivery keeps its promise here."""

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import FAILED, load_django, own_directory
from claudemem.commands.replay import local_url
from claudemem.drill.errors import CannotRun

if TYPE_CHECKING:
    from claudemem.drill.steps import Outcome

STEPS = ("worker", "store", "messages", "queue", "hooks", "key")
BROKEN, NOT_RUN = 1, 2
_CONSENT = (
    "This stops the queue store for everybody, and starts it again: for some seconds no job is "
    "begun, and captures wait in the database. Nothing is lost by that. Go on?"
)
_HEADER = ("accepted", "lost", "repeated", "out of order", "settled in")


class _NotRun(click.ClickException):
    """Why the drill could not be held."""

    exit_code = NOT_RUN


@click.command(short_help="Make faults on purpose, and see that nothing is lost.")
@click.option("--url", envvar="CLAUDE_MEM_SERVER_URL", help="The server; the local one if absent.")
@click.option(
    "--step", "chosen", type=click.Choice(STEPS), multiple=True, help="Only this step; repeatable."
)
@click.option("--gentle", is_flag=True, help="Do not stop the queue store, only the way to it.")
@click.option("--yes", is_flag=True, help="Do not ask before the queue store is stopped.")
@click.option("--clean", is_flag=True, help="Only remove what a drill that was killed has left.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def drill(
    url: str | None, chosen: tuple[str, ...], gentle: bool, yes: bool, clean: bool, as_json: bool
) -> None:
    """Make faults on purpose, on a scratch team of this installation, and count what they did.

    A worker is killed while the provider is asked, the queue store is stopped, messages are
    deleted, the queue is filled, hooks are delivered twice, and a key is rotated while jobs wait
    under it. Workers of the drill's own do the scratch team's work, offline; nothing of it is left.

    Exits with 0 if nothing was lost, repeated or out of order, 1 if something was, and 2 if the
    drill could not be held.
    """
    click.get_current_context().meta[FAILED] = NOT_RUN
    try:
        own_directory()
        load_django(existing=True)
        from claudemem.drill import conduct

        if clean:
            click.echo(f"{conduct.clean(_say)} scratch teams were removed")
            return
        steps = [step for step in STEPS if step in chosen or not chosen]
        if "store" in steps and not (gentle or yes):
            _ask_leave()
        began = time.monotonic()
        outcomes = conduct.conduct(
            url or local_url(), steps, _quiet if as_json else _Table().tell, _say, gentle=gentle
        )
    except (CannotRun, click.ClickException) as error:
        raise _NotRun(str(error)) from error
    except (KeyboardInterrupt, click.Abort):
        raise _NotRun("the drill was interrupted, and cleaned up") from None
    _conclude(outcomes, time.monotonic() - began, as_json)


def _ask_leave() -> None:
    """Ask whoever is there whether the store may be stopped, where it would be."""
    from claudemem.drill import cuts

    if not cuts.stoppable():
        return
    if not sys.stdin.isatty():
        raise _NotRun(
            "the drill would stop the queue store for some seconds: say --yes to let it, or "
            "--gentle to cut only the drill's own workers off"
        )
    if not click.confirm(_CONSENT, err=True):
        raise _NotRun("nothing was done: say --gentle to leave the queue store alone")


def _say(line: str) -> None:
    click.echo(line, err=True)


def _quiet(outcome: "Outcome") -> None:
    """Programs are told all at once."""


class _Table:
    """Shows outcomes as rows, as they come."""

    def __init__(self) -> None:
        self._begun = False

    def tell(self, outcome: "Outcome") -> None:
        """Show one, and what was found."""
        if not self._begun:
            click.echo(_row("", _HEADER))
            self._begun = True
        counts = outcome.counts
        took = "never" if outcome.seconds is None else f"{outcome.seconds:.1f} s"
        cells = (outcome.accepted, len(counts.lost), len(counts.repeated), len(counts.out_of_order))
        told = ("–",) * len(_HEADER) if outcome.result == "skipped" else (*map(str, cells), took)
        click.echo(_row(outcome.step, told, outcome.result))
        for line in (outcome.said, *counts.lost, *counts.repeated, *counts.out_of_order):
            click.echo(f"  {line}")


def _row(step: str, cells: Sequence[str], result: str = "") -> str:
    aligned = (f"{cell:>{len(title)}}" for cell, title in zip(cells, _HEADER, strict=True))
    return f"{step:16}  {'  '.join(aligned)}  {result}".rstrip()


def _conclude(outcomes: "list[Outcome]", seconds: float, as_json: bool) -> None:
    results = {outcome.result for outcome in outcomes}
    broken, held = "broken" in results, results != {"skipped"}
    if as_json:
        steps = [_described(outcome) for outcome in outcomes]
        kept = not broken if held else None
        report = {"kept": kept, "seconds": round(seconds, 1), "steps": steps}
        click.echo(json.dumps(report, indent=2))
    elif held:
        verdict = "BROKEN: see above" if broken else "kept: nothing lost, repeated or out of order"
        click.echo(f"\n{verdict} ({seconds:.0f} s)")
    if not held:
        raise _NotRun("no fault was made, so nothing is known: each step was skipped")
    if broken:
        raise SystemExit(BROKEN)


def _described(outcome: "Outcome") -> dict[str, Any]:
    from claudemem.drill.steps import STEPS as TAKEN

    names = {title: name for name, (title, _) in TAKEN.items()}
    counts = outcome.counts
    return {
        "step": names[outcome.step],
        "result": outcome.result,
        "said": outcome.said,
        "accepted": outcome.accepted,
        "lost": len(counts.lost),
        "repeated": len(counts.repeated),
        "outOfOrder": len(counts.out_of_order),
        "settledSeconds": None if outcome.seconds is None else round(outcome.seconds, 2),
        "faults": [*counts.lost, *counts.repeated, *counts.out_of_order],
    }
