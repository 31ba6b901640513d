"""API keys: made once, shown once, looked up at every request by their SHA-256.

A key is 24 random bytes, so that its hash needs neither salt nor cost, and how long the index takes
to find one says nothing of any: who knew a whole hash would still have no key. What was found is
compared in constant time all the same, whatever the collation took for equal.
"""

import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from observations import audit, entries, scopes
from observations.entries import BY_PROGRAM, Origin
from observations.errors import Forbidden, InvalidInput, NotFound
from observations.models import ApiKey, Project, Team
from observations.privacy import scrub_text
from queueing import direct

PREFIX = "cmem_"
# Of keys that are handed on from a key.
LINK_PREFIX = "cm_"
DEFAULT_NAME = "default"
# Who did it, in the audit, where no key was needed.
UNKEYED = "system:local-dev"
_LONGEST_NAME = 200

_AUTHENTICATE = """
    SELECT id, team_id, project_id, scopes, key_hash FROM observations_apikey
    WHERE key_hash = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %s)"""

Row = TypeVar("Row", Team, Project)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a key, what it is bound to, and the scopes that it holds.

    Whoever calls from this machine without one, where that is allowed, has no `api_key_id`.
    """

    api_key_id: str | None
    team_id: str | None
    project_id: str | None
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Minted:
    """A key that was just made. `raw` is what callers send; it cannot be had again."""

    key: ApiKey
    raw: str


def create(
    name: str,
    scopes: Sequence[str],
    *,
    team: Team | None,
    project: Project | None = None,
    expires_at: datetime | None = None,
    origin: Origin = BY_PROGRAM,
    prefix: str = PREFIX,
) -> Minted:
    """Make a key bound to `team`, or to one `project` of it, as `origin` asks.

    Raises InvalidInput.
    """
    if project is not None and (team is None or project.team_id != team.id):
        raise InvalidInput("The project does not belong to the team.", ("project",))
    raw = prefix + secrets.token_hex(24)
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=_label(name),
            key_hash=_hash(raw),
            team=team,
            project=project,
            scopes=list(scopes),
            expires_at=expires_at,
        )
        audit.write([entries.of_key(entries.KEY_CREATE, key, origin)])
    return Minted(key, raw)


def listed(*, team_id: str | None = None, active: bool = False) -> QuerySet[ApiKey]:
    """Keys, newest first: those of a team, or all; with `active` only those that still work."""
    keys = ApiKey.objects.order_by("-created_at", "-id")
    if team_id is not None:
        keys = keys.filter(team_id=team_id)
    return working(keys) if active else keys


def working(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """Those of these keys that are neither revoked nor expired."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return keys.filter(unexpired, revoked_at__isnull=True)


def status(key: ApiKey, now: datetime) -> str:
    """One of active, expired, revoked."""
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def revoke(key_id: str, *, origin: Origin = BY_PROGRAM) -> None:
    """Make a key useless from the next request on, as `origin` asks.

    NotFound if there is none, or it is already.
    """
    working = ApiKey.objects.filter(pk=key_id, revoked_at__isnull=True)
    with transaction.atomic():
        if not working.update(revoked_at=timezone.now()):
            raise NotFound(f"API key not found or already revoked: {key_id}")
        key = ApiKey.objects.get(pk=key_id)
        audit.write([entries.of_key(entries.KEY_REVOKE, key, origin)])


def link(
    by: Principal, name: str, *, expires_at: datetime | None = None, origin: Origin = BY_PROGRAM
) -> Minted:
    """Make a key that reads what the key of `by` reaches, and ends with it at the latest.

    Raises Forbidden for a key that may not read itself, InvalidInput.
    """
    if not scopes.allows(by.scopes, scopes.READ_MEMORY):
        raise Forbidden("A key that may not read makes none that may")
    whole = scopes.allows(by.scopes, frozenset({scopes.MEMORIES_READ}))
    ends = ApiKey.objects.filter(pk=by.api_key_id).values_list("expires_at", flat=True).first()
    return create(
        name,
        # The wider of the two reads jobs as well.
        [scopes.MEMORIES_READ if whole else scopes.OBSERVATIONS_READ],
        team=Team.objects.get(pk=by.team_id),
        project=Project.objects.filter(pk=by.project_id).first(),
        expires_at=min(filter(None, (ends, expires_at)), default=None),
        origin=origin,
        prefix=LINK_PREFIX,
    )


def withdraw(by: Principal, key: ApiKey, *, origin: Origin = BY_PROGRAM) -> None:
    """Revoke a key on behalf of another one.

    Raises Forbidden where it may do what `by` may not, NotFound where it is revoked already.
    """
    if scopes.EVERYTHING not in by.scopes and not by.scopes.issuperset(key.scopes):
        raise Forbidden("A key that may do more than the one that asks is not revoked by it")
    revoke(key.id, origin=origin)


