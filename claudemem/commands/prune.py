"""`claudemem prune`: what is kept no longer goes at once, or is only counted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from claudemem.commands import BY_OPERATOR, load_django

if TYPE_CHECKING:
    from observations.retention import Pruned

# A million rows take a quarter of an hour: an operator waits for all of it.
_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What went, or would go. `freed`: bytes that the database's file became smaller."""

    rows: "Pruned"
    files: Sequence[Path]
    freed: int | None = None


@click.command(short_help="Delete what is kept no longer.")
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--compact", is_flag=True, help="Give the room in SQLite's file back to the disk.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def prune(dry_run: bool, compact: bool, as_json: bool) -> None:
    """Delete what is kept no longer: jobs that ended, audit, use, tellings, broker keys, logs.

    Workers do so every hour by themselves. How long things are kept is said by settings, whose
    names begin with CLAUDE_MEM_RETAIN_. Observations and events are never deleted.
    """
    load_django(existing=True)
    if compact:
        _refuse_compaction(dry_run)
    done = _looked() if dry_run else _pruned(compact)
    click.echo(json.dumps(_wire(done, dry_run), indent=2) if as_json else _text(done, dry_run))


def _refuse_compaction(dry_run: bool) -> None:
    from claudemem import settings, statefile

    if dry_run:
        raise click.UsageError("--compact changes the file: leave out --dry-run")
    if settings.DATABASE_URL:
        raise click.ClickException(
            "--compact is for SQLite: PostgreSQL uses the room again by itself (autovacuum)"
        )
    running = statefile.read(settings.DATA_DIR.root)
    if running is not None and running.supervisor.alive:
        raise click.ClickException(
            "the server runs, and could not write for as long as that takes: run "
            "`claudemem stop` first"
        )


def _looked() -> _Outcome:
    from claudemem import daylogs, leash, settings
    from observations import retention

    return _Outcome(retention.look(), daylogs.old(settings.DATA_DIR, settings.KEEP, leash.today()))


def _pruned(compact: bool) -> _Outcome:
    from claudemem import daylogs, leash, settings
    from observations import retention
    from queueing.retention import budget

    rows = retention.prune(budget(_SECONDS), by=BY_OPERATOR)
    files = daylogs.prune(settings.DATA_DIR, settings.KEEP, leash.today())
    return _Outcome(rows, files, compacted() if compact else None)


def compacted() -> int:
    """Write SQLite's file anew; how many bytes smaller it is."""
    from django.db import connection

    file = Path(connection.settings_dict["NAME"])
    before = file.stat().st_size
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before - file.stat().st_size


def _wire(done: _Outcome, dry_run: bool) -> dict[str, Any]:
    told = {
        "dryRun": dry_run,
        "jobs": done.rows.jobs,
        "auditEntries": done.rows.audit,
        "usageRows": done.rows.usage,
        "tellings": done.rows.tellings,
        "brokerKeys": list(done.rows.keys),
        "files": [str(path) for path in done.files],
        "queueStore": done.rows.store or None,
    }
    return told if done.freed is None else {**told, "freedBytes": done.freed}


def _text(done: _Outcome, dry_run: bool) -> str:
    lines = [
        f"{'would delete' if dry_run else 'deleted'}:",
        f"  jobs          {done.rows.jobs}",
        f"  audit entries {done.rows.audit}",
        f"  rows of use   {done.rows.usage}",
        f"  tellings      {done.rows.tellings}",
        f"  broker keys   {len(done.rows.keys)}",
        f"  files         {len(done.files)}",
    ]
    lines += [f"    {each}" for each in (*done.rows.keys, *map(str, done.files))]
    lines += [done.rows.store] if done.rows.store else []
    if done.freed is not None:
        lines.append(f"the database's file is {done.freed / 1e6:.1f} MB smaller")
    return "\n".join(lines)
