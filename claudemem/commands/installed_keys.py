"""Keys of agents that were connected: made in the database, found again and revoked there."""

import socket

import click

from claudemem.commands import BY_OPERATOR, data_directory, load_django
from claudemem.install.clientfile import Target


def usable(given: str | None, config: Target | None) -> str | None:
    """The key to use: the one that is `given`, or that of the client's file if it still works.

    None where one has to be made. Raises ClickException for a given key that cannot be used.
    """
    load_django()
    ready = _has_tables()
    if given is not None:
        if not ready or not _works(given):
            raise click.ClickException(
                "the key given does not work here, or has not both memories:read and "
                "memories:write: leave --key out and one is made, or see `claudemem api-key list`"
            )
        return given
    return config.key if ready and config is not None and _works(config.key) else None


def make(agent: str) -> str:
    """A key for what an agent's hooks bring and what it asks, in all projects of the default team.

    It is named after the agent and this machine. A new database gets its tables.
    """
    data_directory().create()
    load_django()
    from observations import keys, scopes

    if not _has_tables():
        from claudemem import upgrade

        with upgrade.alone(click.echo):
            upgrade.bring_up_to_date()
    team, _project = keys.default_tenant()
    held = (scopes.MEMORIES_READ, scopes.MEMORIES_WRITE)
    host = "".join(each for each in socket.gethostname() if each.isprintable())
    name = f"{agent} on {host or 'this machine'}"[:120]
    return keys.create(name, held, team=team, origin=BY_OPERATOR).raw


def revoke(raw: str) -> bool:
    """Make a key useless; False where this installation knows none such that works."""
    load_django()
    from observations import keys

    if not _has_tables():
        return False
    key = keys.holder_of(raw)
    if key is None or key.revoked_at is not None:
        return False
    keys.revoke(key.id, origin=BY_OPERATOR)
    return True


def _works(raw: str) -> bool:
    from observations import keys, scopes

    found = keys.authenticate(raw)
    needs = (scopes.WRITE_EVENTS, scopes.READ_MEMORY, scopes.WRITE_MEMORY)
    return found is not None and all(scopes.allows(found.scopes, need) for need in needs)


def _has_tables() -> bool:
    from django.db import connection

    from observations.models import ApiKey

    return ApiKey._meta.db_table in connection.introspection.table_names()
