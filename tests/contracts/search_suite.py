"""What every search backend must do; a backend's test class inherits this and names its index.

Rows are written by the ORM and by nothing else: that the index follows them is part of the promise.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observations.models import Event, Observation, ObservationSource, Project, Session, Team
from observations.search import Filters, KeywordIndex
from observations.search.terms import Query, parts, query_terms

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIELDS = ("title", "subtitle", "narrative", "content")

HOSTILE = (
    '"',
    '""',
    "'",
    "a OR",
    "OR NOT AND",
    "NEAR(lock, 3)",
    "lock*",
    "^lock",
    "title:lock",
    "{title narrative}:lock",
    "- title : lock",
    "lock) OR (lock",
    "lock\0DROP",
    "'; DROP TABLE observations_observation; --",
    "lock \ud800 \udfff",
    "%s %(x)s {0} {conditions}",
    "\\",
    "-lock",
    '-"',
    '-"" lock',
    "lock " * 5000,
    "é" * 9000,
    "\u202e lock \ufeff",
)


@pytest.mark.django_db
class SearchContract:
    """The promise of KeywordIndex."""

    index: KeywordIndex

    @pytest.fixture(autouse=True)
    def _place(self, project: Project) -> None:
        self.project = project

    def add(self, title: str = "", *, project: Project | None = None, **fields: Any) -> Observation:
        place = project or self.project
        fields.setdefault("content", fields.get("narrative") or title or "-")
        fields.setdefault("occurred_at", NOON)
        texts = [title, *(fields.get(name, "") for name in FIELDS), *fields.get("facts", [])]
        texts += [*fields.get("files_read", []), *fields.get("files_modified", [])]
        return Observation.objects.create(
            team=place.team,
            project=place,
            title=title,
            parts=parts(*texts),
            created_at=NOON,
            updated_at=NOON,
            **fields,
        )

    def session(self, platform: str | None) -> Session:
        return Session.objects.create(
            team=self.project.team,
            project=self.project,
            platform_source=platform,
            started_at=NOON,
            last_event_at=NOON,
            created_at=NOON,
            updated_at=NOON,
        )

    def event_of(self, row: Observation, platform: str | None) -> None:
        event = Event.objects.create(
            team=row.team,
            project=row.project,
            dedupe_key=f"event of {row.number}",
            event_type="tool_use",
            payload={},
            platform_source=platform,
            occurred_at=NOON,
            received_at=NOON,
            created_at=NOON,
        )
        ObservationSource.objects.create(
            observation=row,
            event=event,
            source_type="agent_event",
            source_id=event.id,
            created_at=NOON,
        )

    def find(self, query: str, limit: int = 20, **filters: Any) -> list[int]:
        hits = self.index.find(
            query_terms(query), Filters(**filters), project_ids=(self.project.id,), limit=limit
        )
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        return [hit.number for hit in hits]

    # --- words ---

    def test_a_word_is_found_in_its_other_forms(self) -> None:
        row = self.add("Retried the failing jobs")
        assert self.find("why does a job fail and retry") == [row.number]

    def test_one_word_of_the_question_is_enough(self) -> None:
        row = self.add("Advisory locks keep jobs in order")
        assert self.find("which mechanism serialises deferred locks somehow") == [row.number]

    def test_rows_with_more_of_the_words_come_first(self) -> None:
        one = self.add("The cap of a queue")
        both = self.add("The cap of a backoff")
        for n in range(8):
            self.add(f"Unrelated note {n}")
        assert self.find("cap for the backoff") == [both.number, one.number]

    def test_a_rare_word_outweighs_common_ones(self) -> None:
        common = [self.add(f"The worker runs the test suite again, part {n}") for n in range(30)]
        rare = self.add("The worker met Hastad")
        found = self.find("test suite run of hastad by the worker")
        assert found[0] == rare.number
        assert found[1] in {row.number for row in common}

    def test_the_title_outweighs_the_narrative(self) -> None:
        told = self.add("Another thing", narrative="It is about the scheduler in the end.")
        named = self.add("The scheduler", narrative="It is about another thing in the end.")
        self.fill()
        assert self.find("scheduler") == [named.number, told.number]

    @pytest.mark.parametrize("field", ["title", "subtitle", "narrative"])
    def test_each_text_is_searched(self, field: str) -> None:
        row = self.add(**{"title": "A title", field: "holds the sextant"})
        assert self.find("sextant") == [row.number]

    @pytest.mark.parametrize("field", ["facts", "concepts", "files_read", "files_modified"])
    def test_each_list_is_searched_to_its_last_item(self, field: str) -> None:
        row = self.add("A title", **{field: ["one", "two", "sextant"]})
        assert self.find("sextant") == [row.number]

    def test_a_memory_that_has_only_content_is_found_by_it(self) -> None:
        row = self.add(content="Never deploy on Fridays")
        assert self.find("deploy on a friday?") == [row.number]

    @pytest.mark.parametrize("query", ["", "   ", "?!", "what is it", "the", "-lock", "\0"])
    def test_a_query_without_a_word_to_look_for_finds_nothing(self, query: str) -> None:
        self.add("What is the lock? It is what it is.")
        assert self.find(query) == []

    def test_no_more_rows_than_asked_for(self) -> None:
        for _ in range(5):
            self.add("lock")
        assert len(self.find("lock", limit=3)) == 3

    def test_of_equals_the_newest_comes_first(self) -> None:
        old = self.add("lock", occurred_at=NOON - timedelta(days=1))
        new = self.add("lock", occurred_at=NOON + timedelta(days=1))
        same = [self.add("lock") for _ in range(2)]
        numbers = [new.number, same[1].number, same[0].number, old.number]
        assert self.find("lock") == numbers

    # --- identifiers and paths ---

    @pytest.mark.parametrize(
        "query", ["TimeDelta", "timedelta", "time delta", "time_delta", "time-delta", "delta"]
    )
    @pytest.mark.parametrize("written", ["TimeDelta", "time_delta", "time-delta"])
    def test_an_identifier_is_found_whole_and_in_parts(self, written: str, query: str) -> None:
        row = self.add(f"Rounding of {written} fields")
        assert self.find(query) == [row.number]

    def test_the_whole_identifier_beats_its_scattered_words(self) -> None:
        scattered = self.add("Max of the wait before a retry")
        whole = self.add("Added retry_max_wait at last")
        self.fill()
        assert self.find("retry_max_wait") == [whole.number, scattered.number]

    @pytest.mark.parametrize("query", ["HTTPServer", "http server", "server", "base64", "base"])
    def test_acronyms_and_digits_are_told_apart(self, query: str) -> None:
        row = self.add("HTTPServer with BASE64Codec")
        assert self.find(query) == [row.number]

    @pytest.mark.parametrize(
        "query", ["procrastinate/retry.py", "retry.py", "retry", "procrastinate", "./retry.py"]
    )
    def test_a_path_is_found_whole_by_its_name_and_by_its_folder(self, query: str) -> None:
        row = self.add("Edited a file", files_modified=["procrastinate/retry.py"])
        assert self.find(query) == [row.number]

    def test_the_path_asked_for_beats_others_of_the_folder(self) -> None:
        others = [self.add("Edited", files_read=[f"procrastinate/f{n}.py"]) for n in range(3)]
        row = self.add("Edited", files_read=["procrastinate/retry.py"])
        found = self.find("procrastinate/retry.py")
        assert found[0] == row.number
        assert set(found[1:]) == {other.number for other in others}

    # --- phrases and exclusions ---

    def test_quoted_words_must_stand_side_by_side(self) -> None:
        row = self.add("The database is locked")
        self.add("The lock is in the database, is it locked?")
        assert self.find('"database is locked"') == [row.number]

    def test_a_phrase_and_words_together_are_alternatives(self) -> None:
        phrase = self.add("The database is locked")
        word = self.add("A timeout of the request")
        self.fill()
        assert self.find('timeout "database is locked"') == [phrase.number, word.number]

    def test_excluded_words_and_phrases_leave_rows_out(self) -> None:
        row = self.add("A lock for the queue")
        self.add("A lock for the session")
        self.add("A lock in dead letter storage")
        assert self.find('lock -sessions -"dead letter"') == [row.number]

    # --- filters ---

    def test_filter_by_kind(self) -> None:
        rows = {kind: self.add("lock", kind=kind) for kind in ("bugfix", "decision", "summary")}
        assert self.find("lock", kinds=("decision",)) == [rows["decision"].number]
        assert len(self.find("lock", kinds=("decision", "bugfix"))) == 2
        assert self.find("lock", kinds=("bug",)) == []

    def test_filter_by_concept(self) -> None:
        row = self.add("lock", concepts=["pattern", "gotcha"])
        self.add("lock", concepts=["trade-off"])
        assert self.find("lock", concepts=("gotcha",)) == [row.number]
        assert self.find("lock", concepts=("got",)) == []

    @pytest.mark.parametrize("stored", ["src/retry.py", "/home/dev/src/retry.py"])
    @pytest.mark.parametrize("name", ["src/retry.py", "retry.py", "/home/dev/src/retry.py"])
    def test_filter_by_file_matches_paths_that_end_alike(self, stored: str, name: str) -> None:
        read = self.add("lock", files_read=["x.py", stored])
        modified = self.add("lock", files_modified=[stored])
        self.add("lock", files_read=["src/entry.py", "src/notretry.py", "/tmp/src/retry.pyc"])
        assert set(self.find("lock", files=(name,))) == {read.number, modified.number}

    def test_filter_by_file_knows_no_wildcards(self) -> None:
        self.add("lock", files_read=["src/retry.py"])
        for name in ("%", "_etry.py", "*.py", "etry.py", "", "/"):
            assert self.find("lock", files=(name,)) == []

    def test_filter_by_session(self) -> None:
        session = self.session(None)
        row = self.add("lock", session=session)
        self.add("lock", session=self.session(None))
        self.add("lock")
        assert self.find("lock", session_id=session.id) == [row.number]

    def test_filter_by_time_includes_the_start_and_not_the_end(self) -> None:
        rows = [self.add("lock", occurred_at=NOON + timedelta(hours=n)) for n in range(4)]
        hour = timedelta(hours=1)
        found = self.find("lock", since=NOON + hour, until=NOON + 3 * hour)
        assert found == [rows[2].number, rows[1].number]
        assert self.find("lock", since=NOON + hour - timedelta(microseconds=1))[-1] == found[-1]

    def test_filter_by_platform_asks_the_session_or_else_the_events(self) -> None:
        ours = self.add("lock", session=self.session("codex"))
        loose = self.add("lock")
        self.event_of(loose, "codex")
        others = self.add("lock", session=self.session("claude"))
        self.event_of(others, "codex")
        self.event_of(self.add("lock"), "claude")
        self.add("lock", session=self.session(None))
        self.add("lock")
        assert set(self.find("lock", platform_source="codex")) == {ours.number, loose.number}

    def test_filters_add_up(self) -> None:
        row = self.add("lock", kind="bugfix", concepts=["gotcha"])
        self.add("lock", kind="bugfix")
        self.add("lock", concepts=["gotcha"])
        assert self.find("lock", kinds=("bugfix",), concepts=("gotcha",)) == [row.number]

    # --- rows come and go ---

    def test_a_changed_row_is_found_by_its_new_words_only(self) -> None:
        row = self.add("About locks", facts=["old fact"], files_read=["old.py"])
        row.title, row.facts, row.files_read = "About queues", ["new fact"], ["new.py"]
        row.content, row.parts = "About queues", parts("new.py")
        row.save()
        assert self.find("locks") == self.find("old") == []
        assert self.find("queues") == self.find("new") == [row.number]

    def test_an_update_of_many_rows_is_seen(self) -> None:
        rows = [self.add(f"lock {n}", narrative=f"text {n}") for n in range(3)]
        Observation.objects.filter(project=self.project).update(narrative="sextant")
        assert set(self.find("sextant")) == {row.number for row in rows}
        assert self.find("text") == []

    def test_a_change_of_nothing_that_is_searched_leaves_the_row_findable(self) -> None:
        row = self.add("lock")
        row.metadata, row.created_by_job_id = {"a": 1}, "evt_1"
        row.save()
        assert self.find("lock") == [row.number]

    def test_rows_written_at_once_are_found(self) -> None:
        rows = Observation.objects.bulk_create(
            Observation(
                team=self.project.team,
                project=self.project,
                title=f"lock {n}",
                content="-",
                occurred_at=NOON,
                created_at=NOON,
                updated_at=NOON,
            )
            for n in range(30)
        )
        assert len(self.find("lock", limit=50)) == len(rows)

    def test_a_deleted_row_is_not_found(self) -> None:
        row, other = self.add("lock", facts=["a fact"]), self.add("lock")
        row.delete()
        assert self.find("lock") == [other.number]
        assert self.find("fact") == []

    def test_rows_deleted_with_their_session_are_not_found(self) -> None:
        session = self.session(None)
        self.add("lock", session=session)
        row = self.add("lock")
        session.delete()
        assert self.find("lock") == [row.number]

    def test_rows_deleted_with_their_team_are_not_found(self) -> None:
        self.add("lock")
        self.project.team.delete()
        assert self.find("lock") == []

    def test_what_was_rolled_back_is_not_found(self) -> None:
        with transaction.atomic():
            self.add("lock")
            transaction.set_rollback(True)
        assert self.find("lock") == []

    # --- other projects ---

    def test_rows_of_other_projects_are_never_found(self) -> None:
        team = Team.objects.create(name="others")
        sibling = Project.objects.create(team=self.project.team, name="sibling")
        foreign = Project.objects.create(team=team, name=self.project.name)
        row = self.add("lock")
        for other in (sibling, foreign):
            self.add("lock", project=other)
        assert self.find("lock") == [row.number]
        assert self.find(f'lock "{sibling.id}" {foreign.id} project:{foreign.id}') == [row.number]

    def test_several_projects_are_searched_as_one(self) -> None:
        sibling = Project.objects.create(team=self.project.team, name="sibling")
        third = Project.objects.create(team=self.project.team, name="third")
        rows = [self.add("lock"), self.add("lock", project=sibling)]
        self.add("lock", project=third)
        hits = self.index.find(
            query_terms("lock"), Filters(), project_ids=(self.project.id, sibling.id), limit=9
        )
        assert {hit.number for hit in hits} == {row.number for row in rows}

    @pytest.mark.parametrize("project_id", ["", "nobody", '"', 'x" OR "', "x\0y", "a-b", "*"])
    def test_an_unknown_project_holds_nothing(self, project_id: str) -> None:
        self.add("lock")
        assert (
            self.index.find(Query(("lock",)), Filters(), project_ids=(project_id,), limit=9) == []
        )
        assert self.index.find(Query(("lock",)), Filters(), project_ids=(), limit=9) == []

    def test_project_ids_of_any_form_are_told_apart(self) -> None:
        ids = ["a-b", "ab", "a_b", "a b", "project-1", "project-1-2", "a:b"]
        rows = {}
        for n, name in enumerate(ids):
            place = Project.objects.create(id=name, team=self.project.team, name=str(n))
            rows[name] = self.add("lock", project=place)
        for name in ids:
            hits = self.index.find(Query(("lock",)), Filters(), project_ids=(name,), limit=9)
            assert [hit.number for hit in hits] == [rows[name].number]

    # --- any text at all ---

    @pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
    def test_hostile_queries_are_only_words(self, query: str) -> None:
        row = self.add("lock")
        self.add("nothing of the kind")
        assert self.find(query) in ([], [row.number])

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        st.one_of(
            st.text(max_size=80),
            st.lists(
                st.sampled_from(
                    [*'"()*^:-+{}.,\\%\0', "AND", "OR", "NOT", "NEAR", "lock", "title"]
                ),
                max_size=12,
            ).map(" ".join),
        )
    )
    def test_no_query_raises(self, query: str) -> None:
        self.find(query)

    @pytest.mark.parametrize(
        ("written", "query"),
        [
            ("Umlaute: Größe und Äpfel", "apfel"),
            ("Le café fermé", "cafe"),
            ("Le cafe ferme", "café fermé"),
            ("Cafe\u0301 decomposed", "café"),
            ("Задача выполнена", "задача"),
            ("指数退避重试上限", "指数退避重试上限"),
            ("指数退避重试上限", "重试"),
            ("使用timeout重试", "timeout"),
            ("リトライの上限を設定", "上限"),
            ("재시도 한도를 설정", "한도"),
        ],
    )
    def test_words_of_other_languages_are_found(self, written: str, query: str) -> None:
        row = self.add(f"Note: {written}")
        self.add("Something else")
        assert self.find(query) == [row.number]

    def fill(self) -> None:
        """Rows about nothing, so that no word of a test is in most rows."""
        for n in range(6):
            self.add(f"Filler {n}", narrative="Nothing to see here, please move along quietly.")

    def test_it_is_told_which_words_rows_hold_and_how_common_they_are(self) -> None:
        one = self.add("Retries wait for max_wait", narrative="The lock is held")
        two = self.add("A lock waits", files_read=["src/retry.py"])
        other = self.add("Locks, retries and max_wait", project=self.elsewhere())
        words = ["lock", "max wait", "retry py", "unheard"]
        held = self.index.held(words, [one.number, two.number], project_id=self.project.id)
        assert held.rows == 2
        assert {word: held.holding.get(word, 0) for word in words} == {
            "lock": 2, "max wait": 1, "retry py": 1, "unheard": 0,
        }  # fmt: skip
        assert held.by == {
            one.number: frozenset({"lock", "max wait"}),
            two.number: frozenset({"lock", "retry py"}),
        }
        nothing = self.index.held(words, [], project_id=other.project_id)
        assert (nothing.rows, nothing.holding["lock"], dict(nothing.by)) == (1, 1, {})

    def elsewhere(self) -> Project:
        """Another project of the same team."""
        return Project.objects.create(team=self.project.team, name="elsewhere")
