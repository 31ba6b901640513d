"""`claudemem healthcheck`: whether the role that runs beside it is alive, for containers."""

import time

import click

from claudemem import alive


@click.command(short_help="Tell whether a container's role is alive.")
@click.argument("role", type=click.Choice(alive.ROLES), required=False)
def healthcheck(role: str | None) -> None:
    """Tell whether the role in this container is alive: exits with 0 if it is, else with 1.

    Without a name it is the role that announced itself in CLAUDE_MEM_ALIVE_FILE.
    """
    from claudemem import settings

    chosen = role or alive.role_of(settings.ALIVE_FILE)
    if not chosen:
        raise click.ClickException(
            "no role has announced itself: start one with CLAUDE_MEM_ALIVE_FILE set, or name it"
        )
    if wrong := _wrong(chosen):
        raise click.ClickException(wrong)


def _wrong(role: str) -> str:
    from claudemem import settings

    if role == alive.WEB:
        return alive.unanswered(role, settings.HOST, settings.PORT, "/healthz")
    if role == alive.FLOWER:
        path = f"/{settings.FLOWER_PREFIX}/healthcheck".replace("//", "/")
        return alive.unanswered(role, settings.FLOWER_HOST, settings.FLOWER_PORT, path)
    if role != alive.role_of(settings.ALIVE_FILE):
        return f"no {role} has announced itself in CLAUDE_MEM_ALIVE_FILE"
    return alive.silence(settings.ALIVE_FILE, time.time())
