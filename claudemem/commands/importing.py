"""`claudemem import`: what was remembered or kept elsewhere, taken over."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudemem.commands import BY_OPERATOR, load_django

if TYPE_CHECKING:
    from observations.backfill import Plan, Taken
    from observations.models import Team
    from observations.places import Place
    from observations.takeover import Tally
    from observations.transcript_files import Transcript

_WHOSE = "Whose it will be. [default: the team `default`]"
# Reasons are told of so many that were refused.
_MOST_REASONS = 5


@click.group(short_help="Take over transcripts, or the memory of claude-mem.")
def importing() -> None:
    """Take over what happened before, or what another program remembers."""


@dataclass(slots=True)
class _Outcome:
    """What became of all that was to be taken over."""

    stored: int = 0
    known: int = 0
    kept_out: int = 0
    refused: list[str] = field(default_factory=list)

    def add(self, taken: "Taken") -> None:
        """Add what became of a portion."""
        self.stored += taken.stored
        self.known += taken.known
        self.kept_out += taken.kept_out
        self.refused += taken.refused


@importing.command(short_help="Capture what Claude Code's transcripts tell.")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--team", metavar="ID|NAME", help=_WHOSE)
@click.option("--project", metavar="NAME", help="Only sessions that were held in this project.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Only sessions that went on since this day."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be captured, and its cost.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def transcripts(
    folder: Path | None,
    team: str | None,
    project: str | None,
    since: datetime | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Capture what Claude Code's transcripts tell and no hook did.

    FOLDER is where Claude Code keeps them: by default ~/.claude/projects, or where
    CLAUDE_CONFIG_DIR says. What was captured before is known again, so this may be broken off
    and run again. It writes into this installation's database, whether a server runs or not.
    """
    load_django()
    # Celery's app must exist before anything is published.
    from claudemem import celery  # noqa: F401

    owner = _team(team)
    plans = _plans(owner, _found(folder, since), project)
    click.echo(_estimate(plans))
    wanted = [each for each in plans if each.missing]
    if dry_run or not wanted:
        return
    if not yes:
        _ask()
    click.echo(_told(_taken(owner, wanted)))


def _team(named: str | None) -> "Team":
    from observations import keys, tenants

    return tenants.team(named) if named else keys.default_tenant()[0]


def _found(folder: Path | None, since: datetime | None) -> "list[Transcript]":
    from django.conf import settings

    from observations import transcript_files

    root = folder or settings.TRANSCRIPTS
    if not root.is_dir():
        raise click.ClickException(
            f"there is no directory {root}: name the one in which Claude Code keeps its "
            "transcripts (<its configuration>/projects)"
        )
    first = since.replace(tzinfo=UTC).timestamp() if since else 0.0
    found = [each for each in transcript_files.found(root) if each.changed >= first]
    if not found:
        raise click.ClickException(f"there are no transcripts (*.jsonl) in {root} to be read")
    return found


def _plans(owner: "Team", found: "Sequence[Transcript]", project: str | None) -> "list[Plan]":
    from observations import agents, backfill

    plans = []
    with _bar("reading transcripts", sum(each.size for each in found)) as move:
        for each in found:
            try:
                one = backfill.plan(owner.id, each)
            except OSError as error:
                click.echo(f"{error.filename} is left out: {error.strerror}", err=True)
                continue
            finally:
                move(each.size)
            if one.events and (not project or agents.project_name(one.cwd) == project):
                plans.append(one)
    return plans


