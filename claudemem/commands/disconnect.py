"""`claudemem uninstall AGENT`: takes out of an agent's settings what `install` put there."""

import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
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
_MADE = ("hook.log", "hook.log.1")
# And what is empty, or half a copy.
_EMPTY = (".heavy", ".lock", ".next", ".slow")


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
        if not dry_run:
            applying.apply(plan)
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
    from django.db import Error

    from claudemem.commands import installed_keys

    try:
        revoked = installed_keys.revoke(target.key)
    except Error as error:
        yield f"kept      the key: the database cannot be used ({str(error).strip()})"
        yield "once it can, `claudemem api-key list` names the key for `claudemem api-key revoke`"
        return
    if revoked:
        yield "revoked   the key"
    else:
        yield f"kept      the key: it is not of this installation; who runs {target.url} revokes it"


def _swept(data: "DataDir") -> Iterator[str]:
    """The client's own files taken away, but for what it could not send yet."""
    # A hook that runs at the moment may make and remove some.
    with suppress(FileNotFoundError):
        for path in sorted(data.client.iterdir()):
            if why := _kept(path):
                yield f"kept      {path}, {why}"
            else:
                path.unlink(missing_ok=True)
    with suppress(OSError):
        data.client.rmdir()


def _kept(path: Path) -> str:
    """Why a file of the client's directory is not taken away, or ""."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        return "which is not ours"
    if path.name in _MADE or path.suffix in _EMPTY or not found.st_size:
        return ""
    return "which was not sent yet" if path.name.startswith("spool") else "which is not ours"
