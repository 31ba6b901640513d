"""`claudemem uninstall AGENT`: takes out of an agent's settings what `install` put there."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from claudemem.commands import data_directory
from claudemem.commands.install import agree, read, tell
from claudemem.install import AGENTS, BY_NAME, applying, clientfile, jsonedit
from claudemem.install.clientfile import Target
from claudemem.install.plan import Agent, Change, Plan, Refused

if TYPE_CHECKING:
    from claudemem.datadir import DataDir

# Of the client's directory, what is made anew.
_MADE = ("hook.log", "hook.log.1", "lock")


def disconnect(name: str, *, project: bool, dry_run: bool, yes: bool) -> None:
    """Take out what is ours of an agent's settings, and with the last agent its key and files.

    Raises ClickException.
    """
    agent, data = BY_NAME[name], data_directory()
    if project and not agent.project:
        raise click.UsageError(f"{agent.title} has no settings for one directory alone")
    if refused := data.refusal():
        raise click.ClickException(refused)
    try:
        _disconnect(agent, data, project, dry_run, yes)
    except (Refused, jsonedit.Unreadable) as error:
        raise click.ClickException(str(error)) from error


def connected() -> Iterator[Agent]:
    """The agents that are connected, as far as their settings can be read."""
    return (agent for agent in AGENTS if _is_connected(agent, unread=False))


def _disconnect(agent: Agent, data: "DataDir", project: bool, dry_run: bool, yes: bool) -> None:
    plan, target = _planned(agent, data, project)
    tell(plan.notes)
    if not plan.due:
        click.echo(f"{agent.title} is not connected: nothing to change")
        return
    click.echo(plan.diff())
    if dry_run:
        click.echo("nothing was changed")
        return
    agree(yes)
    plan, target = _planned(agent, data, project)
    applying.apply(plan)
    click.echo(f"disconnected  {agent.title}")
    if target is not None:
        for line in (*_revoked(target), *_swept(data)):
            click.echo(line)


def _planned(agent: Agent, data: "DataDir", project: bool) -> tuple[Plan, Target | None]:
    """What is changed; and what the client was connected to, if nobody else uses it."""
    plan = agent.uninstall(read(agent, project))
    config = applying.read(clientfile.path(data.client))
    others = any(_is_connected(each, unread=True) for each in AGENTS if each is not agent)
    if project or others or config.content is None:
        return plan, None
    gone = Change(config.path, config.content, None)
    return replace(plan, changes=(*plan.changes, gone)), clientfile.read(config)


def _is_connected(agent: Agent, *, unread: bool) -> bool:
    """Whether there is something of ours in its settings; `unread` if they cannot be read."""
    try:
        return bool(agent.uninstall(read(agent, project=False)).due)
    except (Refused, jsonedit.Unreadable):
        return unread


def _revoked(target: Target) -> Iterator[str]:
    from claudemem.commands import installed_keys

    if installed_keys.revoke(target.key):
        yield "revoked   the key"
    else:
        yield f"kept      the key: it is not of this installation; who runs {target.url} revokes it"


def _swept(data: "DataDir") -> Iterator[str]:
    """The client's own files taken away, but for what it could not send yet."""
    if not data.client.is_dir():
        return
    for path in sorted(data.client.iterdir()):
        if path.name in _MADE or path.name.endswith(".lock") or not path.stat().st_size:
            path.unlink()
        else:
            yield f"kept      {path}, which was not sent yet"
    if not any(data.client.iterdir()):
        data.client.rmdir()
