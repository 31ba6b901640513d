"""Sessions on the wire: started once, ended once, found by their own."""

from uuid import uuid4

import pytest

from tests.contracts.conftest import SENT, Wire, refused, told

pytestmark = pytest.mark.stack


def _start(wire: Wire, external: str, platform: str | None = None) -> tuple[int, dict[str, str]]:
    named = {} if platform is None else {"platformSource": platform}
    body = {"projectId": wire.project, "externalSessionId": external, **named}
    answer = wire.one.post("/v1/sessions/start", body)
    return answer.status_code, answer.json()["session"]


def test_the_same_external_id_is_201_and_then_200_with_one_id(wire: Wire) -> None:
    external = uuid4().hex
    first, again = _start(wire, external), _start(wire, external)
    assert (first[0], again[0]) == (201, 200)
    assert first[1]["id"] == again[1]["id"]


def test_an_external_id_belongs_to_its_platform_by_whatever_name(wire: Wire) -> None:
    external = uuid4().hex
    cursor, cli = _start(wire, external, "Cursor"), _start(wire, external, "cursor-cli")
    assert (cursor[0], cli[0]) == (201, 200)
    assert cursor[1]["id"] == cli[1]["id"]
    assert cursor[1]["platformSource"] == "cursor"
    status, codex = _start(wire, external, "Codex CLI")
    assert (status, codex["platformSource"]) == (201, "codex")
    status, bare = _start(wire, external)
    assert (status, bare["platformSource"]) == (201, None)
    assert len({cursor[1]["id"], codex["id"], bare["id"]}) == 3


def test_ending_tells_the_time_and_makes_one_job_of_a_summary(wire: Wire) -> None:
    session = wire.session(contentSessionId=uuid4().hex)
    wire.captured(serverSessionId=session["id"])
    ended = told(wire.one.post(f"/v1/sessions/{session['id']}/end"), 200)
    assert ended["session"]["endedAtEpoch"]
    job = ended["generationJob"]
    assert (job["sourceType"], job["sourceId"]) == ("session_summary", session["id"])
    assert job["transport"] in SENT
    again = told(wire.one.post(f"/v1/sessions/{session['id']}/end"), 200)
    assert again["generationJob"]["id"] == job["id"]
    assert again["session"]["endedAtEpoch"] == ended["session"]["endedAtEpoch"]
    assert _summaries(wire, session["id"]) == 1
    assert job["bullmqJobId"] == again["generationJob"]["bullmqJobId"]


def test_each_end_with_news_is_summarised_from_all_of_its_events(wire: Wire) -> None:
    session = wire.session(contentSessionId=uuid4().hex)
    for number in (1, 2):
        wire.captured(serverSessionId=session["id"], payload={"tool_name": "Read", "n": number})
        assert told(wire.one.post(f"/v1/sessions/{session['id']}/end"), 200)
    assert _summaries(wire, session["id"]) == 2


def test_an_empty_end_is_taken_with_whatever_body(wire: Wire) -> None:
    session = wire.session(contentSessionId=uuid4().hex)
    ended = wire.one.http.post(f"/v1/sessions/{session['id']}/end", content=b"no json at all")
    assert ended.status_code == 200


def test_a_session_of_another_team_is_not_there_and_of_another_project_forbidden(
    wire: Wire,
) -> None:
    path = f"/v1/sessions/{wire.session(contentSessionId=uuid4().hex)['id']}"
    assert told(wire.one.get(path), 200)
    for call in (("GET", path), ("POST", f"{path}/end")):
        assert refused(wire.as_("far").call(*call), 404, "NotFound") == "Session not found"
        said = refused(wire.as_("two").call(*call), 403, "Forbidden")
        assert said == "API key is scoped to a different project"


def test_without_an_external_id_an_existing_session_is_found_and_not_overwritten(
    wire: Wire,
) -> None:
    content = uuid4().hex
    first = wire.session(contentSessionId=content, metadata={"prompt": "first"})
    again = wire.session(contentSessionId=content, metadata={"prompt": "second"})
    assert again["id"] == first["id"]
    assert again["startedAtEpoch"] == first["startedAtEpoch"]


def test_an_external_id_may_be_null(wire: Wire) -> None:
    assert wire.session(externalSessionId=None, contentSessionId=uuid4().hex)["id"]


def _summaries(wire: Wire, session: str) -> int:
    return wire.rows("queueing_generationjob", source_type="session_summary", source_id=session)
