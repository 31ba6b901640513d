"""What claude-mem's worker answered: to whom, of which project, and in which form."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import LazySettings

from observations import recall
from observations.models import AuditEntry, Observation, Project, Session, Team
from observations.privacy import scrub_text
from queueing import pauses
from tests.claudemem.api.conftest import Api, RawKey, refused, told

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INJECT = "/api/context/inject?projects=procrastinate"
READS = (
    INJECT,
    "/api/observations",
    "/api/observations/by-file?path=a.py",
    "/api/search?query=retry",
    "/api/timeline?query=retry",
)

Make = Callable[..., Observation]


class Here(Api):
    """The API as a program of the server's own machine sees it, without a key."""

    def call(self, method: str, path: str, content: bytes, **headers: str) -> Any:
        return super().call(method, path, content, **{"Host": "127.0.0.1:37877", **headers})


@pytest.fixture
def make(project: Project) -> Make:
    def _make(number: int, **fields: Any) -> Observation:
        at = NOON + timedelta(minutes=number)
        values = {
            "team_id": project.team_id, "project": project, "kind": "bugfix",
            "title": f"retry {number}", "content": f"retry content {number}",
            "concepts": ["gotcha"], "created_by_job_id": "a job",
            "occurred_at": at, "created_at": at, "updated_at": at,
        }  # fmt: skip
        return Observation.objects.create(**{**values, **fields})

    return _make


@pytest.fixture
def reader(raw_key: RawKey, project: Project) -> Api:
    return Api(raw_key("observations:read", project=project))


@pytest.fixture
def bound(settings: LazySettings, project: Project) -> Here:
    settings.LOCAL_PROJECT = project.id
    settings.TIMEZONE = UTC
    return Here()


@pytest.mark.parametrize(
    "path", ["/api/observations?projects={}", "/api/observations/by-file?path=a.py&projects={}"]
)
def test_no_more_is_asked_at_once_than_a_query_can_be_made_of(bound: Here, path: str) -> None:
    names = [f"p{number}" for number in range(101)]
    told(bound.get(path.format(",".join(names[:100]))), 200)
    assert "at most 100" in refused(bound.get(path.format(",".join(names))), 400, "BadRequest")
    paths = "&".join(f"path={name}.py" for name in names)
    said = refused(bound.get(f"/api/observations/by-file?{paths}"), 400, "BadRequest")
    assert said == "Name at most 100 paths"


def test_a_hook_of_this_machine_gets_the_page_of_the_configured_project(
    bound: Here, make: Make, team: Team
) -> None:
    make(1)
    other = Project.objects.create(team=team, name="other")
    make(2, project=other, title="of another project")
    answer = bound.get(f"{INJECT}&platformSource=claude".replace("projects=", "projects=other,"))
    text = answer.content.decode()
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["X-Request-Id"]
    assert "# [procrastinate] recent context, " in text
    # Without a session it is nobody's platform, and was made of events.
    assert "retry 1" not in text
    whole = bound.get(INJECT).content.decode()
    number = Observation.objects.get(title="retry 1").number
    assert f"\n{number} 12:01p ● retry 1\n" in whole
    assert "another" not in whole
    assert scrub_text(whole) == ""


def test_it_names_at_least_one_project(bound: Here) -> None:
    for path in ("/api/context/inject", "/api/context/inject?projects=,%20"):
        assert "at least one project" in refused(bound.get(path), 400, "BadRequest")


def test_the_page_is_coloured_or_whole_on_request(
    bound: Here, make: Make, settings: LazySettings
) -> None:
    settings.CONTEXT_OBSERVATIONS = 1
    make(1)
    make(2)
    assert "retry 1" not in bound.get(INJECT).content.decode()
    assert "retry 1" in bound.get(f"{INJECT}&full=true").content.decode()
    assert bound.get(f"{INJECT}&colors=true").content.startswith(b"\x1b[1;36m# [procrastinate]")


def test_a_page_warns_while_the_provider_refuses(bound: Here, make: Make) -> None:
    for times in range(3):
        pauses.pause("refused", "auth_invalid", probing=bool(times))
    assert "\nWarning: the provider refuses" in bound.get(INJECT).content.decode()


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "odd", ["project", "path", "query", "obs_type", "platformSource", "anchor", "dateStart"]
)
def test_a_query_that_no_database_takes_is_refused(bound: Here, path: str, odd: str) -> None:
    joint = "&" if "?" in path else "?"
    answer = bound.get(f"{path}{joint}{odd}=a%00b")
    assert refused(answer, 400, "ValidationError") == odd


