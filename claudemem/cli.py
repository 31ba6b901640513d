"""`claudemem …`: the table of commands, what all of them share, and how they fail.

A command is a line in `COMMANDS`, imported when it is called. Its module imports Django and its
settings inside functions only: the options that say where the data lies are read before.
"""

import errno
import io
import os
import stat
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Any

import click

from claudemem import datadir
from claudemem.commands import FAILED
from observations.errors import DomainError
from queueing.errors import QueueingError

COMMANDS = {
    "setup": "claudemem.commands.setup:setup",
    "start": "claudemem.commands.lifecycle:start",
    "stop": "claudemem.commands.lifecycle:stop",
    "restart": "claudemem.commands.lifecycle:restart",
    "up": "claudemem.commands.process:up",
    "status": "claudemem.commands.status:status",
    "demo": "claudemem.commands.demo:demo",
    "search": "claudemem.commands.search:search",
    "mcp": "claudemem.commands.mcp:mcp",
    "jobs": "claudemem.commands.jobs:jobs",
    "share": "claudemem.commands.share:share",
    "projects": "claudemem.commands.projects:projects",
    "usage": "claudemem.commands.usage:usage",
    "prune": "claudemem.commands.prune:prune",
    "drill": "claudemem.commands.drill:drill",
    "import": "claudemem.commands.importing:importing",
    "replay": "claudemem.commands.replay:replay",
    "api-key": "claudemem.commands.keys:api_key",
    "keys": "claudemem.commands.keys:keys_group",
    "createadmin": "claudemem.commands.first_run:createadmin",
    "migrate": "claudemem.commands.first_run:migrate",
    "db": "claudemem.commands.db:db",
    "web": "claudemem.commands.process:web",
    "worker": "claudemem.commands.process:worker",
    "beat": "claudemem.commands.process:beat",
    "flower": "claudemem.commands.process:flower",
    "healthcheck": "claudemem.commands.healthcheck:healthcheck",
    "first-run": "claudemem.commands.first_run:first_run",
    "install": "claudemem.commands.install:install",
    "plugin": "claudemem.commands.plugin:plugin",
    "uninstall": "claudemem.commands.uninstall:uninstall",
    "server": "claudemem.cli:server",
}
# What scripts for claude-mem call as `server …`.
OF_SERVER = ("start", "stop", "restart", "status", "worker", "api-key", "keys", "jobs")

_DEBUG = "claudemem.debug"
_UNWRITABLE = "let this user write there, or name another directory with --data-dir"
_FULL = "make room on its disk, and run it again"
# What to do about an error of the operating system, and about what SQLite says.
_OF_SYSTEM = {
    errno.EACCES: _UNWRITABLE,
    errno.EPERM: _UNWRITABLE,
    errno.EROFS: _UNWRITABLE,
    errno.ENOTDIR: "name another directory with --data-dir",
    errno.EEXIST: "it is no directory; name another one with --data-dir",
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
}
_OF_SQLITE = {
    "is full": _FULL,
    "is locked": "another process has been writing for long; run it again",
    "readonly": _UNWRITABLE,
    "unable to open": _UNWRITABLE,
    "disk I/O": "see that its disk is well and has room",
    "malformed": "put a backup in its place (docs/how-to/back-up-and-move.md)",
    "not a database": "put a backup in its place (docs/how-to/back-up-and-move.md)",
}
# As `postgresql.connections` says it, which is imported only where there is PostgreSQL.
_ENCODED = "it has the encoding"
_URL = "CLAUDE_MEM_SERVER_DATABASE_URL"
_MIGRATE = "bring it up to date with `claudemem migrate`"


def _use_data_dir(context: click.Context, option: click.Parameter, value: str | None) -> None:  # noqa: ARG001
    # An empty one is a variable of the shell that was not set, not this directory.
    if value:
        try:
            os.environ["CLAUDE_MEM_DATA_DIR"] = str(datadir.locate(value).root)
        except datadir.NoHome as error:
            raise click.ClickException(str(error)) from error


