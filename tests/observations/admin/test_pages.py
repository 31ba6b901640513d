"""What a team sees of its memory in the admin, and what it may do there."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from observations import keys
from observations.admin.gist import LONGEST, LONGEST_EXCERPT, excerpt, gist, tool
from observations.models import (
    ApiKey,
    Event,
    Observation,
    ObservationSource,
    Project,
    Session,
    Team,
)
from queueing.models import GenerationJob
from tests.observations.admin.conftest import Memory, make_observation

SCRIPT = "<script>alert(1)</script>"
MODELS = ("team", "project", "apikey", "session", "event", "observation")


def _list(noun: str) -> str:
    return f"/admin/observations/{noun}/"


def _page(row: Team | Project | ApiKey | Session | Event | Observation) -> str:
    return f"/admin/observations/{row._meta.model_name}/{row.pk}/change/"


def _queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200, address
    return len(queries)


def _fill(n: int, memory: Memory, project: Project) -> None:
    for _ in range(n):
        memory(2)
        other = Project.objects.create(team=project.team, name=f"p{Project.objects.count()}")
        keys.create("key", ["memories:read"], team=other.team, project=other)
        Team.objects.create(name=f"t{Team.objects.count()}")


@pytest.mark.parametrize("noun", MODELS)
def test_a_list_of_thirty_takes_no_more_queries_than_a_list_of_three(
    browser: Client, memory: Memory, project: Project, noun: str
) -> None:
    _fill(3, memory, project)
    browser.get(_list(noun))
    few = _queries(browser, _list(noun))
    _fill(27, memory, project)
    assert _queries(browser, _list(noun)) == few <= 12


def test_a_page_takes_no_more_queries_for_a_long_story_than_for_a_short_one(
    browser: Client, memory: Memory
) -> None:
    short, long = memory(3), memory(30)
    browser.get(_page(short))
    few = _queries(browser, _page(short))
    assert _queries(browser, _page(long)) == few <= 12


def test_an_observation_of_thirty_events_is_shown_with_as_few_queries_as_of_three(
    browser: Client, memory: Memory
) -> None:
    session = memory(30)
    rows = list(session.observations.order_by("number"))
    for row, many in ((rows[0], 3), (rows[1], 30)):
        for event in session.events.order_by("number")[:many]:
            ObservationSource.objects.get_or_create(
                observation=row, source_type="agent_event", source_id=event.id,
                defaults={"event": event, "created_at": event.created_at},
            )  # fmt: skip
    browser.get(_page(rows[0]))
    few = _queries(browser, _page(rows[0]))
    assert _queries(browser, _page(rows[1])) == few <= 12


def test_no_list_counts_its_whole_table(browser: Client, memory: Memory) -> None:
    memory(2)
    for noun in MODELS:
        with CaptureQueriesContext(connection) as queries:
            browser.get(_list(noun))
        counts = [q["sql"] for q in queries if f'FROM "observations_{noun}"' in q["sql"]
                  and "COUNT(*)" in q["sql"]]  # fmt: skip
        assert counts
        assert all("LIMIT" in sql for sql in counts), counts


def test_untrusted_text_never_becomes_markup(browser: Client, memory: Memory) -> None:
    session = memory(1, SCRIPT)
    session.external_session_id = session.cwd = SCRIPT
    session.metadata = {"note": SCRIPT}
    session.save()
    event, row = session.events.get(), session.observations.get()
    job = GenerationJob.objects.get()
    job.last_error = {"reason": SCRIPT}
    job.save()
    pages = [*map(_list, MODELS), _page(session), _page(event), _page(row),
             "/admin/queueing/generationjob/", f"{_list('event')}?session={session.pk}",
             f"/admin/queueing/generationjob/{job.pk}/change/",
             f"{_page(row).removesuffix('change/')}delete/"]  # fmt: skip
    for address in pages:
        body = browser.get(address).content.decode()
        assert "<script>alert" not in body, address
    assert "&lt;script&gt;alert(1)" in browser.get(_page(event)).content.decode()


def test_a_session_is_told_in_order(browser: Client, memory: Memory) -> None:
    session = memory(2, "Bound the waiting time")
    prompt = session.events.get(number=1)
    prompt.event_type, prompt.payload = "UserPromptSubmit", {"prompt": "Please bound it"}
    prompt.save()
    summary = make_observation(session.events.get(number=2), "Asked for a bound")
    summary.kind, summary.content = "summary", "Learned: waits grow without bound"
    summary.save()
    body = browser.get(_page(session)).content.decode()
    told = [body.index(text) for text in ("Please bound it", "Bash: Bound the waiting time",
                                          "Learned: waits grow without bound")]  # fmt: skip
    assert told == sorted(told)


def test_a_session_is_found_by_the_id_that_its_agent_gave_it(
    browser: Client, memory: Memory
) -> None:
    session = memory(1, "8f2b-agent-id")
    memory(1, "another")
    for address in (f"{_list('session')}?q=8f2b-agent-id", f"{_list('event')}?q=8f2b-agent-id"):
        found = browser.get(address).context["cl"].result_list
        assert len(found) == 1, address
    assert str(session.pk) in browser.get(f"{_list('session')}?q=8f2b-agent-id").content.decode()


def test_sessions_are_found_by_the_beginning_of_an_id(browser: Client, memory: Memory) -> None:
    first = memory(1, "7c9e6679-7425-40de-944b-e07fc1f90ae7")
    memory(1, "7c9e6670-0000-40de-944b-e07fc1f90ae7")
    for asked, found in (
        ("7c9e6679", [first]), ("7C9E6679-74", [first]), (str(first.pk), [first]),
        ("7425-40de", []), ("facade", []),
    ):  # fmt: skip
        listed = browser.get(f"{_list('session')}?q={asked}").context["cl"].result_list
        assert list(listed) == found, asked
    assert len(browser.get(f"{_list('session')}?q=7c9e66").context["cl"].result_list) == 2


def test_an_event_shows_its_payload_what_was_removed_its_job_and_what_was_made_of_it(
    browser: Client, memory: Memory
) -> None:
    event = memory(1).events.get()
    body = browser.get(_page(event)).content.decode()
    assert "&quot;tool_name&quot;: &quot;Bash&quot;" in body
    assert "private_span × 2" in body
    assert f"/admin/queueing/generationjob/{GenerationJob.objects.get().pk}/change/" in body
    assert f"/admin/observations/observation/{Observation.objects.get().pk}/change/" in body
    assert 'name="_save"' not in body


def test_an_observation_shows_what_it_was_made_of_and_by_which_job(
    browser: Client, memory: Memory
) -> None:
    row = memory(1).observations.get()
    body = browser.get(_page(row)).content.decode()
    assert f"/admin/observations/event/{row.sources.get().event_id}/change/" in body
    assert f"/admin/queueing/generationjob/{row.created_by_job_id}/change/" in body
    assert "<li>Cap the backoff</li>" in body
    assert "src/Cap the backoff.py" in body
    assert 'name="_save"' not in body


def test_deleting_an_observation_takes_its_sources_along_and_leaves_the_event(
    browser: Client, memory: Memory
) -> None:
    row = memory(2).observations.order_by("number")[0]
    address = f"{_page(row).removesuffix('change/')}delete/"
    assert browser.post(address, {"post": "yes"}).status_code == 302
    assert Observation.objects.count() == ObservationSource.objects.count() == 1
    assert Event.objects.count() == 2


def test_what_was_recorded_can_be_neither_added_nor_edited(browser: Client, memory: Memory) -> None:
    session = memory(1)
    for row in (session, session.events.get(), session.observations.get()):
        assert browser.post(_page(row), {"kind": "x"}).status_code == 403
        assert browser.get(f"{_list(row._meta.model_name)}add/").status_code == 403
    for row in (session, session.events.get(), session.team, session.project):
        assert browser.get(f"{_page(row).removesuffix('change/')}delete/").status_code == 403


def test_lists_are_narrowed_by_project_kind_time_session_and_source(
    browser: Client, memory: Memory, project: Project
) -> None:
    mine, old = memory(1), memory(1)
    Observation.objects.filter(session=old).update(
        id="00000000-0000-7000-8000-000000000000",
        kind="decision",
        occurred_at="2020-01-01T00:00Z",
    )
    foreign = Project.objects.create(team=project.team, name="another")
    event = mine.events.get()
    for query, count in {
        f"project={project.pk}": 2,
        f"project={foreign.pk}": 0,
        "kind=decision": 1,
        "within=week": 1,
        f"session={mine.pk}": 1,
        f"event={event.pk}": 1,
        f"event={event.pk}&kind=decision": 0,
        f"project={project.pk}&within=day": 1,
    }.items():
        listed = browser.get(f"{_list('observation')}?{query}").context["cl"]
        assert len(listed.result_list) == count, query


def test_observations_are_found_as_agents_find_them_best_first(
    browser: Client, memory: Memory
) -> None:
    memory(1, "The lock keeps jobs in order")
    memory(1, "Backoff of retries is capped")
    memory(1, "Retry")
    found = _titles(browser, "q=how+is+the+backoff+capped+when+it+retries")
    assert found == ["Backoff of retries is capped", "Retry"]
    assert _titles(browser, 'q="keeps+jobs"') == ["The lock keeps jobs in order"]
    assert _titles(browser, "q=retries+-capped") == ["Retry"]
    assert _titles(browser, "q=retries&kind=decision") == []
    assert _titles(browser, "q=%3C%22%27+zebra*") == []
    row = Observation.objects.get(title="Retry")
    assert _titles(browser, f"q={row.number}") == _titles(browser, f"q={row.id}") == ["Retry"]


def _titles(browser: Client, query: str) -> list[str]:
    listed = browser.get(f"{_list('observation')}?{query}").context["cl"]
    return [row.title for row in listed.result_list]


def test_a_stranger_sees_nothing(client: Client, memory: Memory) -> None:
    memory(1)
    for noun in MODELS:
        assert "/login/" in client.get(_list(noun)).headers["Location"]


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        ({"prompt": "Add\n a cap"}, "Add a cap"),
        ({"tool_name": "Bash", "tool_input": {"command": "make test"}}, "Bash: make test"),
        ({"tool_name": "Task", "tool_input": {}}, "Task"),
        ({"tool_name": "Task", "tool_input": "?"}, "Task"),
        ({"source": "startup", "cwd": "x"}, "startup"),
        ({"prompt": "x" * 999}, "x" * (LONGEST - 1) + "…"),
        ({"prompt": 7, "tool_name": 7}, ""),
        ("just text", "just text"),
        (None, ""),
        ([1], ""),
    ],
)
def test_a_payload_is_told_in_a_line(payload: object, line: str) -> None:
    assert gist(payload) == line


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({"tool_name": "Bash", "tool_response": {"stdout": " 3 passed\n"}}, "3 passed"),
        ({"tool_name": "Read", "tool_response": "line"}, "line"),
        ({"tool_name": "Bash", "tool_response": {"stdout": "", "stderr": "no"}}, "no"),
        ({"tool_name": "Bash", "tool_response": [1]}, ""),
        ({"tool_name": "Bash", "error": "exit 2"}, "exit 2"),
        ({"prompt": "Add a cap"}, ""),
        ({"prompt": "Add\na cap " * 50}, ("Add\na cap " * 50).strip()),
        ({"tool_response": "x" * 9_999}, "x" * (LONGEST_EXCERPT - 1) + "…"),
        ("text", ""),
        (None, ""),
    ],
)
def test_an_excerpt_tells_what_the_gist_does_not(payload: object, told: str) -> None:
    assert excerpt(payload) == told


def test_only_a_named_tool_is_a_tool() -> None:
    assert [tool(one) for one in ({"tool_name": "Bash"}, {"tool_name": 7}, {}, None)] == [
        "Bash", "", "", "",
    ]  # fmt: skip


def test_a_summary_leads_to_the_session_that_it_sums_up(browser: Client, memory: Memory) -> None:
    session = memory(1)
    row = make_observation(session.events.get(), "All of it")
    for source_type, source_id in (("agent_session", session.pk), ("agent_event", "gone")):
        ObservationSource.objects.create(
            observation=row, source_type=source_type, source_id=source_id,
            created_at=session.started_at,
        )  # fmt: skip
    body = browser.get(_page(row)).content.decode()
    assert f'{_page(session)}">What the session has said</a>' in body
    assert "agent_event gone" in body


def test_a_filter_without_an_index_says_how_far_it_looks(browser: Client, db: None) -> None:
    assert "of the newest 10000" in browser.get(_list("event")).content.decode()
