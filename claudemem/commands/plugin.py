"""`claudemem plugin build`: what `install claude-code` does, as a plugin to be handed around."""

import json
from pathlib import Path

import click


@click.group
def plugin() -> None:
    """Build a plugin for Claude Code."""


@plugin.command
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--remote", metavar="URL", help="The server it is for. [default: the local one]")
def build(directory: Path, remote: str | None) -> None:
    """Write a marketplace with the plugin into DIR: hooks, tools of memory and a skill.

    There is no key in it: each who installs it has one in CLAUDE_MEM_SERVER_API_KEY.
    """
    from importlib.metadata import version

    from claudemem.commands.remote_server import address
    from claudemem.commands.replay import local_url
    from claudemem.install import plugin as made

    _see(directory / made.MARKETPLACE, made.NAME)
    url = address(remote) if remote is not None else local_url()
    files = made.files(url, version("claudemem"), _client())
    for path in (directory / made.NAME / made.CLIENT).glob("*.py"):
        path.unlink()
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    click.echo(f"built     the plugin for {url} in {directory}\n\n{_told(directory, made.NAME)}")


def _see(marketplace: Path, name: str) -> None:
    """Refuse a directory in which others have something. Raises ClickException."""
    folder = marketplace.parents[1]
    if not folder.exists() or all(each.name == ".git" for each in folder.iterdir()):
        return
    try:
        ours = json.loads(marketplace.read_text())["name"] == name
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise click.ClickException(
            f"{folder} is not empty, and no marketplace of ours: name another directory"
        )


def _client() -> dict[str, bytes]:
    from claudemem import hook

    folder = Path(hook.__path__[0])
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.py"))}


def _told(directory: Path, name: str) -> str:
    return (
        "Install it with\n\n"
        f"  claude plugin marketplace add {directory.absolute()}\n"
        f"  claude plugin install {name}@{name}\n\n"
        "where CLAUDE_MEM_SERVER_API_KEY holds a key of that server, and python3 is 3.11 or later."
    )
