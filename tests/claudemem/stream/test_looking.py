"""The journal is followed in parts that are not too long, from where it stood at first."""

import pytest
from django.db import transaction

from claudemem.stream import looking
from claudemem.stream.looking import Look
from observations import audit, entries, keys
from observations.entries import Entry
from observations.journal import Place
from observations.models import Project

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("alone_on_the_server"),
]


def enter(project: Project, events: int, times: int) -> None:
    details = {"eventIds": [f"e{number}" for number in range(events)]}
    with transaction.atomic():
        audit.write([
            Entry(entries.BATCH_RECEIVED, entries.EVENT, None, project.team_id, project.id,
                  details=details)
            for _ in range(times)
        ])  # fmt: skip


def test_it_begins_where_the_journal_stands_and_goes_on_from_look_to_look(
    project: Project,
) -> None:
    enter(project, 1, 2)
    look = Look()
    first, found = look.take([project.team_id])
    assert first is not None
    assert (first.number > 0, found, look.has_more) == (True, [], False)
    enter(project, 1, looking.PAGE + 1)
    second, _ = look.take([project.team_id])
    assert second is not None
    assert (second.number, look.has_more) == (first.number + looking.PAGE, True)
    third, _ = look.take([project.team_id])
    assert third is not None
    assert (third.number, look.has_more) == (second.number + 1, False)
    assert look.take([project.team_id]) == (third, [])


def test_large_batches_are_read_one_by_one(project: Project) -> None:
    enter(project, looking.MOST_EVENTS, 2)
    enter(project, 1, 1)
    settled, _ = Look().take([])
    assert settled is not None
    parts = [looking.page(Place(), settled, [project.team_id])]
    while not parts[-1].whole:
        parts.append(looking.page(parts[-1].place, settled, [project.team_id]))
    assert len(parts) == 3
    assert parts[-1].place == settled


def test_who_may_not_read_any_more_may_not_listen_either(project: Project) -> None:
    read, write = (keys.create("k", [name], team=project.team).key.id
                   for name in ("observations:read", "memories:write"))  # fmt: skip
    gone, all_of_it = (keys.create("k", ["*"], team=project.team).key.id for _ in range(2))
    keys.revoke(gone)
    heard = {read, write, gone, all_of_it, "unknown"}
    assert looking.hearing(heard) == {read, all_of_it}
    keys.migrate_scopes(read, ["events:write"])
    assert looking.hearing(heard) == {all_of_it}
