"""What an installation needs before its first request: tables, an admin, a first key."""

import secrets
import sys
from dataclasses import dataclass

import click

from claudemem.commands import load_django

ADMIN = "admin"
BY_BOOTSTRAP = {"source": "server-bootstrap", "actor_id": "system:server-bootstrap"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was made and is shown once; None for what was there already."""

    admin_password: str | None
    api_key: str | None


@click.command()
def migrate() -> None:
    """Bring the database up to date."""
    load_django()
    from claudemem import upgrade

    with upgrade.alone(click.echo):
        done = upgrade.bring_up_to_date()
    click.echo("the database was brought up to date" if done else "the database is up to date")


@click.command(short_help="Make a user of the admin.")
@click.argument("username", default=ADMIN)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def createadmin(username: str, password_stdin: bool) -> None:
    """Make a user of the admin; the password is made up and shown once."""
    load_django()
    password = sys.stdin.readline().rstrip("\n") if password_stdin else _password()
    _create_admin(username, password)
    if not password_stdin:
        click.echo(f"admin user      {username}\nadmin password  {password}   (shown once)")


@click.command(hidden=True)
@click.option("--flower", is_flag=True, help="Make Flower's password as well.")
def first_run(flower: bool) -> None:
    """Bring the database up to date, and make the admin, team, project and key of a new one."""
    load_django()
    from django.conf import settings

    from claudemem import stores, upgrade
    from queueing import clock

    for warning in stores.warnings(settings.STORE):
        click.echo(f"Warning: {warning}", err=True)
    with upgrade.alone(click.echo):
        upgrade.bring_up_to_date()
        if apart := clock.set_right():
            said = f"the database's clock was set right by {apart:+.0f} s"
            click.echo(f"{said}, and with it all that waits for a moment", err=True)
        made = prepare()
    if made != Secrets(None, None):
        click.echo(_welcome(made))
    if flower:
        show_new_password()


def prepare() -> Secrets:
    """Make the admin user and the API key of a new installation; what is there stays."""
    from django.contrib.auth import get_user_model
    from django.db import transaction

    from observations import keys, scopes
    from observations.models import ApiKey

    password = api_key = None
    with transaction.atomic():
        team, _project = keys.default_tenant()
        if not get_user_model().objects.filter(is_superuser=True).exists():
            password = _password()
            _create_admin(ADMIN, password)
        if not ApiKey.objects.exists():
            # Of the team and not of one project: an agent's events go to the project it works in.
            held = (scopes.MEMORIES_READ, scopes.MEMORIES_WRITE)
            api_key = keys.create("first key", held, team=team, origin=BY_BOOTSTRAP).raw
    return Secrets(password, api_key)


def show_new_password() -> None:
    """Make Flower's password if there is none, and show it."""
    from claudemem import flower, settings

    if flower.password_is_missing():
        click.echo(
            f"\n  Flower user      {settings.FLOWER_USER}\n"
            f"  Flower password  {flower.password()}\n\n"
            f"It is shown once, and kept in {settings.DATA_DIR.flower_password}.\n"
        )


def _create_admin(username: str, password: str) -> None:
    from django.contrib.auth import get_user_model
    from django.contrib.auth.password_validation import validate_password
    from django.core.exceptions import ValidationError

    users = get_user_model()
    if users.objects.filter(username=username).exists():
        raise click.ClickException(
            f"there is a user {username!r} already: choose another name, or change the password "
            f"in the admin"
        )
    try:
        validate_password(password)
    except ValidationError as error:
        raise click.ClickException(" ".join(error.messages)) from error
    users.objects.create_superuser(username, password=password)


def _password() -> str:
    return secrets.token_urlsafe(15)


def _welcome(made: Secrets) -> str:
    from django.conf import settings

    from claudemem import listening

    url = listening.url(settings.HOST, settings.PORT)
    lines = ["", "These are shown once, now:", ""]
    if made.admin_password:
        lines += [f"  admin user      {ADMIN}", f"  admin password  {made.admin_password}"]
    if made.api_key:
        lines += [f"  API key         {made.api_key}"]
    return "\n".join(
        [
            *lines,
            "",
            "What to do next:",
            "",
            f"  admin  open {url}/admin/ and log in",
            "  agent  connect Claude Code with `claudemem install claude-code`",
            "  demo   `make demo` in another terminal shows it on recorded sessions",
            "",
        ]
    )
