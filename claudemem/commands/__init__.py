"""The commands of `claudemem`, one module a subject."""

import click

# Who acts, in histories and the audit, where somebody uses the command line.
BY_OPERATOR = {"source": "cli_operator", "actor_id": "system:server-cli"}


def load_django(*, existing: bool = False) -> None:
    """Make models and settings usable. Called by a command once its options are read.

    With `existing` a data directory that is not there is an error: a command that only looks makes
    none.
    """
    if existing:
        _refuse_nothing()
    import django

    django.setup()


def _refuse_nothing() -> None:
    import os

    from claudemem import datadir

    root = datadir.locate(os.environ.get("CLAUDE_MEM_DATA_DIR", "")).root
    if not root.is_dir():
        raise click.ClickException(
            f"nothing is kept in {root}: start with `claudemem up`, or name another with --data-dir"
        )
