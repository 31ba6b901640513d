from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from observations.models import AuditEntry, Project, Team
from queueing import leases
from queueing.models import GenerationJob
from tests.claudemem.api.conftest import Api, RawKey, refused, told

STATUS_KEYS = [
    "id", "projectId", "teamId", "sourceType", "sourceId", "agentEventId", "serverSessionId",
    "jobType", "status", "bullmqJobId", "attempts", "maxAttempts", "nextAttemptAtEpoch",
    "completedAtEpoch", "failedAtEpoch", "cancelledAtEpoch", "lastError", "createdAtEpoch",
    "updatedAtEpoch",
]  # fmt: skip
ENTRY_KEYS = [
    "id", "projectId", "teamId", "sourceType", "sourceId", "status", "attempts", "maxAttempts",
    "createdAtEpoch", "completedAtEpoch", "failedAtEpoch", "lastError",
]  # fmt: skip


@pytest.fixture
def job_ids(api: Api, event: dict[str, Any]) -> list[str]:
    """Three queued jobs, oldest first."""
    batch = [event | {"payload": {"n": n}} for n in range(3)]
    answer = told(api.post("/v1/events/batch", batch), 201)
    ids = [one["generationJob"]["id"] for one in answer["events"]]
    for age, job_id in enumerate(reversed(ids)):
        created_at = timezone.now() - timedelta(minutes=age)
        GenerationJob.objects.filter(pk=job_id).update(created_at=created_at)
    return ids


def _fail(job_id: str) -> None:
    GenerationJob.objects.filter(pk=job_id).update(
        state="failed",
        failed_at=timezone.now(),
        attempts=3,
        token=3,
        last_error={"reason": "the provider refused", "classification": "auth", "detail": 1},
    )


def test_jobs_are_listed_newest_first_and_counted(api: Api, job_ids: list[str]) -> None:
    answer = api.get("/v1/jobs?limit=2", X_Request_Id="r-1")
    page = told(answer, 200)
    assert list(page) == ["jobs", "total", "limit", "offset", "requestId"]
    assert [job["id"] for job in page["jobs"]] == [job_ids[2], job_ids[1]]
    assert (page["total"], page["limit"], page["offset"]) == (3, 2, 0)
    assert page["requestId"] == "r-1"
    assert list(page["jobs"][0]) == ENTRY_KEYS
    rest = told(api.get("/v1/jobs?limit=2&offset=2"), 200)
    assert [job["id"] for job in rest["jobs"]] == [job_ids[0]]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=failed", 1),
        ("status=queued", 2),
        ("status=nonsense", 3),
        ("source_type=agent_event", 3),
        ("source_type=session_summary", 0),
        ("source_type=nonsense", 3),
        ("since=2000-01-01", 3),
        ("since=2000-01-01T00:00:00.000Z", 3),
        ("since=2999-01-01T00:00:00%2B02:00", 0),
        ("since=Thu,%2001%20Jan%202998%2000:00:00%20GMT", 0),
        ("since=yesterday", 3),
        ("limit=0", 1),
        ("limit=-5", 1),
        ("limit=2x", 2),
        ("limit=many", 3),
        ("limit=99999999999999999999999", 3),
        ("offset=-1", 3),
        ("offset=99999999999999999999999", 0),
    ],
)
def test_filters_are_lenient(api: Api, job_ids: list[str], query: str, count: int) -> None:
    _fail(job_ids[0])
    page = told(api.get(f"/v1/jobs?{query}"), 200)
    assert len(page["jobs"]) == count
    assert 1 <= page["limit"] <= 200


def test_the_payload_is_for_administrators(api: Api, raw_key: RawKey, job_ids: list[str]) -> None:
    reader = Api(raw_key("memories:read"))
    message = "`include=payload` requires admin scope"
    for include in ("payload", "a,payload", "a, payload"):
        refusal = reader.get(f"/v1/jobs?include={include}")
        assert refused(refusal, 403, "Forbidden") == message
    assert "payload" not in told(reader.get("/v1/jobs?include=other"), 200)["jobs"][0]
    for scope in ("admin", "memories:admin"):
        admin = Api(raw_key("memories:read", scope))
        entry = told(admin.get("/v1/jobs?include=payload"), 200)["jobs"][0]
        assert list(entry) == [*ENTRY_KEYS, "payload"]
        assert entry["payload"]["generation_job_id"] == entry["id"]
        assert entry["payload"]["source"] == "http_post_v1_events_batch"


