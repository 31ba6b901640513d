"""`claudemem db …`: what is done to the database as a whole."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import load_django, refuse_nothing

if TYPE_CHECKING:
    from claudemem.move.moving import Check, Plan, Told
    from claudemem.move.source import Source
    from claudemem.move.target import Target

_URL = "CLAUDE_MEM_SERVER_DATABASE_URL"


@click.group(short_help="Move the store to PostgreSQL.")
def db() -> None:
    """Move the database."""


@db.command(short_help="Take the SQLite store to PostgreSQL.")
@click.option("--to", envvar=_URL, help=f"The URL of the target. [default: ${_URL}]")
@click.option("--dry-run", is_flag=True, help="Say what would be moved, and write nothing.")
@click.option(
    "--replace-unstorable",
    "replace",
    is_flag=True,
    help="Put U+FFFD where text holds what PostgreSQL cannot store.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def move(to: str | None, dry_run: bool, replace: bool, as_json: bool) -> None:
    """Take the SQLite store of the data directory to an empty PostgreSQL database.

    The SQLite file is only read. Every row is read back and compared; unless all are the same, the
    target stays empty.
    """
    if not to:
        raise click.UsageError(f"name the PostgreSQL database with --to, or in {_URL}")
    refuse_nothing()
    os.environ[_URL] = to
    load_django()
    from claudemem.members import StartFailed
    from claudemem.move.errors import MoveFailed
    from claudemem.move.moving import Differs

    try:
        _rehearse(replace, as_json) if dry_run else _move(replace, as_json)
    except Differs as error:
        click.echo(_checks(error.checks), err=True)
        raise click.ClickException(str(error)) from error
    except (MoveFailed, StartFailed) as error:
        raise click.ClickException(str(error)) from error


def _rehearse(replace: bool, as_json: bool) -> None:
    with _prepared(replace) as (source, target, todo):
        told = {**_known(source, target, todo), "moved": False, "rows": todo.counts}
        rows = [(name, f"{count:,}") for name, count in todo.counts.items()]
        lines = [_table(("table", "rows"), rows), "", *_notes(todo)]
        lines += [f"{source.path} would be moved to {target.place}; nothing was written"]
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines))


def _move(replace: bool, as_json: bool) -> None:
    from django.conf import settings

    from claudemem import statefile
    from claudemem.move import moving

    start = time.monotonic()
    with statefile.alone(settings.DATA_DIR.root):
        _refuse_users(settings.DATA_DIR.database)
        with _prepared(replace) as (source, target, todo), _progress() as told:
            checks = moving.move(source, target, todo, replace=replace, told=told)
            known, notes = _known(source, target, todo), _notes(todo)
    seconds = time.monotonic() - start
    if as_json:
        tables = [_wire(check) for check in checks]
        answer = {**known, "moved": True, "seconds": round(seconds, 1), "tables": tables}
        click.echo(json.dumps(answer, indent=2))
        return
    rows = sum(check.rows for check in checks)
    click.echo(_checks(checks) + "\n")
    click.echo("\n".join([*notes, f"{rows:,} rows were moved and verified in {seconds:.0f} s"]))
    click.echo(_what_next(known["source"]))


@contextmanager
def _prepared(replace: bool) -> "Iterator[tuple[Source, Target, Plan]]":
    """Source and target, once neither gives a reason not to move."""
    from django.conf import settings

    from claudemem.move import moving, source
    from claudemem.move.target import Target

    with source.opened(settings.DATA_DIR.database) as opened:
        target = Target()
        target.check()
        todo = moving.plan(opened)
        moving.refuse_faults(todo.faults, opened.path, replace=replace)
        yield opened, target, todo


def _refuse_users(database: Path) -> None:
    from claudemem.move.source import users

    if found := users(database):
        raise click.ClickException(
            f"{database} is in use by the process {', '.join(map(str, found))}: stop every web, "
            "worker and beat of this data directory first"
        )


@contextmanager
def _progress() -> "Iterator[Told]":
    """Where to tell the progress: a bar on a terminal, else nowhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("", total=None)
        yield lambda step, table, done, total: shown.update(
            bar, description=f"{step} {table}", completed=done, total=total
        )


def _known(source: "Source", target: "Target", todo: "Plan") -> dict[str, Any]:
    return {
        "source": str(source.path),
        "target": target.place,
        "leftBehind": list(todo.strangers),
        "replaced": [
            {"table": fault.table, "key": fault.key, "column": fault.column}
            for fault in todo.faults
        ],
    }


def _wire(check: "Check") -> dict[str, Any]:
    return {
        "table": check.table,
        "rows": check.rows,
        "rowsFound": check.rows_found,
        "sha256": check.sha256,
        "sha256Found": check.sha256_found,
    }


def _notes(todo: "Plan") -> list[str]:
    notes = [f"{name} is no table of claudemem, and stays behind" for name in todo.strangers]
    if todo.faults:
        notes.append(f"{len(todo.faults)} values get U+FFFD for what PostgreSQL cannot store:")
        notes += [f"  {fault.table}.{fault.column} of {fault.key}" for fault in todo.faults]
    return notes


def _checks(checks: "Sequence[Check]") -> str:
    rows = [
        (each.table, f"{each.rows:,}", f"{each.rows_found:,}", each.sha256[:16],
         "same" if each.same else f"differs: {each.sha256_found[:16]}")
        for each in checks
    ]  # fmt: skip
    return _table(("table", "sent", "found", "sha256", ""), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; numbers to the right."""
    lines = [head, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in {"rows", "sent", "found"} else cell.ljust(width)
            for name, cell, width in zip(head, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _what_next(source: str) -> str:
    return "\n".join(
        [
            "",
            "What to do next:",
            "",
            f"  set    {_URL} to the target for every process, and start with `claudemem up`",
            "  keep   the data directory: its secret_key, modes and settings go on being used",
            f"  later  {source} was not changed and is not used any more: delete it, with its -wal",
            "         and -shm, once a backup of the target was made",
        ]
    )
