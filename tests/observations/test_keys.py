from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from observations import keys
from observations.errors import Forbidden, InvalidInput, NotFound
from observations.keys import Principal
from observations.models import ApiKey, AuditEntry, Project, Team
from queueing import direct

READ = ("memories:read",)


def test_a_key_is_known_by_its_holder_and_stored_only_as_a_hash(project: Project) -> None:
    minted = keys.create("ci", READ, team=project.team, project=project)
    assert len(minted.raw) == 53
    assert minted.raw.startswith("cmem_")
    assert set(minted.raw.removeprefix("cmem_")) <= set("0123456789abcdef")
    stored = ApiKey.objects.filter(pk=minted.key.pk).values().get()
    assert stored["key_hash"] == sha256(minted.raw.encode()).hexdigest()
    assert minted.raw not in str(stored)
    assert keys.authenticate(minted.raw) == Principal(
        minted.key.id, project.team_id, project.id, frozenset(READ)
    )


def test_what_is_secret_in_its_name_is_in_no_row(team: Team) -> None:
    other = keys.create("other", READ, team=team).raw
    made = keys.create(f"of <private>Ada</private> for {other}", READ, team=team).key
    assert made.name.startswith("of  for [redacted:")
    assert other not in str(list(AuditEntry.objects.values_list("details", flat=True)))
    with pytest.raises(InvalidInput, match="printable"):
        keys.create("<private>Ada</private>", READ, team=team)


