"""`claudemem api-key rotate`: a key takes the place of another one, also where that is kept."""

import json
import os
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from claudemem import kept, settingsfile
from claudemem.commands import BY_OPERATOR, data_directory, load_django

if TYPE_CHECKING:
    from observations.keys import Minted
    from observations.models import ApiKey

KEY, PROJECT = "CLAUDE_MEM_SERVER_API_KEY", "CLAUDE_MEM_SERVER_PROJECT_ID"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MOST_DAYS = 365


class Duration(click.ParamType[timedelta]):
    """A time as 90s, 15m, 24h or 7d; 0 is none."""

    name = "TIME"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> timedelta:
        """The time that a text names."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,9})([smhd])|0", value.strip(), re.ASCII)
        time = timedelta(seconds=int(found[1] or 0) * _SECONDS[found[2] or "s"]) if found else None
        if time is None or time > timedelta(days=_MOST_DAYS):
            self.fail(f"{value!r} is no time as 90s, 15m, 24h or 7d, at most {_MOST_DAYS}d")
        return time


@click.command(short_help="Put a key in another one's place.")
@click.argument("key_id", metavar="[ID]", required=False)
@click.option(
    "--grace",
    type=Duration(),
    default="24h",
    show_default=True,
    help="How long the former key goes on working; 0 ends it at once.",
)
def rotate(key_id: str | None, grace: timedelta) -> None:
    """Make a key with the name, scopes, team and project of another one, which ends after a while.

    Without an ID it is the key in the settings file. Where the former key is in that file, the one
    that was made takes its place there. What was queued with the former key is worked all the same.
    """
    load_django()
    from observations import keys

    holds = _held()
    old_id = key_id or (holds.id if holds else _nobody())
    minted = keys.rotate(old_id, grace, origin=BY_OPERATOR)
    failure = _keep(minted) if holds and holds.id == old_id else None
    _tell(minted, old_id, kept_there=bool(holds and holds.id == old_id and not failure))
    if failure:
        raise click.ClickException(
            f"the key above works, but could not be kept ({failure}): put it there as {KEY}"
        )


def show(data: dict[str, Any]) -> None:
    """Print it as JSON."""
    click.echo(json.dumps(data, indent=2))


def iso(moment: datetime | None) -> str | None:
    """The moment in words, if there is one."""
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def _held() -> "ApiKey | None":
    """The key of this server that the settings file holds. Raises ClickException."""
    from observations import keys

    said = settingsfile.read(data_directory().settings)
    if said.faults:
        raise click.ClickException("; ".join(said.faults))
    raw = said.said[KEY].text if KEY in said.said else ""
    return keys.holder_of(raw) if raw else None


def _nobody() -> str:
    raise click.ClickException(
        f"{data_directory().settings} holds no key of this server as {KEY}: name the id of one, as "
        "`claudemem api-key list` shows it"
    )


def _keep(minted: "Minted") -> str | None:
    """Put the key into the settings file; what went wrong, if something did."""
    project = minted.key.project_id
    changes: dict[str, str | None] = {KEY: minted.raw, **({PROJECT: project} if project else {})}
    try:
        settingsfile.write(data_directory().settings, changes)
    except (OSError, kept.Broken) as error:
        return str(error)
    return None


def _tell(minted: "Minted", old_id: str, *, kept_there: bool) -> None:
    from observations.models import ApiKey

    key, old = minted.key, ApiKey.objects.get(pk=old_id)
    show(
        {
            "rotated": True,
            "apiKeyId": key.id,
            "key": minted.raw,
            "name": key.name,
            "teamId": key.team_id,
            "projectId": key.project_id,
            "scopes": key.scopes,
            "expiresAt": iso(key.expires_at),
            "replaces": {"id": old.id, "expiresAt": iso(old.expires_at)},
            "settingsPath": str(data_directory().settings) if kept_there else None,
        }
    )
    if kept_there and os.environ.get(KEY):
        click.echo(
            f"Warning: {KEY} is set in the environment, which wins over the settings file: put the "
            "key above there as well, or unset it",
            err=True,
        )
