"""What the tools do for whom."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudemem.mcp import reading, tools
from observations import scopes
from observations.models import AuditEntry, Event, Observation, Project, Team
from queueing.models import GenerationJob
from tests.claudemem.mcp.conftest import Agent, NewAgent, Remembered

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
NAMES = st.sampled_from(
    ["query", "limit", "ids", "id", "around", "brief", "content", "title", "file", "kind",
     "metadata", "payload", "jobId", "eventType", "occurredAtEpoch", "platformSource",
     "serverSessionId"]
)  # fmt: skip


@pytest.fixture
def other(team: Team) -> Project:
    return Project.objects.create(team=team, name="another")


def entry() -> AuditEntry:
    """The newest entry of the audit."""
    return AuditEntry.objects.order_by("-id")[0]


def test_search_finds_by_content_and_tells_records(agent: Agent, remembered: Remembered) -> None:
    wanted = remembered("the backoff is capped at 600 seconds", title="cap of the backoff")
    remembered("locks keep jobs in order")

    (found,) = agent.reads("search", query="backoff cap")["observations"]

    assert found["id"] == wanted.id
    assert found["number"] == wanted.number
    assert found["projectId"] == wanted.project_id
    assert found["content"] == wanted.content


def test_context_is_the_records_and_their_contents_as_one_text(
    agent: Agent, remembered: Remembered
) -> None:
    remembered("retries wait, attempt by attempt")
    remembered("retries are three")

    told = agent.reads("context", query="retries")

    assert len(told["observations"]) == 2
    assert sorted(told["context"].split("\n\n")) == sorted(
        row["content"] for row in told["observations"]
    )


def test_recent_is_newest_first(agent: Agent, remembered: Remembered) -> None:
    rows = [remembered(f"memory {n}") for n in range(3)]

    told = agent.reads("recent")["observations"]

    assert [row["id"] for row in told] == [row.id for row in reversed(rows)]


@pytest.mark.parametrize(
    ("tool", "usual", "most"), [("search", 20, 100), ("context", 10, 50), ("recent", 20, 100)]
)
def test_a_limit_is_clamped_and_has_its_usual_size(
    agent: Agent, remembered: Remembered, tool: str, usual: int, most: int
) -> None:
    for number in range(2):
        remembered(f"a memory of retries, {number}")
    for said, taken in [(None, usual), (10_000, most), ("many", usual)]:
        agent.hears(tool, query="retries", limit=said)
        assert entry().details["limit"] == taken

    assert len(agent.reads(tool, query="retries", limit=1.7)["observations"]) == 1


def test_search_to_timeline_to_observations_closes_with_what_each_shows(
    agent: Agent, remembered: Remembered
) -> None:
    before = remembered("the lock was taken twice", title="double lock")
    wanted = remembered("the lane's row lock orders claims", title="row lock of the lane")
    after = remembered("claims are fenced by a token", title="fencing")

    line = agent.hears("search", query="lane row lock", brief=True).splitlines()[0]
    number = line.split()[0]
    around = agent.hears("timeline", around=number, limit=3)
    named = [word for word in around.split() if word.startswith("#") and word[1:].isdigit()]
    told = agent.reads("get_observations", ids=named)["observations"]

    assert number == f"#{wanted.number}"
    assert [row["id"] for row in told] == [before.id, wanted.id, after.id]


def test_a_timeline_may_be_around_the_best_match(agent: Agent, remembered: Remembered) -> None:
    remembered("one", title="one")
    remembered("the needle", title="needle")
    remembered("three", title="three")

    told = agent.hears("timeline", query="needle", limit=1)

    assert "needle" in told
    assert "one" not in told


def test_observations_are_had_by_number_and_by_id_and_the_missing_are_named(
    agent: Agent, remembered: Remembered
) -> None:
    one, two = remembered("one"), remembered("two")

    told = agent.reads("get_observations", ids=[two.id, f"#{one.number}", 999_999, "nobody"])

    assert [row["id"] for row in told["observations"]] == [two.id, one.id]
    assert told["missing"] == [999_999, "nobody"]


def test_a_session_is_told_what_lasts(agent: Agent, remembered: Remembered) -> None:
    row = remembered("keep the token column", title="tokens only grow")

    assert f"#{row.number}" in agent.hears("session_start_context")
    assert entry().details["observationIds"] == [row.id]


def test_nothing_is_told_in_words_where_lines_were_asked_for(agent: Agent) -> None:
    assert agent.hears("search", query="retries", brief=True) == reading.NOTHING
    assert agent.hears("recent", brief=True) == reading.NOTHING_YET
    assert agent.hears("timeline") == reading.NOTHING_YET
    assert agent.hears("session_start_context") == reading.NOTHING_YET
    assert agent.reads("search", query="retries") == {"observations": []}


def test_search_keeps_to_a_file(agent: Agent, remembered: Remembered) -> None:
    remembered("retries are capped")
    row = remembered("retries are counted")
    Observation.objects.filter(pk=row.pk).update(files_modified=["src/retry.py"])

    told = agent.reads("search", query="retries", file="retry.py")["observations"]

    assert [each["id"] for each in told] == [row.id]


def test_what_is_remembered_is_found_and_what_is_forgotten_is_not(agent: Agent) -> None:
    made = agent.reads("remember", content="tabs, never spaces", title="indentation")["memory"]
    assert agent.reads("search", query="tabs")["observations"][0]["id"] == made["id"]
    assert entry().action == "observation.read"

    gone = agent.reads("forget", id=made["number"])

    assert gone == {"deleted": True, "id": made["id"], "number": made["number"]}
    assert agent.reads("search", query="tabs") == {"observations": []}
    assert "no observation" in agent.is_refused("forget", id=made["id"])


def test_a_secret_is_not_remembered(agent: Agent) -> None:
    said = "the key is <private>xyzzy</private>, ask Ada"

    made = agent.reads("remember", content=said)["memory"]

    assert "xyzzy" not in made["content"]
    assert "ask Ada" in made["content"]


def test_who_may_only_read_writes_nothing(
    new_agent: NewAgent, project: Project, remembered: Remembered
) -> None:
    row = remembered("here to stay")
    reader = new_agent(scopes.MEMORIES_READ, project=project)

    for name, arguments in [
        ("remember", {"content": "x"}), ("forget", {"id": row.id}),
        ("observation_add", {"content": "x"}), ("observation_record_event", {"eventType": "x"}),
    ]:  # fmt: skip
        said = reader.is_refused(name, **arguments)
        assert name in said
        assert "memories:write" in said

    assert list(Observation.objects.all()) == [row]
    assert not Event.objects.exists()


def test_the_project_need_not_be_named_where_there_is_one(
    new_agent: NewAgent, remembered: Remembered
) -> None:
    row = remembered("of the only project")

    assert new_agent().reads("recent")["observations"][0]["id"] == row.id


def test_who_reaches_several_projects_is_told_which(
    new_agent: NewAgent, project: Project, other: Project
) -> None:
    said = new_agent().is_refused("recent")

    assert said == f'"projectId" is required: name one of {other.name}, {project.name}'


def test_a_project_is_named_by_id_or_by_name(
    new_agent: NewAgent, other: Project, remembered: Remembered
) -> None:
    row = remembered("of the other one", of=other)
    agent = new_agent()

    for name in (other.id, other.name):
        assert agent.reads("recent", projectId=name)["observations"][0]["id"] == row.id
    assert {each["name"] for each in agent.reads("projects")["projects"]} >= {other.name}


def test_a_key_of_a_project_reaches_no_other(
    agent: Agent, project: Project, other: Project, remembered: Remembered
) -> None:
    row = remembered("not yours", of=other)

    for tool in ("search", "context", "recent", "timeline", "session_start_context", "remember"):
        said = agent.is_refused(tool, query="x", content="x", projectId=other.id)
        assert said == "API key is scoped to a different project"
    assert agent.reads("get_observations", ids=[row.number, row.id])["observations"] == []
    assert "no observation" in agent.is_refused("timeline", around=row.number)
    assert "no observation" in agent.is_refused("forget", id=row.id)
    assert [each["id"] for each in agent.reads("projects")["projects"]] == [project.id]
    assert Observation.objects.filter(pk=row.pk).exists()


def test_another_team_is_not_there(
    new_agent: NewAgent, project: Project, remembered: Remembered
) -> None:
    row = remembered("not yours")
    stranger = new_agent(owner=Team.objects.create(name="strangers"))

    said = stranger.is_refused("search", query="x", projectId=project.id)

    assert project.name not in said
    assert "no project yet" in stranger.is_refused("recent")
    assert stranger.reads("get_observations", ids=[row.number])["missing"] == [row.number]
    assert "no observation" in stranger.is_refused("forget", id=row.id)
    assert stranger.reads("projects") == {"projects": []}


@pytest.mark.parametrize(
    ("tool", "mode"),
    [("search", "search"), ("context", "context"), ("recent", "recent"), ("timeline", "timeline"),
     ("get_observations", "get_observations"), ("observation_search", "search")],
)  # fmt: skip
def test_a_read_is_entered_with_the_way_it_came(
    agent: Agent, remembered: Remembered, tool: str, mode: str
) -> None:
    row = remembered("read me")

    agent.hears(tool, query="read", ids=[row.id])

    assert entry().action == "observation.read"
    assert entry().project_id == row.project_id
    assert entry().api_key_id == agent.principal.api_key_id
    told = entry().details
    assert (told["via"], told["mode"], told["observationIds"]) == ("mcp", mode, [row.id])
    assert told["requestId"] == "request-1"
    assert "read" not in str({k: v for k, v in told.items() if k != "mode"})


@pytest.mark.parametrize(
    ("tool", "missing"),
    [("search", "query"), ("context", "query"), ("get_observations", "ids"), ("forget", "id"),
     ("remember", "content"), ("observation_add", "content"), ("observation_search", "query"),
     ("observation_record_event", "eventType"), ("observation_context", "query"),
     ("observation_generation_status", "jobId")],
)  # fmt: skip
def test_what_is_missing_is_named(agent: Agent, tool: str, missing: str) -> None:
    assert f'"{missing}"' in agent.is_refused(tool)


def test_an_unknown_tool_is_an_answer(agent: Agent) -> None:
    assert agent.is_refused("x") == "Unknown tool: x"


@pytest.mark.parametrize("name", ["content", "narrative", "text", "title"])
def test_the_words_of_a_memory_may_have_their_older_names(agent: Agent, name: str) -> None:
    made = agent.reads("observation_add", **{name: "as older clients say it"}, type="note")

    assert made["memory"]["content"] == "as older clients say it"
    assert made["memory"]["metadata"]["type"] == "note"


def test_an_event_is_recorded_and_its_job_can_be_asked_about(agent: Agent) -> None:
    told = agent.reads("observation_record_event", eventType="note", payload={"text": "hello"})

    status = agent.reads("observation_generation_status", job_id=told["generationJob"]["id"])

    assert told["event"]["sourceAdapter"] == "api"
    assert status["generationJob"]["status"] == "queued"
    assert "not found" in agent.is_refused("observation_generation_status", jobId="none")


def test_an_event_may_be_recorded_without_a_job(agent: Agent) -> None:
    told = agent.reads("observation_record_event", eventType="note", generate=False)

    assert "generationJob" not in told
    assert not GenerationJob.objects.exists()


@pytest.mark.parametrize("tool", sorted(tools.DEEDS))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arguments=st.dictionaries(NAMES, VALUES, max_size=5))
def test_whatever_an_agent_passes_it_is_answered_in_words(
    agent: Agent, tool: str, arguments: dict[str, Any]
) -> None:
    answer = agent.asks(tool, **arguments)

    assert answer.text
    assert "Something went wrong" not in answer.text
