"""The commands of `claudemem`, one module a subject."""

import logging
import os
from typing import TYPE_CHECKING

import click

from claudemem.interpreter import loading

if TYPE_CHECKING:
    from claudemem.datadir import DataDir

ON_WINDOWS = os.name == "nt"
# Where a command says, in its context, with what it exits that could not be run, if not with 1.
FAILED = "claudemem.failed"
# Who acts, in histories and the audit, where somebody uses the command line.
BY_OPERATOR = {"source": "cli_operator", "actor_id": "system:server-cli"}


def load_django(*, existing: bool = False) -> None:
    """Make models and settings usable. Called by a command once its options are read.

    With `existing` a data directory that is not there is an error: a command that only looks makes
    none. Where memory is in PostgreSQL it need not be in a directory of this machine.
    """
    if existing and not os.environ.get("CLAUDE_MEM_SERVER_DATABASE_URL", "").strip():
        refuse_nothing()
    import django

    with loading():
        django.setup()
    # What a pool tells a server's log, a command says in the sentence with which it ends.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)


def data_directory() -> "DataDir":
    """The data directory, for commands that must work whatever is wrong with the settings."""
    from claudemem import datadir

    return datadir.locate(os.environ.get("CLAUDE_MEM_DATA_DIR", ""))


def own_directory() -> "DataDir":
    """The data directory, for commands that start, stop or remove what is in it.

    Raises ClickException on Windows, and where root would do so for another user.
    """
    if ON_WINDOWS:
        raise click.ClickException(
            "this command needs Linux or macOS: on Windows, run claudemem in WSL or in a container"
        )
    data = data_directory()
    if refused := data.refusal():
        raise click.ClickException(refused)
    return data


def refuse_nothing() -> None:
    """Raise ClickException where there is no data directory."""
    root = data_directory().root
    if not root.is_dir():
        raise click.ClickException(
            f"nothing is kept in {root}: begin with `claudemem start`, or name another directory "
            "with --data-dir"
        )
