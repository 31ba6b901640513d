"""`claudemem setup`: which engine brings the work, and which store carries its messages."""

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from claudemem import choosing, servers, settingsfile
from claudemem.choosing import Changes, Standing, Step, Wish
from claudemem.commands import data_directory, installing
from claudemem.datadir import DataDir
from claudemem.kept import URL, Broken
from claudemem.servers import Program
from claudemem.storechoice import CELERY, DATABASE, DOCKER, EXTERNAL, MANAGED
from queueing import addresses
from queueing.dockercli import Docker
from queueing.errors import QueueingError
from queueing.external import ExternalStore
from queueing.store import Server

_PREFIX = "CLAUDE_MEM_QUEUE_REDIS_PREFIX"
_ONE_STORE = (
    "choose one: --redis-url, --docker, --managed (with --install-redis or without), or "
    "--queue database, which needs no store"
)


@click.command(short_help="Choose the queue's engine and store.")
@click.option("--queue", type=click.Choice([CELERY, DATABASE]), help="What brings work to workers.")
@click.option("--redis-url", "url", help="Use this Valkey or Redis server.")
@click.option("--managed", is_flag=True, help="Run a Valkey or Redis of this machine, privately.")
@click.option("--install-redis", "install", is_flag=True, help="Install one if there is none.")
@click.option("--docker", is_flag=True, help="Let Docker run a Valkey.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def setup(
    queue: str | None, url: str | None, managed: bool, install: bool, docker: bool, yes: bool
) -> None:
    """Choose what brings work to the workers, and write it into the settings file.

    A server that is named is tried and used; else one that this machine has is run privately; else
    you are asked. Without a terminal, or with --yes, nothing is asked. Nothing is ever installed
    without --install-redis or your consent.
    """
    may_ask = not yes and sys.stdin.isatty() and sys.stdout.isatty()
    wish = Wish(queue or "", url or "", docker, managed, install, may_ask)
    if wish.contradicts_itself:
        raise click.UsageError(_ONE_STORE)
    data = data_directory()
    if refused := data.refusal():
        raise click.ClickException(refused)
    try:
        _set_up(data, wish)
    except Broken as broken:
        raise click.ClickException(str(broken)) from broken


@dataclass(frozen=True, slots=True)
class _Here:
    """What is known of this installation: its directory, and what was chosen in it.

    `named` is the path of the server that must be run, or ""; `program` the one that would be.
    """

    data: DataDir
    before: Standing
    prefix: str
    named: str
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    """What was chosen: the engine, the store in words ("" for none), and what to write.

    `held` is what stands in the settings file and stays as it is.
    """

    engine: str
    store: str
    changes: Changes
    held: Changes = field(default_factory=dict)


def _set_up(data: DataDir, wish: Wish) -> None:
    here = _look(data)
    if not wish.names_store and not here.before.is_choice:
        wish = replace(wish, url=os.environ.get(URL, "").strip())
    if wish.managed or wish.install or not wish.names_store:
        here = replace(here, program=servers.find(here.named))
    step = choosing.decide(wish, here.before, server=here.program is not None)
    while step is Step.ASK:
        wish, step = _asked(wish, here)
    if step is Step.REFUSE:
        raise click.ClickException(installing.refusal())
    if step is Step.INSTALL:
        here = replace(here, program=installing.install(ask=wish.may_ask))
        step = Step.MANAGE
    choice = _chosen(step, wish, here)
    if choice.changes:
        settingsfile.write(data.settings, choice.changes)
    _tell(choice, data)


def _look(data: DataDir) -> _Here:
    kept = settingsfile.read(data.settings)
    if kept.faults:
        raise click.ClickException("; ".join(kept.faults))
    before = choosing.standing(kept)
    if before.binary and not Path(before.binary).expanduser().is_file():
        # What an earlier setup found was uninstalled since: another may have to be chosen.
        before = replace(before, binary="", mode="" if before.mode == MANAGED else before.mode)
    named = os.environ.get(choosing.BINARY, "").strip() or before.binary
    held = kept.said.get(_PREFIX)
    prefix = os.environ.get(_PREFIX, "").strip() or (held.text if held else "")
    return _Here(data, before, addresses.prefix(prefix), named)


def _chosen(step: Step, wish: Wish, here: _Here) -> _Choice:
    """What a step comes to. Raises QueueingError or ClickException for what cannot be used."""
    if step is Step.USE_DATABASE:
        return _Choice(DATABASE, "", choosing.changes(step, wish))
    if step is Step.USE_URL:
        return _Choice(CELERY, _probed(wish.url, here.prefix), choosing.changes(step, wish))
    if step is Step.USE_DOCKER:
        return _Choice(CELERY, _docker(), choosing.changes(step, wish))
    if step is Step.MANAGE and here.program:
        named = _named(here.program, here)
        changes = choosing.changes(step, wish, binary=named)
        return _Choice(CELERY, _managed(here.program), changes)
    engine = wish.queue or here.before.engine or CELERY
    store = _standing_store(here) if engine == CELERY else ""
    return _Choice(engine, store, choosing.changes(step, wish), choosing.held(here.before))


