"""Every route with every kind of wrong key: how it is refused, and that nothing changes by it.

The routes are those of the router and of the table of asynchronous applications. What is to be
answered follows from what a route needs and whose the thing is that it names.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from claudemem.asgi import ASYNC
from observations import scopes
from tests.contracts.conftest import Wire
from tests.contracts.wire_routes import ROUTES, Route, written
from tests.contracts.wire_world import HOOK_SCOPES, READ_ONLY
from tests.stack import OPEN
from tests.waiting import until

pytestmark = pytest.mark.stack

# Keys that open nothing, and how each is refused wherever one is needed.
DEAD = {"": 401, "cmem_unknown": 403, "revoked": 403, "expired": 403, "nobody": 403}
NARROW = {"reader": READ_ONLY, "hooks": HOOK_SCOPES}
SIBLINGS, STRANGERS = ("two",), ("far", "away")
# Of another team nothing is there; of another project of one's team these are told to be there.
TOLD_TO_SIBLINGS = {"session_id", "event_id"}
# A key that is bound to a project is told so at once where another's memory is to be emptied.
PURGE = ("DELETE", "/projects/{project_id}/memory")
# What goes on by itself, and what is kept of calls that were refused.
RESTLESS = re.compile(r"queueing_canary|queueing_pruning|queueing_lane|sqlite_.*|.*_idx.*")
KEEPING = {"last_used_at"}


KEYED = [pytest.param(each, id=f"{each.method} {each.path}") for each in ROUTES if each.need]


def refusal(route: Route, key: str) -> int:
    """How a key of another project or team is refused; 0 where only its own is meant."""
    stranger = key in STRANGERS
    if route.method == PURGE[0] and route.path.endswith(PURGE[1]):
        return 404 if key == "away" else 403
    if route.names and stranger:
        return 404
    if route.names and route.names != ["team_id"]:
        return 403 if TOLD_TO_SIBLINGS & set(route.names) else 404
    return 403 if route.body else 0


@dataclass(frozen=True, slots=True)
class Ours:
    """What project one has of each thing that an address can name, and calls that mean it."""

    wire: Wire
    ids: dict[str, str]
    tables: dict[str, str]
    database: Any

    def call(self, route: Route, key: str, **headers: str) -> httpx.Response:
        """A call of this route about what is project one's."""
        path = route.path.format(**self.ids)
        body: Any = written(self.wire.project, uuid4().hex)
        body = [body] if path.endswith("/batch") else body
        caller = self.wire.as_(key)
        return caller.http.request(
            route.method, path, json=None if route.method == "GET" else body,
            headers={"Accept": "application/json, text/event-stream"} | headers,
        )  # fmt: skip

    def rows(self) -> dict[str, list[str]]:
        """Everything that the database holds, but what changes by itself."""
        ask = self.database.execute
        return {
            name: sorted(map(str, ask(query).fetchall())) for name, query in self.tables.items()
        }


@pytest.fixture(scope="module")
def ours(wire: Wire) -> Iterator[Ours]:
    session = wire.session(contentSessionId=uuid4().hex)["id"]
    captured = wire.captured(serverSessionId=session)
    still = wire.world.teams["still"]
    until(lambda: not wire.stack.jobs(f"{OPEN} AND team_id <> '{still}'"))
    memory = wire.remembered("ours alone")["id"]
    ids = {
        "session_id": session, "event_id": captured["event"]["id"],
        "job_id": captured["generationJob"]["id"], "memory_id": memory, "observation_id": memory,
        "project_id": wire.project, "team_id": wire.world.teams["home"],
        "key_id": wire.world.key_ids["reader"],
    }  # fmt: skip
    with closing(wire.stack.connect()) as database:
        yield Ours(wire, ids, _tables(wire), database)


@pytest.mark.parametrize("route", KEYED)
def test_no_key_that_does_not_work_or_is_too_narrow_changes_anything(
    ours: Ours, route: Route
) -> None:
    assert route.need
    refused = dict(DEAD)
    for key, held in NARROW.items():
        if not scopes.allows(held, route.need):
            refused[key] = 403
    before = ours.rows()
    answers = {key: ours.call(route, key).status_code for key in refused}
    assert answers == refused
    assert ours.rows() == before


@pytest.mark.parametrize("route", KEYED)
def test_no_key_of_elsewhere_reaches_or_changes_what_is_ours(ours: Ours, route: Route) -> None:
    keys = [key for key in (*SIBLINGS, *STRANGERS) if refusal(route, key)]
    before = ours.rows()
    answers = {key: ours.call(route, key) for key in keys}
    assert {key: answer.status_code for key, answer in answers.items()} == {
        key: refusal(route, key) for key in keys
    }
    assert ours.rows() == before


@pytest.mark.parametrize("route", [each for each in KEYED if each.values[0].method == "GET"])
def test_no_list_for_others_shows_what_is_ours(ours: Ours, route: Route) -> None:
    asks = route.path not in ASYNC and not route.names
    for key in (*SIBLINGS, *STRANGERS) if asks else ():
        for query in ("", f"?projectId={ours.wire.project}&limit=200"):
            path = f"{route.path}{query}"
            answer = ours.wire.as_(key).get(path)
            assert answer.status_code in (200, 400, 403, 404)
            assert ours.ids["event_id"] not in answer.text
            assert ours.ids["memory_id"] not in answer.text


def test_what_is_open_to_all_only_reads_and_what_is_local_is_for_nobody_behind_a_proxy(
    ours: Ours,
) -> None:
    before = ours.rows()
    for route in ROUTES:
        if route.local:
            answer = ours.call(route, "", **{"X-Forwarded-For": "203.0.113.7"})
            assert answer.status_code == 403, route
        elif route.need is None:
            assert route.method == "GET", route
    assert ours.rows() == before


def _tables(wire: Wire) -> dict[str, str]:
    """The query for all that each table holds, but what changes by itself."""
    ask = (
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        if wire.stack.on_postgresql
        else "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%_index%'"
    )
    names = [name for (name,) in wire.stack.sql(ask) if not RESTLESS.fullmatch(name)]
    return {name: f"SELECT {_columns(wire, name)} FROM {name}" for name in names}


def _columns(wire: Wire, table: str) -> str:
    ask = (
        "SELECT column_name FROM information_schema.columns WHERE table_name = ?"
        if wire.stack.on_postgresql
        else "SELECT name FROM pragma_table_info(?)"
    )
    return ", ".join(f'"{name}"' for (name,) in wire.stack.sql(ask, table) if name not in KEEPING)
