"""`claudemem uninstall`: nothing of ours runs or lies about any more; memory stays."""

import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudemem.commands import own_directory
from claudemem.install import BY_NAME

if TYPE_CHECKING:
    from claudemem.datadir import DataDir


@click.command(short_help="Disconnect an agent, or remove what is ours.")
@click.argument("agent", required=False, type=click.Choice(list(BY_NAME)), metavar="[AGENT]")
@click.option("--purge-data", is_flag=True, help="Remove the memory as well: it is gone for good.")
@click.option("--project", is_flag=True, help="Disconnect the agent in this directory only.")
@click.option("--dry-run", is_flag=True, help="Show what the agent's settings would lose.")
@click.option("--yes", is_flag=True, help="Do not ask before memory or settings are changed.")
def uninstall(agent: str | None, purge_data: bool, project: bool, dry_run: bool, yes: bool) -> None:
    """Take what is ours out of the settings of AGENT.

    Without AGENT: stop everything, and remove what is ours from the data directory. What is
    remembered stays, with settings, secrets, modes and backups, unless --purge-data.
    """
    if agent is None and (project or dry_run):
        raise click.UsageError("--project and --dry-run are for the settings of an AGENT: name it")
    if agent is not None and purge_data:
        raise click.UsageError("--purge-data is for `claudemem uninstall` without an AGENT")
    if agent is not None:
        from claudemem.commands import disconnect

        disconnect.disconnect(agent, project=project, dry_run=dry_run, yes=yes)
        return
    _remove(purge_data, yes)


def _remove(purge_data: bool, yes: bool) -> None:
    from claudemem import removal

    data = own_directory()
    if not data.root.is_dir():
        click.echo(f"there is nothing to remove: {data.root} is not there")
        return
    if refused := removal.refusal(data.root, Path(os.path.expanduser("~"))):
        raise click.ClickException(refused)
    if purge_data and not yes:
        _confirm(data.root)
    if mounted := removal.mounts(data.root):
        raise click.ClickException(
            f"{mounted[0]} is a mount, and what is in it would be removed: unmount it first"
        )
    elsewhere = list(_elsewhere())
    _stop(data)
    for line in chain(_removed(data, purge_data), _kept(data.root), elsewhere, _connected()):
        click.echo(line)


def _confirm(root: Path) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("--purge-data removes all memory: say --yes where nobody is asked")
    click.confirm(f"Remove everything that is remembered in {root}, for good?", abort=True)


def _stop(data: "DataDir") -> None:
    from claudemem import daemon
    from claudemem.move.source import users

    if daemon.stop(data):
        click.echo("stopped   the server")
    if found := users(data.database):
        raise click.ClickException(
            f"{data.database} is in use by the process {', '.join(map(str, found))}: stop it, and "
            "run this again; nothing was removed"
        )


def _removed(data: "DataDir", purge: bool) -> Iterator[str]:
    from claudemem import removal, statefile, stores
    from claudemem.members import StartFailed

    try:
        with statefile.alone(data.root):
            for store in stores.ours(data):
                if store.stop():
                    yield f"stopped   the {store.mode} queue store"
                # Without its directory nobody would find it again; its messages name rows alone.
                if store.remove(data=True):
                    yield f"removed   the {store.mode} queue store"
                if kept := store.out_of_reach():
                    yield f"kept      {kept}"
            for each in removal.remove(data.root, data=purge):
                yield f"removed   {each.path}" + (", a link" if each.link else "")
    except StartFailed as error:
        raise click.ClickException(str(error)) from error


def _kept(root: Path) -> Iterator[str]:
    from claudemem import removal

    left = removal.left(root)
    for path in left:
        yield f"kept      {path}" + ("" if removal.is_data(path) else ", which is not ours")
    if any(removal.is_data(path) for path in left):
        yield "`claudemem uninstall --purge-data` removes what is remembered as well"


def _connected() -> Iterator[str]:
    from claudemem.commands import disconnect

    for agent in disconnect.connected():
        yield (
            f"kept      what {agent.title} has of ours in its settings: `claudemem uninstall "
            f"{agent.name}` takes it out"
        )


def _elsewhere() -> Iterator[str]:
    """What the settings name and nobody but its owner may remove."""
    from django.core.exceptions import ImproperlyConfigured

    try:
        from claudemem import databases, settings
    except (ImproperlyConfigured, OSError) as error:
        yield f"Warning: what else there is cannot be told: {error}"
        return
    if settings.DATABASE_URL:
        yield f"kept      the database {databases.place(settings.DATABASES['default'])}"
    if settings.STORE and not settings.STORE.ours:
        place = settings.STORE.url.rpartition("://")[2].rpartition("@")[2]
        yield f"kept      the queue store {place}, where messages of ours may wait for nobody"
