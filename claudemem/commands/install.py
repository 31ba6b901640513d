"""`claudemem install AGENT`: connects a coding agent, by its own settings."""

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from claudemem.commands import data_directory
from claudemem.install import BY_NAME, applying, clientfile, jsonedit
from claudemem.install.clientfile import Target
from claudemem.install.plan import Agent, Connection, Found, Plan, Refused, Surroundings

if TYPE_CHECKING:
    from claudemem.datadir import DataDir

KEY = "CLAUDE_MEM_SERVER_API_KEY"
# What stands for a key that is made once the user has agreed.
_TO_BE_MADE = "cmem_(made when you agree)"


@click.command(short_help="Connect a coding agent.")
@click.argument("agent", type=click.Choice(list(BY_NAME)), metavar="AGENT")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--project", is_flag=True, help="For this directory only.")
@click.option("--remote", metavar="URL", help="Connect it with a server somewhere else.")
@click.option(
    "--key", help=f"The key to use. [default: one is made; with --remote ${KEY}, or it asks]"
)
@click.option("--yes", is_flag=True, help="Do not ask before files are changed.")
def install(
    agent: str, dry_run: bool, project: bool, remote: str | None, key: str | None, yes: bool
) -> None:
    """Connect a coding agent: its hooks, its tools of memory, and a key for both.

    What is changed in its settings is shown before. Running it again brings that up to date.
    """
    chosen, data = BY_NAME[agent], data_directory()
    if project and not chosen.project:
        raise click.UsageError(f"{chosen.title} has no settings for one directory alone")
    if refused := data.refusal():
        raise click.ClickException(refused)
    try:
        _connect(chosen, data, _target(data, remote, key), project, dry_run, yes)
    except (Refused, jsonedit.Unreadable) as error:
        raise click.ClickException(str(error)) from error


def surroundings() -> Surroundings:
    """Where this user's agents have their files."""
    return Surroundings(Path(os.path.expanduser("~")), Path.cwd(), os.environ)


def read(agent: Agent, project: bool) -> dict[str, Found]:
    """The files of an agent as they are. Raises Refused."""
    paths = agent.files(surroundings(), project)
    return {name: applying.read(path) for name, path in paths.items()}


def _connect(
    agent: Agent, data: "DataDir", target: Target, project: bool, dry_run: bool, yes: bool
) -> None:
    plan = _planned(agent, data, target, project)
    if not plan.due:
        click.echo(f"{agent.title} is connected with {target.url} already: nothing to change")
        tell(plan.notes)
        return
    click.echo(plan.diff())
    tell((*plan.notes, *_left_behind(agent, data, target, project)))
    if dry_run:
        click.echo("nothing was changed")
        return
    agree(yes)
    made = target.key == _TO_BE_MADE
    from claudemem.commands import installed_keys

    if made:
        target = replace(target, key=installed_keys.make(agent.name))
    try:
        # Agents write to their files as well, and while somebody thinks they may have.
        applying.apply(_planned(agent, data, target, project))
    except BaseException:
        if made:
            installed_keys.revoke(target.key)
        raise
    click.echo(
        f"connected  {agent.title} with {target.url}: sessions that begin now are remembered"
    )
    if target.url == _local_url() and _is_down(data):
        click.echo("the server does not run yet: start it with `claudemem start`")


def _planned(agent: Agent, data: "DataDir", target: Target, project: bool) -> Plan:
    config = applying.read(clientfile.path(data.client))
    connection = Connection(target.url, target.key, client(), data.client, project)
    plan = agent.install(read(agent, project), connection)
    return replace(plan, changes=(*plan.changes, clientfile.change(config, target)))


def _left_behind(agent: Agent, data: "DataDir", target: Target, project: bool) -> Iterator[str]:
    """What else is connected by the client's file, where that names another server from now on."""
    config = clientfile.read(applying.read(clientfile.path(data.client)))
    if config is None or config.url == target.url:
        return
    from claudemem.commands import disconnect

    for each in disconnect.connected():
        if project or each is not agent:
            yield (
                f"{each.title} is connected with {config.url}, and agents share the client and "
                f"its key: connect it with {target.url} as well, or use that server here, "
                "with --remote if it is somewhere else"
            )


def client() -> tuple[str, ...]:
    """How the hook client is run, up to the name of the agent."""
    from claudemem.hook import command

    *words, _agent, _folder = command.words("", "")
    return tuple(words)


def agree(yes: bool) -> None:
    """Go on only if the user says so. Raises UsageError where there is nobody to be asked."""
    if yes:
        return
    if not somebody_is_there():
        raise click.UsageError("files would be changed: say --yes where nobody is asked")
    click.confirm("Change these files?", default=True, abort=True)


def somebody_is_there() -> bool:
    """Whether there is somebody to be asked."""
    return sys.stdin.isatty()


def tell(notes: tuple[str, ...]) -> None:
    """Say what else there is to know."""
    for note in notes:
        click.echo(f"Note: {note}", err=True)


def _target(data: "DataDir", remote: str | None, key: str | None) -> Target:
    config = clientfile.read(applying.read(clientfile.path(data.client)))
    if remote is not None:
        from claudemem.commands import remote_server

        return remote_server.target(remote, key or os.environ.get(KEY), config)
    if key is None and not data.root.exists():
        if "claudemem.settings" not in sys.modules:
            # They would make the directory, for the secret that they need, before anybody agreed.
            os.environ.setdefault("CLAUDE_MEM_SECRET_KEY", secrets.token_urlsafe(50))
        return Target(_local_url(), _TO_BE_MADE)
    from claudemem.commands import installed_keys

    return Target(_local_url(), installed_keys.usable(key, config) or _TO_BE_MADE)


def _local_url() -> str:
    from claudemem.commands.replay import local_url

    return local_url()


def _is_down(data: "DataDir") -> bool:
    from claudemem import statefile

    state = statefile.read(data.root)
    running = state is not None and state.supervisor.alive
    return not running