def test_a_job_is_shown_in_full(api: Api, job_ids: list[str]) -> None:
    job = told(api.get(f"/v1/jobs/{job_ids[0]}"), 200)["generationJob"]
    assert list(job) == STATUS_KEYS
    assert job["agentEventId"] == job["sourceId"]
    assert job["jobType"] == "observation_generate_for_event"
    assert (job["status"], job["attempts"], job["maxAttempts"]) == ("queued", 0, 3)
    assert (job["nextAttemptAtEpoch"], job["lastError"]) == (None, None)
    _fail(job_ids[0])
    job = told(api.get(f"/v1/jobs/{job_ids[0]}"), 200)["generationJob"]
    assert job["lastError"] == {"reason": "the provider refused", "classification": "auth"}
    assert job["failedAtEpoch"] is not None


def test_a_job_that_awaits_its_next_attempt_says_when(api: Api, job_ids: list[str]) -> None:
    due = timezone.now() + timedelta(seconds=30)
    GenerationJob.objects.filter(pk=job_ids[0]).update(attempts=1, token=1, due_at=due)
    job = told(api.get(f"/v1/jobs/{job_ids[0]}"), 200)["generationJob"]
    assert job["nextAttemptAtEpoch"] == int(due.timestamp() * 1000)


def test_a_failed_job_is_retried_once_asked(api: Api, job_ids: list[str]) -> None:
    _fail(job_ids[1])
    path = f"/v1/jobs/{job_ids[1]}/retry"
    answer = told(api.post(path, b"", X_Request_Id="r-2"), 200)
    assert list(answer) == ["generationJob", "retriedCount", "alreadyQueued", "requestId"]
    assert (answer["generationJob"]["status"], answer["retriedCount"]) == ("queued", 1)
    assert (answer["alreadyQueued"], answer["requestId"]) == (False, "r-2")
    again = told(api.post(path, b""), 200)
    assert (again["alreadyQueued"], again["retriedCount"]) == (True, 1)


def test_a_completed_job_is_neither_retried_nor_cancelled(api: Api, job_ids: list[str]) -> None:
    GenerationJob.objects.filter(pk=job_ids[0]).update(state="completed")
    retry = api.post(f"/v1/jobs/{job_ids[0]}/retry", b"")
    assert "would duplicate observations" in refused(retry, 409, "Conflict")
    cancel = api.post(f"/v1/jobs/{job_ids[0]}/cancel", b"")
    assert "already completed" in refused(cancel, 409, "Conflict")


def test_a_job_is_cancelled_once(api: Api, job_ids: list[str]) -> None:
    path = f"/v1/jobs/{job_ids[0]}/cancel"
    first = told(api.post(path, b""), 200)
    assert list(first) == ["generationJob", "alreadyCancelled", "requestId"]
    assert (first["generationJob"]["status"], first["alreadyCancelled"]) == ("cancelled", False)
    assert first["generationJob"]["cancelledAtEpoch"] is not None
    assert told(api.post(path, b""), 200)["alreadyCancelled"] is True


def test_jobs_out_of_reach_are_not_there(
    api: Api, raw_key: RawKey, team: Team, project: Project, job_ids: list[str]
) -> None:
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for outsider in (sibling, stranger):
        assert told(outsider.get("/v1/jobs"), 200)["total"] == 0
        for method, path in (("GET", ""), ("POST", "/retry"), ("POST", "/cancel")):
            answer = outsider.call(method, f"/v1/jobs/{job_ids[0]}{path}", b"")
            assert refused(answer, 404, "NotFound") == "Generation job not found"
    bound = Api(raw_key(project=project))
    assert told(bound.get("/v1/jobs"), 200)["total"] == 3


# --- of a team, of a project ----------------------------------------------------------------------


def listing(api: Api, path: str) -> list[str]:
    page = told(api.get(path), 200)
    assert list(page) == ["jobs", "total", "limit", "offset"]
    return [job["id"] for job in page["jobs"]]


def test_a_team_key_lists_the_team_and_a_projects_key_its_project(
    api: Api, raw_key: RawKey, team: Team, project: Project, job_ids: list[str]
) -> None:
    path = f"/v1/teams/{team.id}/jobs"
    assert listing(api, path) == job_ids[::-1]
    assert listing(Api(raw_key(project=project)), path) == job_ids[::-1]
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    assert listing(sibling, path) == []
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for nobody in (stranger.get(path), api.get("/v1/teams/nobody/jobs")):
        assert refused(nobody, 404, "NotFound") == "Team not found"


