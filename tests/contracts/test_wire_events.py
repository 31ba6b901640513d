"""Events and their jobs on the wire."""

from typing import Any
from uuid import uuid4

import pytest

from tests.contracts.conftest import SENT, Wire, refused, told
from tests.waiting import until

pytestmark = pytest.mark.stack

DESCRIPTOR = {
    "id", "status", "bullmqJobId", "sourceType", "sourceId", "transport", "createdAtEpoch",
    "updatedAtEpoch",
}  # fmt: skip


def test_an_event_and_its_job_are_written_together_and_told(wire: Wire) -> None:
    captured = wire.captured()
    event, job = captured["event"], captured["generationJob"]
    assert set(job) == DESCRIPTOR
    assert (job["sourceType"], job["sourceId"]) == ("agent_event", event["id"])
    assert job["transport"] in SENT
    assert wire.rows("queueing_generationjob", source_id=event["id"]) == 1
    shown = told(wire.one.get(f"/v1/jobs/{job['id']}"), 200)["generationJob"]
    assert (shown["id"], shown["agentEventId"]) == (job["id"], event["id"])


def test_without_a_queue_store_an_event_is_queued_only_and_soon(wire: Wire) -> None:
    url = wire.beside(CLAUDE_MEM_REDIS_URL="redis://127.0.0.1:1/0")
    answer = wire.as_("one", url).post("/v1/events", wire.event())
    assert told(answer, 201)["generationJob"]["transport"] == "queued_only"
    assert answer.elapsed.total_seconds() < 5


def test_what_was_queued_only_is_worked_all_the_same(wire: Wire) -> None:
    url = wire.beside(CLAUDE_MEM_REDIS_URL="redis://127.0.0.1:1/0")
    captured = told(wire.as_("one", url).post("/v1/events", wire.event()), 201)
    until(lambda: _job(wire, captured)["status"] == "completed")


def test_without_generation_there_is_no_job_and_no_word_of_one(wire: Wire) -> None:
    captured = wire.captured("?generate=false")
    assert "generationJob" not in captured
    assert wire.rows("queueing_generationjob", source_id=captured["event"]["id"]) == 0
    assert wire.captured("?generate=false&wait=true")["generationJob"] is None


def test_a_batch_of_several_projects_is_refused_whole_to_a_projects_key(wire: Wire) -> None:
    before = wire.rows("observations_event")
    batch = [wire.event(), wire.event(projectId=wire.world.projects["two"])]
    said = refused(wire.one.post("/v1/events/batch", batch), 403, "Forbidden")
    assert said == "API key is scoped to a different project"
    assert wire.rows("observations_event") == before


def test_an_event_is_linked_to_the_session_of_its_content_and_platform(wire: Wire) -> None:
    content = uuid4().hex
    cursor = wire.session(contentSessionId=content, platformSource="Cursor")
    claude = wire.session(contentSessionId=content, platformSource="claude")
    linked = wire.captured(contentSessionId=content, platformSource="cursor-cli")["event"]
    assert linked["serverSessionId"] == cursor["id"]
    assert linked["platformSource"] == "cursor"
    other = wire.captured(contentSessionId=content, platformSource="Claude Code")["event"]
    assert other["serverSessionId"] == claude["id"]


def test_a_null_platform_links_to_its_own_and_an_absent_one_to_any(wire: Wire) -> None:
    content = uuid4().hex
    cursor = wire.session(contentSessionId=content, platformSource="cursor")
    null = wire.captured(contentSessionId=content, platformSource=None)["event"]
    assert (null["serverSessionId"], null["platformSource"]) == (None, None)
    assert wire.captured(contentSessionId=content)["event"]["serverSessionId"] == cursor["id"]


def test_a_batch_links_each_for_itself_and_keeps_its_order(wire: Wire) -> None:
    content = uuid4().hex
    session = wire.session(contentSessionId=content)
    batch = [
        wire.event(contentSessionId=name, payload={"n": number})
        for number, name in enumerate((content, uuid4().hex, content))
    ]
    told_of = told(wire.one.post("/v1/events/batch", batch), 201)["events"]
    assert [one["event"]["payload"]["n"] for one in told_of] == [0, 1, 2]
    links = [one["event"]["serverSessionId"] for one in told_of]
    assert links == [session["id"], None, session["id"]]
    assert {one["generationJob"]["transport"] for one in told_of} <= SENT


def test_payloads_of_jobs_are_for_administrators_alone(wire: Wire) -> None:
    wire.captured()
    (entry,) = told(wire.one.get("/v1/jobs?limit=1"), 200)["jobs"]
    assert "payload" not in entry
    said = refused(wire.one.get("/v1/jobs?include=payload"), 403, "Forbidden")
    assert said == "`include=payload` requires admin scope"
    (entry,) = told(wire.as_("admin").get("/v1/jobs?include=payload&limit=1"), 200)["jobs"]
    assert entry["payload"]["generation_job_id"] == entry["id"]


