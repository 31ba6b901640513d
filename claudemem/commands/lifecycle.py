"""`start`, `stop`, `restart`: everything in the background."""

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from claudemem.commands import own_directory
from claudemem.serverfiles import RUNTIME

if TYPE_CHECKING:
    from claudemem.daemon import Options
    from claudemem.datadir import DataDir
    from claudemem.members import StartFailed

_port = click.option("--port", type=click.IntRange(1, 65535), help="Where the web listens.")


@click.command(short_help="Run everything in the background.")
@_port
@click.option("--flower", is_flag=True, help="Run Flower as well.")
@click.option("--daemon", "-d", is_flag=True, help="Changes nothing: it always does.")
def start(port: int | None, flower: bool, daemon: bool) -> None:  # noqa: ARG001 - as before
    """Run everything in the background; returns once the web answers.

    What runs already is left as it is. On the first run an admin user and an API key are made and
    shown once.
    """
    from claudemem.daemon import Options

    _start(Options(port, flower))


@click.command()
def stop() -> None:
    """Stop everything that runs in the data directory."""
    from claudemem import daemon

    stopped = daemon.stop(own_directory())
    click.echo("Server stopped" if stopped else "Server is not running")


@click.command(short_help="Stop everything and start it again.")
@_port
@click.option("--flower/--no-flower", default=None, help="Run Flower as well, or no more.")
@click.option("--rolling", is_flag=True, help="Replace one process at a time; refuse no hook.")
def restart(port: int | None, flower: bool | None, rolling: bool) -> None:
    """Stop everything and start it again in the background, as it ran.

    What could not be started again is not stopped.
    """
    from claudemem import daemon
    from claudemem.members import StartFailed

    data = own_directory()
    if rolling:
        _roll(data, changed=port is not None or flower is not None)
        return
    options = daemon.options_of(data)
    options = replace(options, port=port, flower=options.flower if flower is None else flower)
    try:
        daemon.check(data, options)
    except StartFailed as failed:
        raise _ended(failed) from failed
    daemon.stop(data)
    _start(options)


def _roll(data: "DataDir", *, changed: bool) -> None:
    from claudemem import daemon
    from claudemem.members import StartFailed

    if changed:
        raise click.UsageError("--rolling changes no processes or ports: leave the others out.")
    try:
        daemon.roll(data)
    except StartFailed as failed:
        raise _ended(failed) from failed
    click.echo("Server replaced")


def _start(options: "Options") -> None:
    from claudemem import daemon
    from claudemem.members import StartFailed

    try:
        running = daemon.start(own_directory(), options)
    except StartFailed as failed:
        raise _ended(failed) from failed
    told = "runs already" if running.found else "runs"
    click.echo(
        f"claudemem {told} at {running.url} (process {running.process.pid})\n"
        "`claudemem stop` stops it",
        err=True,
    )
    if not sys.stdout.isatty():
        wire = {"status": "ready", "runtime": RUNTIME, "pid": running.process.pid}
        click.echo(json.dumps({**wire, "port": running.port}))


def _ended(failed: "StartFailed") -> BaseException:
    """How a command ends that failed: with its message, or quietly where it was said before."""
    return click.ClickException(str(failed)) if str(failed) else SystemExit(1)
