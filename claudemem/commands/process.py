"""`up`, and the processes that it runs: `web`, `worker start`, `beat`, `flower`."""

import os
import signal
import time
from socket import gethostname
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from claudemem.members import Program
    from claudemem.supervise import Plan
    from queueing.store import Store

# In the order in which a worker that gets one thread would want them; all are served in turn.
QUEUES = "event,summary,event-batch,upkeep"

_LOOK_SECONDS = 1.0

supervised = click.option(
    "--supervised", is_flag=True, hidden=True, help="End when standard input is closed."
)


@click.command(short_help="Run everything in the foreground.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where the web listens.")
@click.option("--flower", "with_flower", is_flag=True, help="Run Flower as well.")
def up(port: int | None, with_flower: bool) -> None:
    """Run everything in the foreground: queue store, database, web, worker and beat.

    Ctrl-C stops it all; a second Ctrl-C does not wait. On the first run an admin user and an API
    key are made and shown once.
    """
    if port is not None:
        os.environ["CLAUDE_MEM_SERVER_PORT"] = str(port)
    # Two arenas instead of eight a core: a third less memory in processes with many threads.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    from claudemem import board, supervise
    from claudemem.members import StartFailed

    try:
        plan = _plan(with_flower)
        shown = board.choose()
        for line in (*_warnings(), _observing()):
            shown.say(line)
        supervise.up(plan, shown)
    except StartFailed as error:
        raise click.ClickException(str(error)) from error


@click.command()
@supervised
def web(supervised: bool) -> None:
    """Serve the API, the hooks and the admin."""
    _begin("web", supervised)
    from claudemem.web import serve

    serve()


@click.group()
def worker() -> None:
    """Turn events into observations."""


@worker.command("start")
@click.option("--queues", default=QUEUES, show_default=True, help="Which queues to serve.")
@click.option("--concurrency", type=click.IntRange(1), help="Threads. [default: 32]")
@supervised
def worker_start(queues: str, concurrency: int | None, supervised: bool) -> None:
    """Work jobs until it is stopped."""
    _known(queues)
    _begin("worker", supervised)
    _await_store()
    # Celery would run Django's checks, which load the whole web: 20 MB.
    os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
    from claudemem.celery import app
    from claudemem.interpreter import favour_writers
    from claudemem.pulse import Pulse

    favour_writers()
    app.steps["consumer"].add(Pulse)
    # Not worker_main: the command line of Celery brings a shell and 20 MB along.
    process = app.Worker(
        # Several workers on a host must not share a name: Flower would see one of them.
        hostname=f"worker-{os.getpid()}@{gethostname()}",
        queues=queues,
        concurrency=concurrency,
        without_gossip=True,
        without_mingle=True,
        loglevel="WARNING",
        quiet=True,
        redirect_stdouts=False,
    )
    process.start()
    raise SystemExit(process.exitcode or 0)


@click.command(short_help="Start what is due by the clock.")
@supervised
def beat(supervised: bool) -> None:
    """Start what is due by the clock: reconcile, closing of idle sessions."""
    _begin("beat", supervised)
    _await_store()
    from celery import Celery

    # It sends names of tasks and runs none, so it needs neither the tasks nor Django.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    app = Celery("claudemem", set_as_current=True, amqp="queueing.transport:AMQP")
    app.config_from_object("claudemem.settings", namespace="CELERY")
    app.Beat(loglevel="WARNING", quiet=True, redirect_stdouts=False).run()


@click.command(short_help="Serve Flower: workers, tasks, queues.")
@supervised
def flower(supervised: bool) -> None:
    """Serve Flower, which shows Celery's workers, tasks and queues, behind a password.

    On loopback a password is made and shown once where CLAUDE_MEM_FLOWER_PASSWORD names none.
    """
    from claudemem.flower import door

    opened = door()
    _begin("flower", supervised)
    _await_store()
    if not supervised:  # whatever a supervised one prints goes into a log
        from claudemem.commands.first_run import show_new_password

        show_new_password()
    from claudemem.flower_server import serve

    serve(opened)


def _roles(settings: Any) -> list[tuple[str, tuple[str, ...]]]:
    worker = () if settings.GENERATION_DISABLED else (("worker", ("worker", "start")),)
    return [("web", ("web",)), *worker, ("beat", ("beat",))]


def _observing() -> str:
    from claudemem import settings

    if settings.PROVIDER == "offline":
        return "observations are made offline, by rules"
    return f"observations are made by the provider {settings.PROVIDER}"


def _flower() -> "Program":
    from claudemem import settings
    from claudemem.flower import door
    from claudemem.supervise import own

    opened = door()
    # The web leads from a job to its tasks.
    os.environ["CLAUDE_MEM_FLOWER_URL"] = settings.FLOWER_URL or opened.url
    place = (opened.host, opened.port)
    return own("flower", "flower", "--supervised", detail=opened.url, listens=place)


def _plan(with_flower: bool) -> "Plan":
    from claudemem import settings
    from claudemem.supervise import Plan, own

    return Plan(
        data=settings.DATA_DIR,
        host=settings.HOST,
        port=settings.PORT,
        prepare=own("prepare", "first-run", *(["--flower"] if with_flower else [])),
        children=(
            *(own(name, *how, "--supervised") for name, how in _roles(settings)),
            *([_flower()] if with_flower else []),
        ),
        store=settings.STORE,
    )


def _known(queues: str) -> None:
    from claudemem import settings

    for name in queues.split(","):
        if name not in settings.CELERY_TASK_QUEUES:
            there = ", ".join(settings.CELERY_TASK_QUEUES)
            raise click.UsageError(f"There is no queue {name!r}; there is: {there}.")


def _begin(role: str, supervised: bool) -> None:
    """What every role does first."""
    from claudemem import alive, leash, settings

    # The first process of a container does not even hear it until it says so.
    signal.signal(signal.SIGTERM, _end)
    if supervised:
        leash.hold(settings.DATA_DIR.logs, role)
    else:
        for line in _warnings():
            click.echo(line, err=True)
    alive.announce(settings.ALIVE_FILE, role)


def _end(number: int, frame: object) -> None:  # noqa: ARG001
    raise SystemExit(0)


def _warnings() -> tuple[str, ...]:
    from claudemem import settings

    return tuple(f"Warning: {each}" for each in settings.UNKNOWN_SETTINGS)


def _await_store() -> None:
    """Wait until the queue store answers; say why and end if it must not be used.

    Ours was looked after by whoever started it.
    """
    from claudemem import settings

    store = settings.STORE
    if store is None:
        return
    if not store.url:
        raise click.ClickException(
            f"there is no queue store in {settings.DATA_DIR.root}: run `claudemem up`, or name a "
            "server of yours in CLAUDE_MEM_REDIS_URL"
        )
    if not store.ours:
        _await_theirs(store)
    elif not store.running():
        click.echo(
            f"Warning: the queue store in {settings.DATA_DIR.root} does not run: start it with "
            "`claudemem up`; it is tried until it answers",
            err=True,
        )


def _await_theirs(store: "Store") -> None:
    from queueing.errors import QueueStoreAway

    said = ""
    while True:
        try:
            for warning in store.start().warnings:
                click.echo(f"Warning: {warning}", err=True)
            return
        except QueueStoreAway as away:
            if str(away) != said:
                click.echo(f"Warning: {away}; it is tried until it can be used", err=True)
            said = str(away)
            time.sleep(_LOOK_SECONDS)