def _standing_store(here: _Here) -> str:
    before = here.before
    if before.mode == EXTERNAL and before.url:
        wrong = addresses.wrong(before.url)
        return f"{EXTERNAL}  {f'its URL {wrong}' if wrong else addresses.shown(before.url)}"
    return _managed(here.program) if before.mode == MANAGED and here.program else before.mode


def _managed(program: Program) -> str:
    # A path is long: it gets a line of its own.
    return f"{MANAGED}  {program.product} {program.version}\nprogram   {program.path}"


def _named(program: Program, here: _Here) -> str:
    """The path that the settings must name, "" for a server that is found without."""
    before = here.before.binary
    if before and Path(before).expanduser() == program.path:
        return before
    return servers.callable_at(program, here.data.redis)


def _probed(url: str, prefix: str) -> str:
    """Product, version and place of the server at a URL, after a look whether it is fit."""
    server = _examined(url, prefix)
    for warning in server.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return f"{EXTERNAL}  {server.product} {server.version} ({server.address})"


def _examined(url: str, prefix: str) -> Server:
    """The server at a URL. Raises QueueingError or ClickException where it cannot be used."""
    if wrong := addresses.wrong(url):
        raise click.ClickException(f"the URL of the queue store {wrong}")
    return ExternalStore(url, prefix).start()


def _docker() -> str:
    docker = Docker()
    if version := docker.version():
        if address := docker.elsewhere():
            raise click.ClickException(
                f"`docker` leads to {address}, and the queue store must run on this machine: unset "
                "DOCKER_HOST or choose another context, or choose --managed or --redis-url"
            )
        return f"{DOCKER}  a Valkey that Docker {version} runs from the next start on"
    raise click.ClickException(
        "Docker does not answer: install and start it, or choose --managed, for a server that "
        "claudemem runs itself, or --redis-url, for one of yours"
    )


def _asked(wish: Wish, here: _Here) -> tuple[Wish, Step]:
    """What the user answers. Raises click.Abort at Ctrl-C and the end of input."""
    ways = {
        Step.INSTALL: "let claudemem manage Valkey, which is installed first (recommended)",
        Step.USE_URL: "use a server of yours, by its URL",
        Step.USE_DATABASE: "use the database as the queue, which needs no server",
    }
    docker = Docker()
    if docker.version() and not docker.elsewhere():
        ways[Step.USE_DOCKER] = "let Docker run a Valkey"
    click.echo("There is no Valkey or Redis server on this machine.\n")
    for number, what in enumerate(ways.values(), 1):
        click.echo(f"  {number}  {what}")
    answer = click.prompt("\nWhich", type=click.IntRange(1, len(ways)), default=1)
    step = list(ways)[answer - 1]
    return _asked_for_url(wish, here) if step is Step.USE_URL else (wish, step)


def _asked_for_url(wish: Wish, here: _Here) -> tuple[Wish, Step]:
    """A URL that was typed and fits; one that does not is told, and all is asked again."""
    url = click.prompt("Its URL, as redis://:password@host:6379/0 (not shown)", hide_input=True)
    try:
        _examined(url.strip(), here.prefix)  # what it warns of is told of the one that is taken
    except (QueueingError, click.ClickException) as error:
        click.echo(f"{error}\n")
        return wish, Step.ASK
    return replace(wish, url=url.strip()), Step.USE_URL


def _tell(choice: _Choice, data: DataDir) -> None:
    from claudemem import statefile

    click.echo(f"queue     {choice.engine}")
    if choice.store:
        click.echo(f"store     {choice.store}")
    click.echo(f"kept in   {data.settings}")
    state = statefile.read(data.root)
    running = state is not None and state.supervisor.alive
    if not running:
        click.echo("`claudemem start` runs everything")
    if not choice.changes:
        click.echo("To change it, name another: --queue, --managed, --docker or --redis-url.")
    for name in choosing.shadowed(os.environ, {**choice.held, **choice.changes}):
        click.echo(
            f"Warning: {name} is set in the environment, which wins over the settings file: unset "
            "it for this choice to hold",
            err=True,
        )
    if running:
        click.echo(
            f"claudemem runs in {data.root}: the choice holds from its next start, which "
            "`claudemem restart` brings"
        )
