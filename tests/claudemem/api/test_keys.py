"""Keys over the API: handed on, listed, revoked; and how to connect with one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from observations import keys
from observations.models import ApiKey, AuditEntry, Project, Team
from tests.claudemem.api.conftest import Api, RawKey, refused, told

BOTH = ("memories:read", "memories:write")


@pytest.fixture
def agent(raw_key: RawKey) -> Api:
    """The API with a key of the team that reads and writes."""
    return Api(raw_key(*BOTH))


def made(caller: Api, body: Any = b"", **headers: str) -> Any:
    return told(caller.post("/v1/keys", body, Host="localhost:37877", **headers), 201)


def test_a_key_that_is_handed_on_reads_what_its_maker_reaches(
    project: Project, raw_key: RawKey
) -> None:
    one = made(Api(raw_key(*BOTH, project=project)), {"label": " my laptop "})
    assert list(one) == ["id", "apiKey", "scopes", "expiresAt", "mcpUrl", "connectCommand"]
    assert one["apiKey"].startswith("cm_")
    assert len(one["apiKey"]) == 51
    assert (one["scopes"], one["expiresAt"]) == (["memories:read"], None)
    row = ApiKey.objects.get(pk=one["id"])
    assert (row.name, row.team_id, row.project_id) == ("my laptop", project.team_id, project.id)
    reader = Api(one["apiKey"])
    told(reader.get("/v1/jobs"), 200)
    for closed in (reader.post("/v1/keys", {}), reader.get("/v1/keys")):
        refused(closed, 403, "Forbidden")


def test_the_command_connects_with_the_key_where_the_caller_called(agent: Api) -> None:
    one = made(agent)
    assert one["mcpUrl"] == "http://localhost:37877/v1/mcp"
    assert one["connectCommand"] == (
        "claude mcp add --transport http claude-mem http://localhost:37877/v1/mcp "
        f'--header "Authorization: Bearer {one["apiKey"]}"'
    )


def test_a_public_address_is_the_one_that_is_told(agent: Api, settings: LazySettings) -> None:
    settings.PUBLIC_URL = "https://memory.example/base"
    assert made(agent)["mcpUrl"] == "https://memory.example/base/v1/mcp"
    told_by = agent.get("/v1/connect", Host='x"; rm -rf ~; "')
    assert told(told_by, 200)["mcpUrl"] == "https://memory.example/base/v1/mcp"


@pytest.mark.parametrize(
    "host", ['x"; rm -rf ~; "', "$(id)", "a b", "a/b", "user@host", "`id`", "a:b", "[::1", "a\\"]
)
def test_a_host_that_is_none_gets_into_no_command(agent: Api, host: str) -> None:
    for answer in (agent.post("/v1/keys", {}, Host=host), agent.get("/v1/connect", Host=host)):
        assert refused(answer, 400, "ValidationError") == "Host"
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("host", ["[::1]:37877", "memory.example", "10.0.0.7:80", "web_1"])
def test_any_host_is_taken_at_its_word(agent: Api, host: str) -> None:
    assert told(agent.get("/v1/connect", Host=host), 200)["mcpUrl"] == f"http://{host}/v1/mcp"


def test_nobody_keeps_an_answer_with_a_key_in_it(agent: Api) -> None:
    answer = agent.post("/v1/keys", {}, Host="localhost")
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store")


def test_how_to_connect_is_told_without_a_key(raw_key: RawKey) -> None:
    shown = told(Api(raw_key("memories:read")).get("/v1/connect", Host="localhost"), 200)
    assert shown == {
        "mcpUrl": "http://localhost/v1/mcp",
        "connectCommand": "claude mcp add --transport http claude-mem http://localhost/v1/mcp "
        '--header "Authorization: Bearer <YOUR_API_KEY>"',
        "hint": "POST /v1/keys (write scope) to mint a read-only key for this link.",
    }


def test_a_key_works_for_the_days_that_were_asked_for(agent: Api) -> None:
    one = made(agent, {"expiresInDays": 30.0})
    ends = datetime.strptime(one["expiresAt"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert timedelta(days=29, hours=23) < ends - timezone.now() <= timedelta(days=30)


def test_a_key_ends_with_the_one_that_made_it(team: Team) -> None:
    ends = timezone.now() + timedelta(days=2)
    own = keys.create("k", BOTH, team=team, expires_at=ends).raw
    for body in ({}, {"expiresInDays": 30}):
        assert ApiKey.objects.get(pk=made(Api(own), body)["id"]).expires_at == ends
    sooner = ApiKey.objects.get(pk=made(Api(own), {"expiresInDays": 1})["id"])
    assert sooner.expires_at is not None
    assert sooner.expires_at < ends


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"label": "x" * 121}, "label"), ({"label": 7}, "label"), ({"label": "a\nb"}, "label"),
        ({"label": "a\0b"}, "label"), ({"expiresInDays": 0}, "expiresInDays"),
        ({"expiresInDays": 366}, "expiresInDays"), ({"expiresInDays": 1.5}, "expiresInDays"),
        ({"expiresInDays": True}, "expiresInDays"), ([], ""),
    ],
)  # fmt: skip
def test_what_cannot_be_a_key_is_told_by_its_name(agent: Api, body: Any, path: str) -> None:
    assert refused(agent.post("/v1/keys", body), 400, "ValidationError") == path
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("body", [b"", b"{}", b'{"label": "", "expiresInDays": null, "x": 1}'])
def test_nothing_need_be_said_of_a_key(agent: Api, body: bytes) -> None:
    assert ApiKey.objects.get(pk=made(agent, body)["id"]).name == "mcp"


def test_a_key_that_may_not_read_makes_none_that_may(raw_key: RawKey) -> None:
    answer = Api(raw_key("memories:write")).post("/v1/keys", {}, Host="localhost")
    assert "may not read" in refused(answer, 403, "Forbidden")


def test_a_key_that_is_handed_on_may_not_read_what_its_maker_may_not(raw_key: RawKey) -> None:
    narrow = Api(raw_key("memories:write", "observations:read"))
    refused(narrow.get("/v1/jobs"), 403, "Forbidden")
    one = made(narrow)
    assert one["scopes"] == ["observations:read"]
    refused(Api(one["apiKey"]).get("/v1/jobs"), 403, "Forbidden")


def test_a_key_is_shown_with_everything_but_itself(agent: Api) -> None:
    one = made(agent, {"label": "laptop"})
    shown = told(agent.get(f"/v1/keys/{one['id']}"), 200)["key"]
    assert list(shown) == [
        "id", "name", "teamId", "projectId", "scopes", "status", "lastUsedAt", "expiresAt",
        "createdAt",
    ]  # fmt: skip
    assert (shown["name"], shown["status"], shown["lastUsedAt"]) == ("laptop", "active", None)
    Api(one["apiKey"]).get("/v1/jobs")
    listed = agent.get("/v1/keys")
    assert [row["name"] for row in told(listed, 200)["keys"]] == ["laptop", "test"]
    assert told(listed, 200)["keys"][0]["lastUsedAt"].endswith("Z")
    row = ApiKey.objects.get(pk=one["id"])
    for secret in (one["apiKey"], row.key_hash):
        assert secret.encode() not in listed.content


def test_keys_are_listed_in_pages_all_or_those_that_work(agent: Api, team: Team) -> None:
    ids = [keys.create(f"k{number}", BOTH, team=team).key.id for number in range(4)]
    keys.revoke(ids[0])
    ApiKey.objects.update(created_at=timezone.now())  # a tie is broken by the id
    own = str(ApiKey.objects.get(name="test").id)
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = told(agent.get(f"/v1/keys?limit=2&cursor={cursor}"), 200)
        seen += [row["id"] for row in page["keys"]]
        cursor = page["nextCursor"]
    assert seen == sorted([*ids, own], reverse=True)
    active = told(agent.get("/v1/keys?active=true"), 200)
    assert ({row["id"] for row in active["keys"]}, active["nextCursor"]) == ({*ids[1:], own}, None)
    for wrong in ("cursor=x", "limit=0", "active=perhaps", "active=1"):
        assert (
            refused(agent.get(f"/v1/keys?{wrong}"), 400, "ValidationError") == wrong.split("=")[0]
        )


def test_a_revoked_key_is_refused_and_stays_in_the_list(agent: Api) -> None:
    one = made(agent)
    revoked = told(agent.call("DELETE", f"/v1/keys/{one['id']}", b""), 200)
    assert revoked == {"id": one["id"], "status": "revoked"}
    refused(Api(one["apiKey"]).get("/v1/jobs"), 403, "Forbidden")
    assert told(agent.get(f"/v1/keys/{one['id']}"), 200)["key"]["status"] == "revoked"
    refused(agent.call("DELETE", f"/v1/keys/{one['id']}", b""), 404, "NotFound")


def test_a_key_may_revoke_itself(agent: Api) -> None:
    own = ApiKey.objects.get().id
    told(agent.call("DELETE", f"/v1/keys/{own}", b""), 200)
    refused(agent.get("/v1/jobs"), 403, "Forbidden")


def test_a_key_that_may_do_more_is_not_revoked_by_one_that_may_do_less(
    agent: Api, team: Team
) -> None:
    for more in (["*"], ["memories:read", "admin"]):
        key = keys.create("more", more, team=team).key
        answer = agent.call("DELETE", f"/v1/keys/{key.id}", b"")
        assert "may do more" in refused(answer, 403, "Forbidden")
        key.refresh_from_db()
        assert key.revoked_at is None


def test_keys_of_others_are_as_if_there_were_none(project: Project, raw_key: RawKey) -> None:
    sibling = Project.objects.create(team=project.team, name="sibling")
    strangers = Team.objects.create(name="strangers")
    theirs = [
        keys.create("k", BOTH, team=project.team, project=sibling).key,
        keys.create("k", BOTH, team=project.team).key,
        keys.create("k", BOTH, team=strangers).key,
        keys.create("k", BOTH, team=None).key,
    ]
    caller = Api(raw_key("*", project=project))
    assert [row["name"] for row in told(caller.get("/v1/keys"), 200)["keys"]] == ["test"]
    for key in theirs:
        for method in ("GET", "DELETE"):
            answer = caller.call(method, f"/v1/keys/{key.id}", b"")
            assert refused(answer, 404, "NotFound") == "API key not found"
    assert not ApiKey.objects.filter(revoked_at__isnull=False).exists()
    of_team = Api(raw_key("*", owner=project.team))
    assert len(told(of_team.get("/v1/keys"), 200)["keys"]) == 4


def test_what_is_done_to_keys_is_in_the_audit(agent: Api) -> None:
    by = ApiKey.objects.get().id
    one = made(agent, {"label": "laptop"}, X_Request_Id="r-1")
    agent.call("DELETE", f"/v1/keys/{one['id']}", b"")
    entries = AuditEntry.objects.filter(resource_id=one["id"]).order_by("id")
    assert [(each.action, each.api_key_id) for each in entries] == [
        ("api_key.create", by),
        ("api_key.revoke", by),
    ]
    assert entries[0].details["name"] == "laptop"
    assert entries[0].details["requestId"] == "r-1"