def test_a_projects_jobs_are_for_its_own_key_and_its_teams(
    api: Api, raw_key: RawKey, team: Team, project: Project, job_ids: list[str]
) -> None:
    path = f"/v1/projects/{project.id}/jobs"
    assert listing(api, path) == job_ids[::-1]
    assert listing(Api(raw_key(project=project)), path) == job_ids[::-1]
    other = Project.objects.create(team=team, name="other")
    assert listing(api, f"/v1/projects/{other.id}/jobs") == []
    sibling = Api(raw_key(project=other))
    stranger = Api(raw_key(owner=Team.objects.create(name="strangers")))
    for nobody in (sibling.get(path), stranger.get(path), api.get("/v1/projects/nobody/jobs")):
        assert refused(nobody, 404, "NotFound") == "Project not found"


@pytest.mark.parametrize("noun", ["teams", "projects"])
def test_these_listings_take_a_state_and_a_window(
    api: Api, team: Team, project: Project, job_ids: list[str], noun: str
) -> None:
    path = f"/v1/{noun}/{team.id if noun == 'teams' else project.id}/jobs"
    _fail(job_ids[1])
    assert listing(api, f"{path}?status=failed") == [job_ids[1]]
    assert listing(api, f"{path}?status=nonsense&limit=2&offset=1") == [job_ids[1], job_ids[0]]
    # What only the list of all jobs understands is ignored here.
    page = told(api.get(f"{path}?since=2999-01-01&include=payload&limit=201"), 200)
    assert (page["total"], page["limit"]) == (3, 200)
    assert "payload" not in page["jobs"][0]


def test_each_listing_is_entered_in_the_audit(
    api: Api, team: Team, project: Project, job_ids: list[str]
) -> None:
    api.get(f"/v1/teams/{team.id}/jobs", X_Request_Id="r-3")
    api.get(f"/v1/projects/{project.id}/jobs?limit=1", X_Request_Id="r-4")
    of_team, of_project = AuditEntry.objects.filter(action="observation.read").order_by("id")
    assert (of_team.details["mode"], of_team.project_id) == ("team_jobs", None)
    assert (of_project.details["mode"], of_project.project_id) == ("project_jobs", project.id)
    assert (of_project.details["resultCount"], of_project.details["requestId"]) == (1, "r-4")


# --- history --------------------------------------------------------------------------------------


def test_a_jobs_history_is_told_oldest_first_and_by_pages(api: Api, job_ids: list[str]) -> None:
    api.post(f"/v1/jobs/{job_ids[0]}/cancel", b"", X_Request_Id="r-5")
    api.post(f"/v1/jobs/{job_ids[0]}/retry", b"")
    path = f"/v1/jobs/{job_ids[0]}/events"
    page = told(api.get(path), 200)
    assert list(page) == ["events", "total", "limit", "offset", "requestId"]
    assert [event["eventType"] for event in page["events"]] == ["queued", "cancelled", "retried"]
    assert [event["statusAfter"] for event in page["events"]] == ["queued", "cancelled", "queued"]
    cancelled = page["events"][1]
    assert list(cancelled) == [
        "id", "generationJobId", "eventType", "statusAfter", "attempt", "details", "createdAtEpoch",
    ]  # fmt: skip
    # Of its own, from 1 on, whatever became of other jobs meanwhile.
    assert [event["id"] for event in page["events"]] == ["1", "2", "3"]
    assert cancelled["generationJobId"] == job_ids[0]
    assert cancelled["details"]["source"] == "operator_cancel"
    assert cancelled["details"]["request_id"] == "r-5"
    second = told(api.get(f"{path}?limit=1&offset=1"), 200)
    assert (second["events"], second["total"]) == ([cancelled], 3)
    assert (second["limit"], second["offset"]) == (1, 1)


def test_which_worker_had_a_job_is_for_administrators(
    api: Api, raw_key: RawKey, job_ids: list[str]
) -> None:
    assert leases.claim(job_ids[0], "host:7", task="task-1")
    path = f"/v1/jobs/{job_ids[0]}/events?offset=1"
    (event,) = told(Api(raw_key("jobs:read")).get(path), 200)["events"]
    assert event["details"] == {"batch": 1}
    (event,) = told(Api(raw_key("memories:read", "admin")).get(path), 200)["events"]
    assert event["details"] == {"batch": 1, "worker": "host:7", "task": "task-1"}


