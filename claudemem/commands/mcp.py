"""`claudemem mcp`: memory for agents that start a program and speak MCP with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudemem.commands import data_directory

if TYPE_CHECKING:
    from claudemem.datadir import DataDir
    from claudemem.install.clientfile import Target
    from claudemem.kept import Said
    from claudemem.mcp.remote import Place

# The second of each is what older installers wrote.
_URL = ["CLAUDE_MEM_SERVER_URL", "CLAUDE_MEM_SERVER_BETA_URL"]
_KEY = ["CLAUDE_MEM_SERVER_API_KEY", "CLAUDE_MEM_SERVER_BETA_API_KEY"]
_PROJECT = ["CLAUDE_MEM_SERVER_PROJECT_ID", "CLAUDE_MEM_SERVER_BETA_PROJECT_ID"]


@click.command(short_help="Serve memory to an agent over MCP.")
@click.option(
    "--url",
    envvar=_URL,
    help="The server; the local one if absent.",
)
@click.option(
    "--key",
    envvar=_KEY,
    help="An API key with memories:read, and memories:write for what changes memory.",
)
@click.option(
    "--project",
    envvar=_PROJECT,
    help="The project, by id or name, that is meant where an agent names none.",
)
def mcp(url: str | None, key: str | None, project: str | None) -> None:
    """Speak MCP on standard input and output, for agents that start a program.

    Its tools are those of a server, which is asked at each call and may be started later.
    """
    from claudemem.mcp import remote, stdio

    given = Given(url or "", key or "", project or "")
    stdio.serve(remote.Remote(lambda: whom(data_directory(), given)))


@dataclass(frozen=True, slots=True)
class Given:
    """What was said on the command line or in the environment; "" where nothing was."""

    url: str = ""
    key: str = ""
    project: str = ""


def whom(data: "DataDir", given: Given) -> "Place":
    """Which server is asked, with which key: as given, as the settings say, as it was installed.

    Raises Unplaced.
    """
    from claudemem import settingsfile
    from claudemem.mcp.remote import Place

    said = settingsfile.read(data.settings).said
    url, key = given.url or _first(said, _URL), given.key or _first(said, _KEY)
    if not key and (installed := _installed(data.client)):
        url = url or installed.url
        # No other server is to see the key.
        key = installed.key if url.rstrip("/") == installed.url.rstrip("/") else ""
    return Place(url or _local(), key, given.project or _first(said, _PROJECT))


def _installed(client: Path) -> "Target | None":
    """Whom the hooks of this machine send to, if any were installed. Raises Unplaced."""
    from claudemem.install import applying, clientfile
    from claudemem.install.plan import Refused
    from claudemem.mcp.remote import Unplaced

    try:
        return clientfile.read(applying.read(clientfile.path(client)))
    except (Refused, OSError) as error:
        raise Unplaced(str(error)) from error


def _first(said: "Mapping[str, Said]", names: Sequence[str]) -> str:
    return next((said[name].text for name in names if name in said and said[name].text), "")


def _local() -> str:
    """Where the server of the data directory is, or would be. Raises Unplaced."""
    from django.core.exceptions import ImproperlyConfigured

    from claudemem.commands.replay import local_url
    from claudemem.mcp.remote import Unplaced

    try:
        return local_url()
    except ImproperlyConfigured as error:
        raise Unplaced(f"the settings of this installation cannot be used: {error}") from error
