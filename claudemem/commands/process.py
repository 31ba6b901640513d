"""`up`, and the processes that it runs: `web`, `worker start`, `beat`, `flower`."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from claudemem import storechoice
from claudemem.commands import own_directory

if TYPE_CHECKING:
    from claudemem.members import Program
    from claudemem.supervise import Plan
    from queueing.store import Store

# In the order in which a worker that gets one thread would want them; all are served in turn.
QUEUES = "event,summary,event-batch,upkeep"

_LOOK_SECONDS = 1.0
# So long beat waits for a store that has fallen silent. What it did not send it sends soon again.
_BEAT_SECONDS = 2.0
_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")
_NO_FLOWER = ("Flower has nothing to show", "the admin shows its jobs and lanes")

supervised = click.option(
    "--supervised", is_flag=True, hidden=True, help="End when standard input is closed."
)


@click.command(short_help="Run everything in the foreground.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where the web listens.")
@click.option("--flower", "with_flower", is_flag=True, help="Run Flower as well.")
@click.option("--detached", is_flag=True, hidden=True, help="Say nothing after the first run.")
@click.option("--check", is_flag=True, hidden=True, help="Only see whether it may be started.")
@click.option("--rolling", is_flag=True, hidden=True, help="Whether it may be replaced piecemeal.")
def up(port: int | None, with_flower: bool, detached: bool, check: bool, rolling: bool) -> None:
    """Run everything in the foreground: queue store, database, web, worker and beat.

    With the database engine there is no queue store and no beat.

    Ctrl-C stops it all; a second Ctrl-C does not wait. On the first run an admin user and an API
    key are made and shown once.
    """
    own_directory()
    if port is not None:
        os.environ["CLAUDE_MEM_SERVER_PORT"] = str(port)
    # Two arenas instead of eight a core: a third less memory in processes with many threads.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    from claudemem import board, statefile, stores, supervise
    from claudemem.members import StartFailed

    try:
        plan = _plan(with_flower, detached)
        if cramped := plan.data.cramped():
            raise click.ClickException(cramped)
        if rolling:
            _check_likeness(plan)
            _check_generation()
        if check:
            stores.warnings(plan.store)
            return
        shown = board.LogBoard(plan.data.logs) if detached else board.choose()
        for line in (*_warnings(), _observing()):
            shown.say(line)
        supervise.up(plan, shown)
    except statefile.Taken as error:
        if detached:
            raise SystemExit(supervise.TAKEN) from error  # who starts us knows what to do
        raise click.ClickException(str(error)) from error
    except StartFailed as error:
        raise click.ClickException(str(error)) from error


def _check_likeness(plan: "Plan") -> None:
    """Raise ClickException where what runs cannot become the plan without a stop of all of it."""
    from claudemem import statefile

    state = statefile.read(plan.data.root)
    running = state.fixed if state else {}
    if changed := sorted(name for name, value in plan.fixed.items() if running.get(name) != value):
        raise click.ClickException(
            f"{', '.join(changed)}: a rolling restart cannot change that; run `claudemem restart`"
        )


def _check_generation() -> None:
    """Raise ClickException where a worker would start with these settings, and could do no job."""
    from claudemem import settings
    from observations import modes
    from observations.providers import Options, UnknownProvider, provider_named

    if settings.GENERATION_DISABLED:
        return
    try:
        provider_named(settings.PROVIDER, Options(**settings.PROVIDER_OPTIONS))
        modes.load(settings.MODE, [*settings.MODE_DIRECTORIES, modes.PACKAGED])
    except (UnknownProvider, modes.ModeError) as error:
        raise click.ClickException(
            f"no job could be worked with these settings, so nothing is replaced: {error}"
        ) from error


@click.command()
@click.option("--listener", type=int, hidden=True, help="The number of a socket that listens.")
@supervised
def web(supervised: bool, listener: int | None) -> None:
    """Serve the API, the hooks and the admin."""
    _begin("web", supervised)
    if listener is None:
        _need_place()
    from claudemem.web import serve

    with _announced() if not supervised else nullcontext():
        serve(listener, _ready(supervised))
    # Not as Python ends: it would end threads in the middle of granian's Rust, which aborts then.
    os._exit(0)


def _need_place() -> None:
    """Raise ClickException where the web cannot listen."""
    from claudemem import listening, settings

    if refused := listening.refusal(
        settings.HOST,
        settings.PORT,
        host_by="CLAUDE_MEM_SERVER_HOST",
        port_by="in CLAUDE_MEM_SERVER_PORT",
    ):
        raise click.ClickException(refused)


def _announced() -> AbstractContextManager[None]:
    from claudemem import serverfiles, settings

    # A container's life is its orchestrator's to know, and it may have no place to write.
    if settings.DEPLOYED:
        return nullcontext()
    return serverfiles.announced(settings.DATA_DIR.root, settings.HOST, settings.PORT)


@click.group()
def worker() -> None:
    """Turn events into observations."""


@worker.command("start")
@click.option("--queues", default=QUEUES, show_default=True, help="Which queues to serve.")
@click.option("--concurrency", type=click.IntRange(1), help="Threads. [default: 32]")
@supervised
def worker_start(queues: str, concurrency: int | None, supervised: bool) -> None:
    """Work jobs until it is stopped."""
    signal.signal(signal.SIGINT, _end)
    _known(queues)
    _begin("worker", supervised)
    _await_store()
    if not supervised:
        _introduce(queues)
    from claudemem.workers import serve

    raise SystemExit(serve(queues.split(","), concurrency, _ready(supervised)))


@click.command(short_help="Start what is due by the clock.")
@supervised
def beat(supervised: bool) -> None:
    """Start what is due by the clock: reconcile, closing of idle sessions.

    With the database engine workers do that themselves, and there is no beat.
    """
    _need_celery("beat starts nothing", "its workers do by themselves what is due by the clock")
    _begin("beat", supervised)
    _await_store()
    from celery import Celery
    from celery.signals import beat_init

    beat_init.connect(lambda **_: _ready(supervised)(), weak=False)
    # It sends names of tasks and runs none, so it needs neither the tasks nor Django.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    app = Celery("claudemem", set_as_current=True, amqp="queueing.transport:AMQP")
    app.config_from_object("claudemem.settings", namespace="CELERY")
    # It waits for no message, as workers do: only for a word that what it sent has come.
    app.conf.broker_transport_options |= dict.fromkeys(_TIMEOUTS, _BEAT_SECONDS)
    app.Beat(loglevel="WARNING", quiet=True, redirect_stdouts=False).run()


@click.command(short_help="Serve Flower: workers, tasks, queues.")
@supervised
def flower(supervised: bool) -> None:
    """Serve Flower, which shows Celery's workers, tasks and queues, behind a password.

    On loopback a password is made and shown once where CLAUDE_MEM_FLOWER_PASSWORD names none.
    """
    from claudemem.flower import door

    _need_celery(*_NO_FLOWER)
    opened = door()
    _begin("flower", supervised)
    _await_store()
    if not supervised:  # whatever a supervised one prints goes into a log
        from claudemem.commands.first_run import show_new_password

        show_new_password()
    from claudemem.flower_server import serve

    serve(opened)


def _roles(settings: Any) -> list[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """The processes of a server: their names, commands, and what else is to be known of them."""
    grace = settings.GRACE_SECONDS
    place = (settings.HOST, settings.PORT)
    web = ("web", ("web",), {"serves": place, "grace": settings.DRAIN_SECONDS + grace})
    worker = ("worker", ("worker", "start"), {"grace": grace})
    beat: tuple[str, tuple[str, ...], dict[str, Any]] = ("beat", ("beat",), {})
    return [
        web,
        *(() if settings.GENERATION_DISABLED else (worker,)),
        *(() if settings.QUEUE_ENGINE == storechoice.DATABASE else (beat,)),
    ]


def _need_celery(what: str, why: str) -> None:
    """Raise ClickException where the engine is another, for one of Celery's own processes."""
    from claudemem import settings

    if settings.QUEUE_ENGINE == storechoice.DATABASE:
        raise click.ClickException(
            f"{what} where CLAUDE_MEM_QUEUE_ENGINE is database: {why}; do without, or choose "
            "celery (docs/how-to/choose-a-queue.md)"
        )


