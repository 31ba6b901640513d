"""`claudemem replay`: send recorded hook payloads to a running server."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from claudemem.commands import data_directory
from claudemem.commands.client import Server, payloads


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the payloads: how many were sent, and how many the server knew already."""

    sent: int
    known: int


def progress(console: Console) -> Progress:
    """A progress bar in the house style; on a pipe it prints nothing but its last state."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def send(server: Server, files: Sequence[Path], bar: Progress) -> Replayed:
    """Send the payloads of `files` in order, moving `bar` along."""
    everything = list(payloads(files))
    task = bar.add_task("sending payloads", total=len(everything))
    known = 0
    for _, _, payload in everything:
        known += server.hook(payload)
        bar.advance(task)
    return Replayed(len(everything), known)


@click.command(short_help="Send recorded hook payloads to a server.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--url", envvar="CLAUDE_MEM_SERVER_URL", help="The server; the local one if absent.")
@click.option(
    "--key",
    envvar="CLAUDE_MEM_SERVER_API_KEY",
    show_envvar=True,
    required=True,
    help="An API key with memories:write (`claudemem api-key create`).",
)
def replay(files: tuple[Path, ...], url: str | None, key: str) -> None:
    """Send recorded hook payloads (one JSON object a line) to a running server."""
    with Server(url or local_url(), key) as server, progress(Console(stderr=True)) as bar:
        result = send(server, files, bar)
    click.echo(f"{result.sent} payloads sent, {result.known} of them known already")


def local_url() -> str:
    """Where the server of this data directory listens, or would."""
    from claudemem import statefile

    state = statefile.read(data_directory().root)
    if state is not None and state.supervisor.alive:
        return state.url
    # Only now: whoever starts in a moment has no time for settings.
    from claudemem import listening, settings

    return listening.url(settings.HOST, settings.PORT)