def _estimate(plans: "Sequence[Plan]") -> str:
    from django.conf import settings

    from observations.providers.offline.wording import counted

    wanted = [each for each in plans if each.missing]
    missing = sum(len(each.missing) for each in wanted)
    lines = [
        f"{counted(len(plans), 'session')} with "
        f"{counted(sum(each.events for each in plans), 'event')}; not captured yet: "
        f"{counted(missing, 'event')} of {counted(len(wanted), 'session')}"
    ]
    if broken := sum(each.counts.broken for each in plans):
        lines.append(f"left out, because they cannot be read: {counted(broken, 'line')}")
    if missing:
        lines.append(
            f"the provider is asked about {sum(each.observed for each in wanted)} of these, some "
            f"{sum(each.tokens for each in wanted)} tokens, and for at most "
            f"{counted(len(wanted), 'summary', 'summaries')}"
        )
        lines.append(
            "the provider is offline, so that costs nothing"
            if settings.PROVIDER == "offline"
            else f"what that costs, the prices of your provider say ({settings.PROVIDER})"
        )
    return "\n".join(lines)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise click.ClickException("nobody can be asked here: run it with --yes, or --dry-run")
    click.confirm("Capture them?", abort=True)


def _taken(owner: "Team", plans: "Sequence[Plan]") -> _Outcome:
    from observations import backfill

    outcome = _Outcome()
    try:
        with _bar("capturing events", sum(len(each.missing) for each in plans)) as move:
            for each in plans:
                for done in backfill.take(owner.id, each, origin=BY_OPERATOR, look=_look):
                    outcome.add(done)
                    move(done.stored + done.known + done.kept_out + len(done.refused))
    except KeyboardInterrupt:
        raise click.ClickException(
            f"broken off after {outcome.stored} events: they are stored; run it again to go on"
        ) from None
    return outcome


def _look(cwd: str) -> "Place | None":
    """The place of a directory, if it is still there."""
    from claudemem.hook.place import place
    from observations import places

    facts = place(cwd)
    return places.of(facts) if facts else None


def _told(outcome: _Outcome) -> str:
    lines = [f"{outcome.stored} events stored, {outcome.known} known already"]
    if outcome.kept_out:
        lines.append(f"{outcome.kept_out} events kept out, as their project's captures are off")
    if outcome.refused:
        lines.append(f"{len(outcome.refused)} events cannot be stored:")
        lines += [f"  {each}" for each in outcome.refused[:_MOST_REASONS]]
    return "\n".join(lines)


@contextmanager
def _bar(label: str, length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; where nobody looks, nothing."""
    with click.progressbar(length=max(length, 1), label=label, file=sys.stderr) as bar:
        yield bar.update


@importing.command("claude-mem", short_help="Take over a database of claude-mem.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--team", metavar="ID|NAME", help=_WHOSE)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def claude_mem(file: Path, team: str | None, as_json: bool) -> None:
    """Take over the memory of claude-mem, FILE being its database (~/.claude-mem/claude-mem.db).

    Sessions, observations, summaries and prompts are kept with their times; messages that wait
    become jobs. FILE is only read, as it is at one moment: claude-mem may go on meanwhile. What
    was taken over before is known again, so this may be broken off and run again.
    """
    load_django()
    from claudemem import celery  # noqa: F401
    from observations import claude_mem_file
    from observations.takeover import TABLES, Takeover

    with claude_mem_file.opened(file) as source:
        takeover = Takeover(source, _team(team).id, BY_OPERATOR)
        with _bar("taking over", sum(map(source.count, TABLES))) as move:
            tallies = takeover.run(move)
    click.echo(_as_json(tallies) if as_json else _report(tallies))


def _as_json(tallies: "Sequence[Tally]") -> str:
    told = {
        each.table: {
            "rows": each.rows, "taken": each.taken, "known": each.known,
            "leftOut": dict(each.left_out),
        }
        for each in tallies
    }  # fmt: skip
    return json.dumps(told, indent=2)


def _report(tallies: "Sequence[Tally]") -> str:
    lines = [f"{'':20}{'rows':>9}{'taken':>9}{'known':>9}{'left out':>10}"]
    for each in tallies:
        out = sum(each.left_out.values())
        lines.append(f"{each.table:20}{each.rows:>9}{each.taken:>9}{each.known:>9}{out:>10}")
        lines += [f"  {count} {reason}" for reason, count in each.left_out.most_common()]
    return "\n".join(lines)
