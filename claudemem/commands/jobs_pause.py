"""`claudemem jobs pause`, `resume` and `drain`: have nothing begin for a while."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django
from claudemem.commands.scoping import allow, always_json

if TYPE_CHECKING:
    from queueing.draining import Left
    from queueing.pauses import Subject

_LOOK_SECONDS = 0.25
_TELL_SECONDS = 5.0
_NAMED = ("a team's id or name", "team:{}")


@click.command(short_help="Let nothing of a team, a queue or the provider begin.")
@always_json
@click.argument("subject", metavar="SUBJECT")
@click.option("--reason", help="Told to whoever asks why.")
def pause(subject: str, reason: str | None) -> None:
    """Pause SUBJECT: team:ID|NAME, queue:NAME or provider.

    Nothing of it begins until it is resumed; what is in hand is finished. Events are accepted as
    ever, and no job loses an attempt.
    """
    meant = _subject(subject)
    from queueing import pauses

    pauses.hold(meant, reason or "", by=BY_OPERATOR)
    _show({"action": "pause", "subject": str(meant), "reason": reason or ""})


@click.command(short_help="Let what was paused go on at once.")
@always_json
@click.argument("subject", metavar="SUBJECT")
def resume(subject: str) -> None:
    """Resume SUBJECT: team:ID|NAME, queue:NAME or provider. What waits goes on at once."""
    meant = _subject(subject)
    from observations import tenants
    from queueing import pauses

    if not pauses.resume(meant, by=BY_OPERATOR):
        called = tenants.names([meant])[meant]
        raise click.ClickException(f"no operator paused {called}{_instead(meant)}")
    _show({"action": "resume", "subject": str(meant)})


@click.command(short_help="Pause, and wait until nothing is in hand.")
@always_json
@click.option("--team", metavar="ID|NAME", help="Only this team's work. [default: all work]")
@click.option(
    "--until-empty", is_flag=True, help="Before that, wait until all that waits is worked."
)
@click.option(
    "--timeout", type=click.FloatRange(0), default=300.0, show_default=True, help="In seconds."
)
@click.option("--reason", default="drained", show_default=True, help="Told to whoever asks why.")
def drain(team: str | None, until_empty: bool, timeout: float, reason: str) -> None:
    """Pause a team or the provider, and wait until no worker has any of it in hand.

    For maintenance: afterwards workers can be stopped and nothing is cut off. It stays paused until
    it is resumed. Who has what meanwhile is told every few seconds. Exits with 1 if that takes
    longer than --timeout; what was paused by then stays paused.
    """
    meant = _subject(f"team:{team}" if team else "provider", "--team", "--team {}")
    from queueing import pauses

    began = time.monotonic()
    until = began + timeout
    if until_empty:
        _await(meant, lambda left: not left.in_hand and not left.may_run, until)
    pauses.hold(meant, reason, by=BY_OPERATOR)
    click.echo(f"paused {meant}: go on with `claudemem jobs resume {meant}`", err=True)
    left = _await(meant, lambda left: not left.in_hand, until)
    seconds = round(time.monotonic() - began, 1)
    told = {"action": "drain", "outcome": "drained", "subject": str(meant), "seconds": seconds}
    _show({**told, "waiting": left.waiting})


def _subject(text: str, *named: str) -> "Subject":
    """What is meant. Whoever names a team has named the scope; all else concerns all teams."""
    load_django(existing=True)
    # Celery's app must exist before anything publishes.
    from claudemem import celery  # noqa: F401
    from observations import tenants

    meant = tenants.subject(text)
    if meant.kind != "team":
        allow(f"{meant} is shared by all teams", *(named or _NAMED))
    return meant


def _instead(meant: "Subject") -> str:
    from queueing import pauses

    if meant == pauses.PROVIDER and (paused := pauses.current()):
        return (
            f": the pause is its own ({paused.reason}), and one job tries again in "
            f"{paused.left:.0f} s"
        )
    names = [str(hold.subject) for hold in pauses.held() if hold.subject.kind != "quota"]
    return f": {', '.join(names)} can be resumed" if names else ": nothing is paused"


def _await(meant: "Subject", done: "Callable[[Left], bool]", until: float) -> "Left":
    """What is left once it is `done`, seen twice in a row: a claim may have been on its way."""
    from queueing import draining

    tell_at, seen = time.monotonic() + _TELL_SECONDS, 0
    while True:
        left = draining.left(meant)
        seen = seen + 1 if done(left) else 0
        if seen == 2:
            return left
        if time.monotonic() >= until:
            raise click.ClickException(f"not drained in time: {left.told}{_as_it_is(meant)}")
        if time.monotonic() >= tell_at:
            click.echo(left.told, err=True)
            tell_at += _TELL_SECONDS
        time.sleep(_LOOK_SECONDS)


def _as_it_is(meant: "Subject") -> str:
    from queueing import pauses

    if meant in [hold.subject for hold in pauses.held()]:
        return f"; {meant} stays paused, go on with `claudemem jobs resume {meant}`"
    return f"; {meant} was not paused"


def _show(data: dict[str, Any]) -> None:
    click.echo(json.dumps(data, indent=2))