def test_jobs_are_filtered_by_their_source_and_by_time(wire: Wire) -> None:
    session = wire.session(contentSessionId=uuid4().hex)
    wire.captured(serverSessionId=session["id"])
    wire.one.post(f"/v1/sessions/{session['id']}/end")
    page = told(wire.one.get("/v1/jobs?source_type=session_summary"), 200)
    assert {job["sourceType"] for job in page["jobs"]} == {"session_summary"}
    assert page["total"] >= 1
    assert told(wire.one.get("/v1/jobs?since=2999-01-01"), 200)["total"] == 0
    assert told(wire.one.get("/v1/jobs?since=2000-01-01"), 200)["total"] > 0


def test_a_job_that_waits_is_retried_by_a_nudge_again_and_again(wire: Wire) -> None:
    job = wire.unworked()["generationJob"]
    for _ in range(2):
        retried = told(wire.as_("quiet").post(f"/v1/jobs/{job['id']}/retry"), 200)
        assert retried["alreadyQueued"] is True
        assert retried["generationJob"]["status"] == "queued"


def test_what_is_cancelled_is_queued_again_once_and_both_are_in_the_audit(wire: Wire) -> None:
    quiet, job = wire.as_("quiet"), wire.unworked()["generationJob"]["id"]
    first, again = (told(quiet.post(f"/v1/jobs/{job}/cancel"), 200) for _ in range(2))
    assert (first["alreadyCancelled"], again["alreadyCancelled"]) == (False, True)
    assert first["generationJob"]["status"] == "cancelled"
    retried, noop = (told(quiet.post(f"/v1/jobs/{job}/retry"), 200) for _ in range(2))
    assert (retried["retriedCount"], retried["alreadyQueued"]) == (1, False)
    assert retried["generationJob"]["status"] == "queued"
    assert noop["alreadyQueued"] is True
    for done in ("retried", "cancelled"):
        assert wire.entries(f"generation_job.{done}_by_operator", about=job)


def test_a_teams_jobs_are_for_its_own_keys(wire: Wire) -> None:
    path = f"/v1/teams/{wire.world.teams['home']}/jobs"
    mine = wire.captured()["generationJob"]["id"]
    theirs = told(wire.as_("two").post("/v1/events", wire.event(
        projectId=wire.world.projects["two"])), 201)["generationJob"]["id"]  # fmt: skip
    assert {mine, theirs} <= _ids(wire.as_("home").get(path))
    assert mine in _ids(wire.one.get(path))
    assert theirs not in _ids(wire.one.get(path))
    assert refused(wire.as_("away").get(path), 404, "NotFound") == "Team not found"
    assert refused(wire.as_().get(path), 401, "Unauthorized")


def test_a_projects_jobs_are_for_its_own_and_its_teams_keys(wire: Wire) -> None:
    path = f"/v1/projects/{wire.project}/jobs"
    mine = wire.captured()["generationJob"]["id"]
    for key in ("one", "home"):
        assert mine in _ids(wire.as_(key).get(path))
    for key in ("two", "far", "away"):
        assert refused(wire.as_(key).get(path), 404, "NotFound") == "Project not found"


def test_a_list_of_jobs_honours_its_state_and_window_and_counts_all(wire: Wire) -> None:
    wire.captured()
    path = f"/v1/projects/{wire.project}/jobs"
    page = told(wire.one.get(f"{path}?limit=1&offset=1"), 200)
    assert (len(page["jobs"]), page["limit"], page["offset"]) == (1, 1, 1)
    assert page["total"] > 1
    assert not _ids(wire.one.get(f"{path}?status=failed"))


def test_a_duplicate_changes_nothing_of_the_job_that_is_there(wire: Wire) -> None:
    event = wire.event(sourceEventId=uuid4().hex)
    first, again = (told(wire.one.post("/v1/events", event), 201) for _ in range(2))
    assert first["event"]["id"] == again["event"]["id"]
    assert first["generationJob"]["id"] == again["generationJob"]["id"]
    jobs = told(wire.as_("admin").get("/v1/jobs?include=payload&limit=200"), 200)["jobs"]
    (entry,) = [job for job in jobs if job["sourceId"] == first["event"]["id"]]
    assert entry["payload"]["generation_job_id"] == first["generationJob"]["id"]


def test_what_is_private_is_in_no_answer(wire: Wire) -> None:
    payload = {"tool_input": {"text": "open <private>hidden words</private> end"}}
    event = wire.captured(payload=payload)["event"]
    shown = wire.one.get(f"/v1/events/{event['id']}")
    assert "open" in shown.text
    assert "hidden" not in shown.text


def _ids(answer: Any) -> set[str]:
    return {job["id"] for job in told(answer, 200)["jobs"]}


def _job(wire: Wire, captured: dict[str, Any]) -> dict[str, Any]:
    answer = wire.one.get(f"/v1/jobs/{captured['generationJob']['id']}")
    job: dict[str, Any] = told(answer, 200)["generationJob"]
    return job