def test_authentication_is_one_query(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = keys.create("k", ["*"], team=team).raw
    asked: list[str] = []

    def counting(text: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        asked.append(text)
        return fetch(text, params)

    fetch = direct.fetch
    monkeypatch.setattr(direct, "fetch", counting)
    assert keys.authenticate(raw)
    assert len(asked) == 1


@pytest.mark.parametrize("raw", ["", "cmem_", "nonsense", "ключ", "\ud800", "x" * 100_000, "a\0b"])
def test_any_string_is_looked_up_and_a_wrong_one_misses(db: None, raw: str) -> None:
    assert keys.authenticate(raw) is None


def test_a_key_of_any_form_works_whose_hash_is_stored(team: Team) -> None:
    raw = "cm_from-another-server"
    ApiKey.objects.create(
        name="imported",
        team=team,
        scopes=["*"],
        key_hash=sha256(raw.encode()).hexdigest(),
    )
    assert keys.authenticate(raw) is not None


def test_a_revoked_key_is_refused_at_once(team: Team) -> None:
    minted = keys.create("ci", READ, team=team)
    assert keys.authenticate(minted.raw)
    keys.revoke(minted.key.id)
    assert keys.authenticate(minted.raw) is None


def test_revoking_again_or_something_unknown_is_not_found(team: Team) -> None:
    minted = keys.create("ci", READ, team=team)
    keys.revoke(minted.key.id)
    for key_id in (minted.key.id, "nonsense"):
        with pytest.raises(NotFound, match=key_id):
            keys.revoke(key_id)


@pytest.mark.parametrize(("seconds", "works"), [(60, True), (0, False), (-1, False)])
def test_a_key_works_until_it_expires(team: Team, seconds: int, works: bool) -> None:
    end = timezone.now() + timedelta(seconds=seconds)
    minted = keys.create("ci", READ, team=team, expires_at=end)
    assert (keys.authenticate(minted.raw) is not None) == works
    assert keys.status(minted.key, timezone.now()) == ("active" if works else "expired")


def test_only_keys_that_work_are_listed_as_active(team: Team) -> None:
    past = timezone.now() - timedelta(days=1)
    working = keys.create("working", READ, team=team).key
    keys.create("expired", READ, team=team, expires_at=past)
    revoked = keys.create("revoked", READ, team=team).key
    keys.revoke(revoked.id)
    revoked.refresh_from_db()
    assert list(keys.listed(team_id=team.id, active=True)) == [working]
    assert [key.name for key in keys.listed()] == ["revoked", "expired", "working"]
    assert keys.status(revoked, timezone.now()) == "revoked"


def test_a_key_bound_to_a_project_is_bound_to_its_team(project: Project) -> None:
    other = Team.objects.create(name="other")
    for team in (other, None):
        with pytest.raises(InvalidInput, match="does not belong"):
            keys.create("ci", READ, team=team, project=project)
    with pytest.raises(IntegrityError):
        ApiKey.objects.create(name="x", key_hash="x", project=project)


@pytest.mark.parametrize("name", ["", "  ", "x" * 121, "a\nb", "a\0b"])
def test_a_key_needs_a_name_that_can_be_shown(team: Team, name: str) -> None:
    with pytest.raises(InvalidInput):
        keys.create(name, READ, team=team)


def test_the_default_tenant_is_made_once_and_shared(db: None) -> None:
    assert keys.default_tenant() == keys.default_tenant() == keys.tenant(None, None)
    assert Team.objects.count() == Project.objects.count() == 1


def test_names_are_made_when_new_and_found_when_not(db: None) -> None:
    team, project = keys.tenant("acme", "web")
    assert project is not None
    assert (team.name, project.name, project.team_id) == ("acme", "web", team.id)
    assert keys.tenant("acme", "web") == (team, project)
    assert keys.tenant(team.id, "web") == (team, project)
    assert keys.tenant("acme", None) == (team, None)


def test_a_project_alone_is_one_of_the_default_team_or_the_one_with_that_id(
    project: Project,
) -> None:
    team, made = keys.tenant(None, "web")
    assert team.name == "default"
    assert made is not None
    assert keys.tenant(None, project.id) == (project.team, project)
    assert keys.tenant(project.team.id, project.id) == (project.team, project)


def test_an_unknown_id_makes_nothing(db: None) -> None:
    unknown = "0198c8a2-0000-7000-8000-000000000000"
    for team, project in ((unknown, None), (None, unknown), (unknown, "web"), ("acme", unknown)):
        with pytest.raises(NotFound, match=unknown):
            keys.tenant(team, project)
    assert not Team.objects.exists()
    assert not Project.objects.exists()


def test_a_project_of_another_team_is_refused(project: Project) -> None:
    with pytest.raises(Forbidden, match="another team"):
        keys.tenant("acme", project.id)
    assert not Team.objects.filter(name="acme").exists()


# --- handed on, rotated, given other scopes ------------------------------------------------------


def test_a_key_that_is_rotated_is_followed_by_one_like_it(project: Project) -> None:
    old = keys.create("ci", READ, team=project.team, project=project)
    new = keys.rotate(old.key.id, timedelta(hours=1))
    assert new.raw != old.raw
    assert (new.key.name, new.key.scopes, new.key.team, new.key.project, new.key.expires_at) == (
        "ci", ["memories:read"], project.team, project, None,
    )  # fmt: skip
    for minted in (old, new):
        assert keys.authenticate(minted.raw)
    old.key.refresh_from_db()
    assert old.key.expires_at is not None
    assert timedelta(minutes=59) < old.key.expires_at - timezone.now() <= timedelta(hours=1)


def test_without_a_grace_the_former_key_ends_at_once(team: Team) -> None:
    old = keys.create("ci", READ, team=team)
    new = keys.rotate(old.key.id, timedelta())
    assert keys.authenticate(old.raw) is None
    assert keys.authenticate(new.raw)


def test_a_key_that_follows_works_as_long_as_the_former_was_made_to(team: Team) -> None:
    old = keys.create("ci", READ, team=team, expires_at=timezone.now() + timedelta(days=90))
    ApiKey.objects.update(
        created_at=timezone.now() - timedelta(days=89),
        expires_at=timezone.now() + timedelta(days=1),
    )
    ends = ApiKey.objects.get().expires_at
    new = keys.rotate(old.key.id, timedelta(days=7)).key
    assert new.expires_at is not None
    lifetime = new.expires_at - timezone.now()
    assert timedelta(days=89, hours=23) < lifetime <= timedelta(days=90)
    # A grace is no extension.
    assert ApiKey.objects.get(pk=old.key.id).expires_at == ends


def test_what_does_not_work_is_not_rotated(team: Team) -> None:
    revoked = keys.create("a", READ, team=team).key.id
    keys.revoke(revoked)
    expired = keys.create("b", READ, team=team, expires_at=timezone.now()).key.id
    for key_id in (revoked, expired, "nonsense"):
        with pytest.raises(NotFound, match=key_id):
            keys.rotate(key_id, timedelta())
    assert ApiKey.objects.count() == 2


def test_rotation_and_other_scopes_are_in_the_audit(team: Team) -> None:
    old = keys.create("ci", READ, team=team).key
    new = keys.rotate(old.id, timedelta()).key
    keys.migrate_scopes(new.id, ["memories:read", "memories:write"])
    rotated = AuditEntry.objects.get(action="api_key.rotate")
    assert (rotated.resource_id, rotated.details["replacedBy"]) == (old.id, new.id)
    changed = AuditEntry.objects.get(action="api_key.migrate_scopes")
    assert changed.details["previousScopes"] == ["memories:read"]
    assert changed.details["scopes"] == ["memories:read", "memories:write"]
    assert AuditEntry.objects.filter(action="api_key.create").count() == 2


def test_other_scopes_hold_from_the_next_request_on(team: Team) -> None:
    minted = keys.create("hook", ["events:write"], team=team)
    keys.migrate_scopes(minted.key.id, ["memories:read"])
    principal = keys.authenticate(minted.raw)
    assert principal
    assert principal.scopes == {"memories:read"}
    with pytest.raises(NotFound, match="nonsense"):
        keys.migrate_scopes("nonsense", ["*"])


def test_what_the_index_takes_for_equal_is_compared_all_the_same(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ("id", team.id, None, ["*"], "0" * 64)
    monkeypatch.setattr(direct, "fetch", lambda *_: [row])
    assert keys.authenticate("not the one") is None


def test_who_needs_no_key_works_in_the_default_project_and_is_nobodys_key(db: None) -> None:
    nobody = keys.unkeyed()
    team, project = keys.default_tenant()
    assert (nobody.api_key_id, nobody.team_id, nobody.project_id) == (None, team.id, project.id)
    assert keys.unkeyed() == nobody