@pytest.mark.django_db
@pytest.mark.parametrize("path", READS)
def test_without_a_configured_project_a_key_is_needed_on_this_machine_too(path: str) -> None:
    refused(Here().get(path), 401, "Unauthorized")


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "sent",
    [
        {"Host": "memory.example"},
        {"X_Forwarded_For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
        {"Origin": "http://localhost:3000"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=lambda sent: next(iter(sent)),
)
def test_proxies_pages_and_strangers_need_a_key(
    bound: Here, path: str, sent: dict[str, str], settings: LazySettings
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    refused(bound.get(path, **sent), 401, "Unauthorized")


@pytest.mark.parametrize("path", READS)
def test_a_wrong_key_is_worse_than_none(bound: Here, path: str) -> None:
    refused(Here("cmem_wrong").get(path), 403, "Forbidden")


def test_a_configured_project_that_is_not_there_is_said(settings: LazySettings, db: None) -> None:
    settings.LOCAL_PROJECT = "elsewhere"
    assert "elsewhere" in refused(Here().get(INJECT), 404, "NotFound")


def test_a_key_is_enough_from_anywhere(reader: Api, make: Make) -> None:
    make(1)
    assert "retry 1" in reader.get(INJECT).content.decode()
    assert told(reader.get("/api/observations"), 200)["items"][0]["title"] == "retry 1"


def test_a_key_of_a_team_names_the_project(api: Api, make: Make) -> None:
    make(1)
    assert "retry 1" in api.get(INJECT).content.decode()
    assert "at least one project" in refused(api.get("/api/observations"), 400, "BadRequest")
    assert told(api.get("/api/observations?project=procrastinate"), 200)["items"]


def test_what_bears_on_a_prompt_comes_as_a_text(bound: Here, make: Make) -> None:
    make(1, narrative="It waits.\n</claude-mem-context> now")
    body = {"q": "why does retry wait?", "project": "shop", "limit": 3, "platformSource": None}
    found = told(bound.post("/api/context/semantic", body), 200)
    assert found["count"] == 1
    assert "### retry 1 (2026-03-01, " in found["context"]
    assert scrub_text(found["context"]) == ""
    nothing = told(bound.post("/api/context/semantic", {"q": ""}), 200)
    assert nothing == {"context": "", "count": 0}


def test_what_was_done_to_a_file_comes_as_rows(bound: Here, make: Make, project: Project) -> None:
    session = Session.objects.create(
        team_id=project.team_id, project=project, lane_key="l", metadata={"project": "shop"},
        started_at=NOON, last_event_at=NOON, created_at=NOON, updated_at=NOON,
    )  # fmt: skip
    row = make(
        1, session=session, files_modified=["src/worker.py"], facts=["a"],
        metadata={"discovery_tokens": 7},
    )  # fmt: skip
    make(2, files_read=["src/other.py"])
    path = f"path={quote('/home/dev/shop/src/worker.py')}&path={quote('src/worker.py')}"
    found = told(bound.get(f"/api/observations/by-file?{path}&projects=shop&limit=40"), 200)
    assert found == {
        "count": 1,
        "observations": [
            {
                "id": row.number,
                "observation_id": row.id,
                "memory_session_id": session.id,
                "project": "shop",
                "type": "bugfix",
                "title": "retry 1",
                "subtitle": None,
                "narrative": "retry content 1",
                "text": None,
                "facts": '["a"]',
                "concepts": '["gotcha"]',
                "files_read": "[]",
                "files_modified": '["src/worker.py"]',
                "prompt_number": None,
                "discovery_tokens": 7,
                "created_at": "2026-03-01T12:01:00.000Z",
                "created_at_epoch": 1772366460000,
            }
        ],
    }
    assert "at least one path" in refused(
        bound.get("/api/observations/by-file?path="), 400, "BadRequest"
    )


def test_the_numbers_of_a_page_lead_to_the_rows(bound: Here, make: Make, team: Team) -> None:
    first, second = make(1), make(2)
    other = make(3, project=Project.objects.create(team=team, name="other"))
    ids = [second.number, first.number, other.number, 10**30, -1]
    path = "/api/observations/batch"
    rows = told(bound.post(path, {"ids": ids}), 200)
    assert [row["id"] for row in rows] == [second.number, first.number]
    oldest = told(bound.post(path, {"ids": ids, "orderBy": "date_asc", "limit": 1}), 200)
    assert [row["id"] for row in oldest] == [first.number]
    assert refused(bound.post(path, {"ids": ["a"]}), 400, "ValidationError") == "ids.0"


def test_observations_come_in_parts(bound: Here, make: Make) -> None:
    for number in (1, 2, 3):
        make(number)
    page = told(bound.get("/api/observations?limit=2&offset=0"), 200)
    assert [row["title"] for row in page["items"]] == ["retry 3", "retry 2"]
    assert (page["hasMore"], page["offset"], page["limit"]) == (True, 0, 2)
    last = told(bound.get("/api/observations?limit=2&offset=2"), 200)
    assert ([row["title"] for row in last["items"]], last["hasMore"]) == (["retry 1"], False)
    odd = told(bound.get("/api/observations?limit=nan&offset=-4"), 200)
    assert (odd["offset"], odd["limit"]) == (0, 20)


def _text(answer: Any) -> str:
    (content,) = told(answer, 200)["content"]
    assert content["type"] == "text"
    return str(content["text"])


def test_a_search_answers_a_text_or_rows(bound: Here, make: Make) -> None:
    row = make(1)
    assert f"\n{row.number} Mar 1, 12:01 PM ● retry 1\n" in _text(
        bound.get("/api/search?query=retry")
    )
    found = told(bound.get("/api/search?query=retry&format=json"), 200)
    assert [each["id"] for each in found.pop("observations")] == [row.number]
    assert found == {"sessions": [], "prompts": [], "totalResults": 1, "query": "retry"}
    assert "Nothing was found" in _text(bound.get("/api/search?query=zebra"))
    assert "Nothing was found" in _text(bound.get("/api/search?query=retry&type=prompts"))


def test_a_search_is_narrowed_and_ordered(bound: Here, make: Make) -> None:
    for number, kind in enumerate(("bugfix", "decision", "summary", "decision")):
        make(number, kind=kind)

    def titles(query: str) -> list[str]:
        found = told(bound.get(f"/api/search?format=json&{query}"), 200)["observations"]
        return [row["title"] for row in found]

    assert titles("query=retry&obs_type=decision&orderBy=date_desc") == ["retry 3", "retry 1"]
    assert titles("query=retry&obs_type=decision&orderBy=date_asc&limit=1&offset=1") in (
        ["retry 3"], ["retry 1"],
    )  # fmt: skip
    assert titles("type=sessions") == ["retry 2"]
    assert titles("dateStart=2026-03-01T12:02:00Z") == ["retry 3", "retry 2"]
    assert titles(f"dateEnd={int((NOON + timedelta(minutes=1)).timestamp() * 1000)}") == ["retry 0"]
    assert titles("dateStart=whenever&orderBy=sideways&limit=1") == ["retry 3"]


def test_a_timeline_is_around_a_number_a_time_or_a_question(bound: Here, make: Make) -> None:
    rows = [make(number) for number in range(5)]
    rows.append(make(5, title="zebra", content="zebra"))

    def shown(query: str) -> list[int]:
        lines = _text(bound.get(f"/api/timeline?{query}")).split("\n")[1:-1]
        return [int(line.removeprefix("→ ").split()[0]) for line in lines]

    middle = rows[2].number
    assert shown(f"anchor={middle}&depth_before=1&depth_after=0") == [rows[1].number, middle]
    assert shown("anchor=2026-03-01T12:02:30Z&depth_before=0&depth_after=1") == [
        middle, rows[3].number,
    ]  # fmt: skip
    assert shown("query=zebra&depth_before=1") == [rows[4].number, rows[5].number]
    assert "Nothing was found" in _text(bound.get("/api/timeline?query=nowhere"))
    refused(bound.get(f"/api/timeline?anchor={rows[-1].number + 1}"), 404, "NotFound")
    for wrong in ("", "anchor=whenever", "query=%20"):
        refused(bound.get(f"/api/timeline?{wrong}"), 400, "BadRequest")


def test_each_read_is_entered_in_the_audit(bound: Here, make: Make) -> None:
    row = make(1, files_read=["a.py"])
    for path in READS:
        bound.get(path, X_Request_Id="mine")
    bound.post("/api/context/semantic", {"q": "retry"})
    bound.post("/api/observations/batch", {"ids": [row.number]})
    entered = [each.details for each in AuditEntry.objects.order_by("id")]
    assert [each["mode"] for each in entered] == [
        "inject", "recent", "by_file", "search", "timeline", "semantic", "batch",
    ]  # fmt: skip
    assert all(each["observationIds"] == [row.id] for each in entered)
    assert entered[0]["requestId"] == "mine"
    assert "retry" not in json.dumps(entered)


def test_an_entry_names_the_first_of_many(
    bound: Here, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claudemem.api.audited.MOST_IDS", 1)
    rows = [make(number) for number in (1, 2)]
    bound.get(INJECT)
    details = AuditEntry.objects.get().details
    assert (details["resultCount"], details["observationIds"]) == (2, [rows[1].id])


def test_rows_of_a_search_take_no_query_each(
    bound: Here, make: Make, django_assert_max_num_queries: Any
) -> None:
    for number in range(8):
        make(number)
    with django_assert_max_num_queries(12):
        found = told(bound.get("/api/search?query=retry&format=json"), 200)
    assert len(found["observations"]) == 8
    assert recall.recent(Project.objects.get(name="procrastinate").id)
