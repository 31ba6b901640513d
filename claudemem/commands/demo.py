"""`claudemem demo`: the whole product, unattended, in a scratch data directory."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import click
import httpx
from rich.console import Console
from rich.progress import Progress

from claudemem.commands import load_django
from claudemem.commands.client import Server
from claudemem.commands.replay import progress, send

RECORDINGS = Path(__file__).parents[2] / "tests" / "recordings"
PROJECT = "demo"
QUESTIONS = ("cap for the exponential backoff of retries", "how do locks keep jobs in order")
PATIENCE_SECONDS = 60.0


@click.command(short_help="Show it on recorded agent sessions.")
@click.option(
    "--recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=RECORDINGS,
    help="A folder with recorded hook payloads. [default: those of this repository]",
)
def demo(recordings: Path) -> None:
    """Replay recorded agent sessions into a scratch server and show what it remembers."""
    files = sorted(recordings.rglob("*.jsonl"))
    if not files:
        raise click.ClickException(f"there are no recordings (*.jsonl) in {recordings}")
    with _scratch() as directory, _running(directory) as url:
        key = _key(directory)
        console = Console(stderr=True)
        with Server(url, key) as server:
            with progress(console) as bar:
                send(server, files, bar)
                _settle(server, bar)
            _show(server)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A data directory with a queue store of its own, and on PostgreSQL a schema, gone at the end.

    What the settings name may be in use by others, whose data and workers are none of the demo's.
    """
    directory = Path(tempfile.mkdtemp(prefix="claudemem-demo-"))
    os.environ["CLAUDE_MEM_DATA_DIR"] = str(directory)
    os.environ["CLAUDE_MEM_POSTGRES_SCHEMA"] = f"claudemem_demo_{token_hex(8)}"
    os.environ.pop("CLAUDE_MEM_REDIS_URL", None)
    try:
        yield directory
    finally:
        _drop_schema()
        shutil.rmtree(directory, ignore_errors=True)


def _drop_schema() -> None:
    load_django()
    from claudemem import upgrade

    upgrade.drop()


@contextmanager
def _running(directory: Path) -> Iterator[str]:
    """A whole server in `directory` on a free port, stopped again at the end."""
    port = _free_port()
    click.echo(f"starting claudemem in a scratch data directory, on port {port} …", err=True)
    log = (directory / "up.log").open("wb")
    server = subprocess.Popen(
        [sys.executable, "-m", "claudemem", "up", "--port", str(port)],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _await_healthy(url, server, directory / "up.log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
        log.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_healthy(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=2.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise click.ClickException(f"the server did not start; it said:\n{log.read_text()[-2000:]}")


def _key(directory: Path) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "claudemem", "--data-dir", str(directory), "api-key", "create",
         "--name", "demo", "--scope", "memories:read,memories:write", "--project", PROJECT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        raise click.ClickException(f"no API key could be made: {made.stderr.strip()}")
    return str(json.loads(made.stdout)["key"])


def _settle(server: Server, bar: Progress) -> None:
    """Wait until every job has ended."""
    task = bar.add_task("making memories", total=int(server.get("/v1/jobs", limit=1)["total"]))
    until = time.monotonic() + PATIENCE_SECONDS
    while open_jobs := _open_jobs(server):
        bar.update(task, completed=(bar.tasks[task].total or 0) - open_jobs)
        if time.monotonic() > until:
            raise click.ClickException(f"{open_jobs} jobs were not settled in time")
        time.sleep(0.1)
    bar.update(task, completed=bar.tasks[task].total)


def _open_jobs(server: Server) -> int:
    states = ("queued", "processing")
    return sum(int(server.get("/v1/jobs", status=s, limit=1)["total"]) for s in states)


def _show(server: Server) -> None:
    load_django()
    from observations import recall, rendering
    from observations.models import Project

    project = Project.objects.get(name=PROJECT)
    _heading("What is remembered, as a timeline")
    click.echo(rendering.timeline(recall.items(recall.timeline(project.id, limit=200))))
    for question in QUESTIONS:
        _heading(f"Search: {question}")
        _hits(server, project.id, question)
    _heading("What the next session is told")
    click.echo(recall.session_context(project.id).text)


def _hits(server: Server, project_id: str, question: str) -> None:
    body = {"projectId": project_id, "query": question, "limit": 3}
    found: Sequence[dict[str, str]] = server.post("/v1/search", body)["observations"]
    for rank, one in enumerate(found, 1):
        title, _, rest = one["content"].partition("\n")
        click.echo(f"{rank}. [{one['kind']}] {title}")
        if line := rest.strip().split("\n")[0]:
            click.echo(f"   {line[:160]}")


def _heading(text: str) -> None:
    click.echo(f"\n{text}\n{'=' * len(text)}\n")