def _use_debug(context: click.Context, option: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value:
        context.meta[_DEBUG] = True


def _shared() -> list[click.Option]:
    """The options that stand after `claudemem` or after any of its commands."""
    return [
        click.Option(
            ["--data-dir"],
            type=click.Path(file_okay=False),
            expose_value=False,
            is_eager=True,
            callback=_use_data_dir,
            help="Where everything is kept. [default: $CLAUDE_MEM_DATA_DIR or ~/.claude-mem]",
        ),
        click.Option(
            ["--debug"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_use_debug,
            help="Show where an error comes from.",
        ),
    ]


class _Failed(click.ClickException):
    """An error in one sentence, and the exit code."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from either


class LazyGroup(click.Group):
    """Imports a command when it is called, and turns every error into one sentence."""

    names: Collection[str] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.names:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return _sharing(command)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.meta.get(_DEBUG):
                raise
            raise _Failed(sentence(error), ctx.meta.get(FAILED, 1)) from error


@click.group(cls=LazyGroup, params=_shared())
@click.version_option(package_name="claudemem")
def cli() -> None:
    """The memory server for coding agents: hooks in, observations out."""


class _OfServer(LazyGroup):
    names = OF_SERVER


@click.group(cls=_OfServer, hidden=True)
def server() -> None:
    """The commands of a server, as claude-mem calls them."""


def main() -> None:
    """Run the command line. Exits with 0, 1 for an error, 2 for a wrong call."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "claudemem.settings")
    # Whatever is kept is its owner's alone, also where the directory was there before.
    os.umask(0o077)
    _say_what_can_be_said()
    cli(prog_name="claudemem")


class _Outlet(io.FileIO):
    """A pipe into which one may go on writing when nobody reads it any more, as behind `head`.

    What a command was told to do is done then all the same, whatever it says of it.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # The same for those whom we start, and to whom we leave it.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _say_what_can_be_said() -> None:
    """Let no output end a command: a letter that a terminal does not know is shown by its code."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
            if _is_pipe(stream):
                setattr(sys, name, _into_outlet(stream))


def _is_pipe(stream: io.TextIOWrapper) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError):  # it leads to no file at all
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _into_outlet(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    outlet = _Outlet(stream.fileno(), "w", closefd=False)
    # With `python -u` there is nothing between the text and the pipe.
    through = isinstance(stream.buffer, io.RawIOBase)
    return io.TextIOWrapper(
        outlet if through else io.BufferedWriter(outlet),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def sentence(error: Exception) -> str:
    """What to tell the user about an error: its own words where they were written for users."""
    if isinstance(error, DomainError | QueueingError):
        return str(error)
    if type(error).__module__ == "django.core.exceptions":
        return str(error)
    if type(error).__module__.startswith("django.db"):
        return _of_database(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        what = _OF_SYSTEM.get(
            error.errno or 0, "run it again with --debug to see where this comes from"
        )
        return f"{error.strerror}{where}: {what}"
    return (
        f"this should not have happened: {type(error).__name__}: {error}; run it again with "
        "--debug to see where it comes from"
    )


def _of_database(error: Exception) -> str:
    # PostgreSQL goes on with hints, or the statement, line by line.
    said = str(error).partition("\n")[0]
    if said.startswith(_ENCODED):
        return f"the database cannot be used: {said}, and name that in {_URL}"
    psycopg = type(error.__cause__).__module__.startswith(("psycopg", "claudemem.postgresql"))
    if psycopg and type(error).__name__ in ("OperationalError", "InterfaceError"):
        return (
            f"the database cannot be used ({said}): see that PostgreSQL runs and takes connections "
            f"of this role, and that {_URL} names it rightly"
        )
    what = next((what for sign, what in _OF_SQLITE.items() if sign in said), _MIGRATE)
    return f"the database cannot be used ({said}): {what}"


def _sharing(command: click.Command) -> click.Command:
    names = {parameter.name for parameter in command.params}
    command.params.extend(option for option in _shared() if option.name not in names)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _sharing(inner)
    return command