def _observing() -> str:
    from claudemem import settings

    if settings.PROVIDER == "offline":
        return "observations are made offline, by rules"
    return f"observations are made by the provider {settings.PROVIDER}"


def _flower() -> "Program":
    from claudemem import settings
    from claudemem.flower import door
    from claudemem.supervise import own

    _need_celery(*_NO_FLOWER)
    opened = door()
    # The web leads from a job to its tasks.
    os.environ["CLAUDE_MEM_FLOWER_URL"] = settings.FLOWER_URL or opened.url
    place = (opened.host, opened.port)
    return own("flower", "flower", "--supervised", detail=opened.url, listens=place)


def _plan(with_flower: bool, detached: bool) -> "Plan":
    from claudemem import settings
    from claudemem.supervise import Plan, own

    return Plan(
        data=settings.DATA_DIR,
        host=settings.HOST,
        port=settings.PORT,
        prepare=own("prepare", "first-run", *(["--flower"] if with_flower else [])),
        # Less than `prepare`: the database is in use, and must not be held up.
        renew=own("renew", "migrate"),
        children=(
            *(own(name, *how, "--supervised", **about) for name, how, about in _roles(settings)),
            *([_flower()] if with_flower else []),
        ),
        store=settings.STORE,
        detached=detached,
        keep=settings.KEEP,
        fixed=_fixed(settings),
    )