def rotate(key_id: str, grace: timedelta, *, origin: Origin = BY_PROGRAM) -> Minted:
    """Make a key that takes the place of another one, which works for `grace` more at most.

    It has the same name, scopes, team and project, and works as long as the other one was made to.
    Raises NotFound for a key that does not work.
    """
    now = timezone.now()
    with transaction.atomic():
        those = listed(active=True).filter(pk=key_id)
        old = those.select_for_update(of=("self",), no_key=True).first()
        if old is None:
            raise NotFound(f"There is no API key that works with the id {key_id}.")
        lifetime = old.expires_at - old.created_at if old.expires_at else None
        minted = create(
            old.name,
            old.scopes,
            team=old.team,
            project=old.project,
            expires_at=now + lifetime if lifetime else None,
            origin=origin,
        )
        old.expires_at = min(now + grace, old.expires_at or now + grace)
        old.save(update_fields=["expires_at"])
        audit.write([entries.of_key(entries.KEY_ROTATE, old, origin, replacedBy=minted.key.id)])
    return minted


def migrate_scopes(key_id: str, held: Sequence[str], *, origin: Origin = BY_PROGRAM) -> ApiKey:
    """Give a key these scopes in place of those it has. Raises NotFound."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update(no_key=True).filter(pk=key_id).first()
        if key is None:
            raise NotFound(f"API key not found: {key_id}")
        before, key.scopes = key.scopes, list(held)
        key.save(update_fields=["scopes"])
        audit.write([entries.of_key(entries.KEY_SCOPES, key, origin, previousScopes=before)])
    return key


def holder_of(raw: str) -> ApiKey | None:
    """The key that `raw` is, whether it works or not."""
    return ApiKey.objects.filter(key_hash=_hash(raw)).first()


def authenticate(raw: str) -> Principal | None:
    """Whoever holds the key `raw`, if it was neither revoked nor has expired: one query, no cache.

    Written in SQL because it runs before everything else at every request.
    """
    hashed = _hash(raw)
    for key_id, team_id, project_id, held, kept in direct.fetch(
        _AUTHENTICATE, [hashed, direct.stored(datetime.now(UTC))]
    ):
        if not compare_digest(hashed, kept):
            return None
        names = _held(held) if isinstance(held, str) else frozenset(held)
        return Principal(key_id, team_id, project_id, names)
    return None


@lru_cache(maxsize=256)
def _held(scopes: str) -> frozenset[str]:
    return frozenset(json.loads(scopes))


def unkeyed() -> Principal:
    """Whoever may call without a key: somebody of the default project, which is made if missing."""
    team, project = default_tenant()
    return Principal(None, team.id, project.id, scopes.OF_UNKEYED)


def default_tenant() -> tuple[Team, Project]:
    """The team and project of those who named none; made when first asked for."""
    team = _team_named(DEFAULT_NAME)
    return team, _project_named(team, DEFAULT_NAME)


@transaction.atomic
def tenant(team: str | None, project: str | None) -> tuple[Team, Project | None]:
    """The team and project meant by ids or names, either of which may be left out.

    None of both: the default ones. A team alone: no project. A project alone: that of this id, or
    of this name in the default team. A name that is new is made; an id that is unknown is
    NotFound, as is one of another team Forbidden.
    """
    if project is None:
        return (_team(team), None) if team is not None else default_tenant()
    if _is_id(project):
        found = _by_id(Project.objects.select_related("team"), project, "project")
        if team is not None and found.team_id != _team(team).id:
            raise Forbidden(f"The project {project} belongs to another team.")
        return found.team, found.merged_into or found
    owner = _team(team) if team is not None else _team_named(DEFAULT_NAME)
    return owner, _project_named(owner, project)


def _team(which: str) -> Team:
    return _by_id(Team.objects.all(), which, "team") if _is_id(which) else _team_named(which)


def _by_id(rows: QuerySet[Row], pk: str, noun: str) -> Row:
    found = rows.filter(pk=pk).first()
    if found is None:
        raise NotFound(f"There is no {noun} with the id {pk}.")
    return found


def _team_named(name: str) -> Team:
    return Team.objects.get_or_create(name=_named(name, "team"))[0]


def _project_named(team: Team, name: str) -> Project:
    found = Project.objects.get_or_create(team=team, name=_named(name, "project"))[0]
    return found.merged_into or found


def _label(name: str) -> str:
    """What a key is for, without what is private or secret: a key, pasted in the wrong place."""
    return _named(scrub_text(_named(name, "name", longest=120)), "name", longest=120)


def _named(name: str, field: str, longest: int = _LONGEST_NAME) -> str:
    clean = name.strip()
    if not clean or len(clean) > longest or not clean.isprintable():
        raise InvalidInput(f"A {field} needs 1 to {longest} printable characters.", (field,))
    return clean


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _hash(raw: str) -> str:
    return sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
