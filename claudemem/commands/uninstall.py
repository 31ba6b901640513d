"""`claudemem uninstall`: nothing of ours runs or lies about any more; memory stays."""

import os
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudemem.commands import own_directory

if TYPE_CHECKING:
    from claudemem.datadir import DataDir


@click.command(short_help="Stop everything and remove what is ours.")
@click.option("--purge-data", is_flag=True, help="Remove the memory as well: it is gone for good.")
@click.option("--yes", is_flag=True, help="Do not ask before memory is removed.")
def uninstall(purge_data: bool, yes: bool) -> None:
    """Stop everything and remove what is ours from the data directory.

    What is remembered stays, with settings, secrets, modes and backups, unless --purge-data.
    """
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
    for line in chain(_removed(data, purge_data), _kept(data.root), elsewhere):
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
