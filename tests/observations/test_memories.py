"""Memories made and forgotten by hand."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from observations import memories, recall
from observations.errors import Forbidden, InvalidInput
from observations.models import Observation, ObservationSource, Project, Session, Team

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def remember(project: Project, content: str, **fields: Any) -> Observation:
    return memories.remember(project.team_id, project.id, content=content, **fields)


def session(project: Project) -> Session:
    times = dict.fromkeys(("started_at", "last_event_at", "created_at", "updated_at"), NOW)
    return Session.objects.create(team=project.team, project=project, **times)


def test_a_memory_is_stored_as_it_is_told(project: Project) -> None:
    ours = session(project)
    row = remember(
        project,
        "Deploy with make ship",
        kind="decision",
        title="Deploying",
        session_id=ours.id,
        metadata={"type": "decision", "deep": {"list": [1, None, "é"]}},
    )
    row.refresh_from_db()
    assert (row.team, row.project, row.session) == (project.team, project, ours)
    assert (row.kind, row.title, row.content) == ("decision", "Deploying", "Deploy with make ship")
    assert row.metadata == {"type": "decision", "deep": {"list": [1, None, "é"]}}
    assert row.occurred_at == row.created_at == row.updated_at
    assert not row.sources.exists()


def test_a_memory_is_manual_unless_told_otherwise(project: Project) -> None:
    row = remember(project, "Note")
    assert (row.kind, row.title, row.session, row.metadata) == ("manual", "", None, {})


def test_a_memory_is_found_at_once_by_its_words_and_their_parts(project: Project) -> None:
    row = remember(project, "The cap lives in RetryStrategy.max_wait")
    for question in ("where is the cap", "retry strategy", "maxwait"):
        assert recall.search(project.id, question).observations == (row,)


def test_what_is_private_or_secret_is_not_stored(project: Project) -> None:
    row = remember(
        project,
        "Ask Ann. <private>She is on leave.</private> Key AKIAIOSFODNN7EXAMPLE",
        title="With AKIAIOSFODNN7EXAMPLE",
        metadata={"said": "<private>She is on leave.</private>", "password": "correct-horse-42"},
    )
    stored = repr(Observation.objects.filter(pk=row.pk).values().get())
    for secret in ("leave", "AKIAIOSFODNN7EXAMPLE", "correct-horse"):
        assert secret not in stored
    assert "Ask Ann." in stored


def test_characters_that_no_database_takes_are_cleaned(project: Project) -> None:
    row = remember(project, "a\0b \ud800", title="t\0", kind="k\0", metadata={"x\0": "\udfff"})
    row.refresh_from_db()
    assert (row.content, row.title, row.kind, row.metadata) == (
        "ab \ufffd", "t", "k", {"x": "\ufffd"},
    )  # fmt: skip


def test_blanks_are_a_content(project: Project) -> None:
    assert remember(project, "  ").content == "  "


@pytest.mark.parametrize("content", ["", "\0", "<private>all of it</private>"])
def test_a_content_of_which_nothing_may_be_kept_is_refused(project: Project, content: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        remember(project, content)
    assert refused.value.path == ("content",)
    assert not Observation.objects.exists()


@pytest.mark.parametrize("kind", ["", "k" * 101, "\0"])
def test_a_kind_has_a_sensible_length(project: Project, kind: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        remember(project, "Note", kind=kind)
    assert refused.value.path == ("kind",)


def test_metadata_that_is_nested_too_deep_is_refused(project: Project) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidInput) as refused:
        remember(project, "Note", metadata={"deep": deep})
    assert refused.value.path == ("metadata",)


def test_a_project_of_another_team_is_forbidden(project: Project) -> None:
    stranger = Team.objects.create(name="strangers")
    with pytest.raises(Forbidden, match="project_id must belong to team_id"):
        memories.remember(stranger.id, project.id, content="Note")


def test_a_session_of_another_project_is_forbidden(project: Project) -> None:
    sibling = Project.objects.create(team=project.team, name="sibling")
    for session_id in (session(sibling).id, "nothing"):
        with pytest.raises(Forbidden, match="server_session_id must belong to project_id and tea"):
            remember(project, "Note", session_id=session_id)


def test_forgetting_takes_the_row_its_sources_and_its_words(project: Project) -> None:
    row = remember(project, "The sextant")
    ObservationSource.objects.create(
        observation=row, source_type="agent_event", source_id="e1", created_at=NOW
    )
    assert memories.forget(project.team_id, project.id, row.id)
    assert not Observation.objects.exists()
    assert not ObservationSource.objects.exists()
    assert recall.search(project.id, "sextant").observations == ()
    assert not memories.forget(project.team_id, project.id, row.id)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the index of SQLite")
def test_no_word_of_what_was_forgotten_stays_in_the_index(project: Project) -> None:
    row = remember(project, "The sextant of Retry_Max", title="Sextants")
    memories.forget(project.team_id, None, row.id)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE VIRTUAL TABLE temp.words USING fts5vocab(main, observation_index, row)"
        )
        cursor.execute("SELECT term FROM temp.words")
        assert cursor.fetchall() == []
        cursor.execute("DROP TABLE temp.words")


def test_a_memory_out_of_reach_is_not_forgotten(project: Project) -> None:
    row = remember(project, "Note")
    sibling = Project.objects.create(team=project.team, name="sibling")
    stranger = Team.objects.create(name="strangers")
    assert not memories.forget(project.team_id, sibling.id, row.id)
    assert not memories.forget(stranger.id, None, row.id)
    assert memories.forget(project.team_id, None, row.id)
