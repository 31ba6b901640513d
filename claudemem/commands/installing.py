"""A Valkey or Redis server by the platform's package manager, for `claudemem setup`.

What is run is shown before. Nobody is made root here: whoever is not is told what to run.
"""

import os

import click

from claudemem import packages, servers
from claudemem.choosing import BINARY
from claudemem.packages import Command, Manager
from claudemem.servers import Program

ON_WINDOWS = os.name == "nt"
_WITHOUT = (
    "or name a server of yours with --redis-url, or choose the engine that needs none with "
    "`claudemem setup --queue database`"
)
_WINDOWS = (
    "there is no Valkey for Windows: let Docker run it with `claudemem setup --docker`, run "
    f"claudemem in WSL, {_WITHOUT}"
)


def refusal() -> str:
    """What must be done where there is no server and nobody to ask."""
    if ON_WINDOWS:
        return _WINDOWS
    return (
        "there is no Valkey or Redis server (6.2 or later) on this machine, and nothing is "
        f"installed unasked: {_remedy(servers.manager())}, {_WITHOUT}"
    )


def install(*, ask: bool) -> Program:
    """The server after it was installed; `ask`: somebody is there to consent.

    Raises ClickException or InstallFailed where that cannot be, and click.Abort where it may not.
    """
    if ON_WINDOWS:
        raise click.ClickException(_WINDOWS)
    using = servers.manager()
    if using is None:
        raise click.ClickException(f"nothing can be installed here: {_remedy(None)}, {_WITHOUT}")
    command = (*using.installs, _package(using, ask))
    if servers.may_run(using):
        _run(command, ask)
    else:
        _leave_to_root(command, ask)
    if program := servers.find():
        return program
    raise click.ClickException(
        f"no Valkey or Redis server (6.2 or later) is found after `{packages.typed(command)}`: "
        f"name its path in {BINARY}, {_WITHOUT}"
    )


def _remedy(using: Manager | None) -> str:
    if using is None:
        known = ", ".join(each.name for each in packages.MANAGERS)
        return (
            f"none of the package managers that are known ({known}) is here: install Valkey or "
            "Redis 6.2 or later and run `claudemem setup` again"
        )
    name = servers.package(using)
    # Without lists of packages nobody can say yet which one it would be.
    command = (*using.installs, name) if name else using.refreshes
    if servers.may_run(using):
        begins = "installs one by" if name else "looks for one after"
        return f"run `claudemem setup --install-redis`, which {begins} `{packages.typed(command)}`"
    again = "and then `claudemem setup`" if name else "and `claudemem setup` again"
    return f"run `{packages.typed(command, sudo=True)}` {again}"


def _package(using: Manager, ask: bool) -> str:
    name = servers.package(using)
    if not name and servers.may_run(using):
        # Fresh machines have no lists of packages yet.
        _run(using.refreshes, ask)
        name = servers.package(using)
    if name:
        return name
    refresh = packages.typed(using.refreshes, sudo=not servers.may_run(using))
    raise click.ClickException(
        f"{using.name} knows no package {' or '.join(using.packages)}: bring its lists up to date "
        f"with `{refresh}` and run `claudemem setup` again, {_WITHOUT}"
    )


def _run(command: Command, ask: bool) -> None:
    shown = packages.typed(command)
    if ask:
        click.confirm(f"Run `{shown}`?", default=True, abort=True)
    else:
        click.echo(f"running   {shown}")
    servers.run(command)


def _leave_to_root(command: Command, ask: bool) -> None:
    shown = packages.typed(command, sudo=True)
    if not ask:
        raise click.ClickException(
            f"installing needs root: run `{shown}` and then `claudemem setup`, {_WITHOUT}"
        )
    click.echo(f"\nInstalling needs root. Run this in another terminal:\n\n    {shown}\n")
    click.prompt("Enter when it is done", default="", show_default=False)