def _fixed(settings: Any) -> dict[str, str]:
    """What a rolling restart leaves as it is, by the variables that choose it."""
    from claudemem import databases

    return {
        "CLAUDE_MEM_SERVER_HOST": settings.HOST,
        "CLAUDE_MEM_SERVER_PORT": str(settings.PORT),
        "CLAUDE_MEM_SERVER_DATABASE_URL": databases.place(settings.DATABASES["default"]),
        "CLAUDE_MEM_QUEUE_ENGINE": settings.QUEUE_ENGINE,
        "CLAUDE_MEM_REDIS_MODE": settings.STORE_MODE if settings.STORE else "",
        "CLAUDE_MEM_GENERATION_DISABLED": str(settings.GENERATION_DISABLED),
        "CLAUDE_MEM_GRACE_SECONDS": f"{settings.GRACE_SECONDS:g}",
        "CLAUDE_MEM_DRAIN_SECONDS": f"{settings.DRAIN_SECONDS:g}",
    }


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


def _ready(supervised: bool) -> Callable[[], None]:
    """What says that this process does its work now, to the supervisor if there is one."""
    from claudemem import leash

    return leash.ready if supervised else lambda: None


def _end(number: int, frame: object) -> None:  # noqa: ARG001
    raise SystemExit(0)


def _introduce(queues: str) -> None:
    """Say which worker this is and what it works on: its host may be another than the server's."""
    from claudemem import databases, serverfiles, settings

    server = settings.STORE.running() if settings.STORE else None
    known = (
        f"{server.product} {server.version} at {server.address}" if server else "does not answer"
    )
    store = f"queue store: {known}; " if settings.STORE else ""
    place = databases.place(settings.DATABASES["default"])
    click.echo(f"queues: {queues}; {store}database: {place}", err=True)
    wire = {"status": "worker-running", "runtime": serverfiles.RUNTIME, "pid": os.getpid()}
    click.echo(json.dumps(wire))


def _warnings() -> tuple[str, ...]:
    from claudemem import settings

    return tuple(f"Warning: {each}" for each in settings.WARNINGS)


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
            f"there is no queue store in {settings.DATA_DIR.root}: run `claudemem start`, or name "
            "a server of yours in CLAUDE_MEM_REDIS_URL"
        )
    if not store.ours:
        _await_theirs(store)
    elif not store.running():
        click.echo(
            f"Warning: the queue store in {settings.DATA_DIR.root} does not run: start it with "
            "`claudemem start`; it is tried until it answers",
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