def test_a_history_out_of_reach_is_not_there(
    api: Api, raw_key: RawKey, team: Team, job_ids: list[str]
) -> None:
    sibling = Api(raw_key(project=Project.objects.create(team=team, name="other")))
    path = f"/v1/jobs/{job_ids[0]}/events"
    assert refused(sibling.get(path), 404, "NotFound") == "Generation job not found"
    assert refused(api.get("/v1/jobs/none/events"), 404, "NotFound") == "Generation job not found"


# --- retry and cancel, in each state --------------------------------------------------------------


def test_a_job_that_a_worker_has_is_not_retried(api: Api, job_ids: list[str]) -> None:
    assert leases.claim(job_ids[0], "host:7")
    message = refused(api.post(f"/v1/jobs/{job_ids[0]}/retry", b""), 409, "Conflict")
    assert message == (
        "Generation job is currently processing; cancel or wait for completion before retrying"
    )


def test_a_cancelled_job_is_queued_again_with_its_attempts(api: Api, job_ids: list[str]) -> None:
    told(api.post(f"/v1/jobs/{job_ids[0]}/cancel", b""), 200)
    job = told(api.post(f"/v1/jobs/{job_ids[0]}/retry", b""), 200)["generationJob"]
    assert (job["status"], job["attempts"], job["cancelledAtEpoch"]) == ("queued", 0, None)


@pytest.mark.parametrize("state", ["failed", "processing"])
def test_a_job_that_failed_or_is_worked_can_be_cancelled(
    api: Api, job_ids: list[str], state: str
) -> None:
    if state == "failed":
        _fail(job_ids[0])
    else:
        assert leases.claim(job_ids[0], "host:7")
    answer = told(api.post(f"/v1/jobs/{job_ids[0]}/cancel", b""), 200)
    assert (answer["generationJob"]["status"], answer["alreadyCancelled"]) == ("cancelled", False)


def test_what_is_done_to_a_job_is_entered_with_what_changed(api: Api, job_ids: list[str]) -> None:
    for deed in ("cancel", "retry", "retry"):
        told(api.post(f"/v1/jobs/{job_ids[0]}/{deed}", b"", X_Request_Id=f"r-{deed}"), 200)
    rows = AuditEntry.objects.filter(action__endswith="_by_operator").order_by("id")
    cancelled, retried, again = [row.details for row in rows]
    assert (cancelled["previousStatus"], cancelled["requestId"]) == ("queued", "r-cancel")
    assert (retried["previousStatus"], retried["currentStatus"]) == ("cancelled", "queued")
    assert (retried["retriedCount"], again["outcome"]) == (1, "noop_already_queued")


def test_reading_is_not_enough_to_retry_or_cancel(
    api: Api, raw_key: RawKey, job_ids: list[str]
) -> None:
    reader = Api(raw_key("memories:read", "jobs:read"))
    for deed in ("cancel", "retry"):
        refused(reader.post(f"/v1/jobs/{job_ids[0]}/{deed}", b""), 403, "Forbidden")


# --- waiting --------------------------------------------------------------------------------------


def test_whoever_waits_for_a_job_is_told_once_it_is_settled(
    api: Api, job_ids: list[str], settings: LazySettings
) -> None:
    settings.WAIT_SECONDS = 0.05
    path = f"/v1/jobs/{job_ids[0]}"
    late = told(api.get(f"{path}?wait=true"), 200)
    assert (late["generationJob"]["status"], late["waitTimedOut"]) == ("queued", True)
    GenerationJob.objects.filter(pk=job_ids[0]).update(state="cancelled")
    settings.WAIT_SECONDS = 60
    settled = told(api.get(f"{path}?wait=true"), 200)
    assert list(settled) == ["generationJob"]
    assert settled["generationJob"]["status"] == "cancelled"
    settings.WAIT_SECONDS = 0.05
    retried = told(api.post(f"{path}/retry?wait=true", b""), 200)
    assert (retried["waitTimedOut"], retried["retriedCount"]) == (True, 1)
    assert refused(api.get(f"{path}?wait=perhaps"), 400, "ValidationError")
