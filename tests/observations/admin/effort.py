"""How much a page makes the database do: its queries, and the rows that they read."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

# SQLite is asked for its count so often, in instructions of its virtual machine.
_TICK = 50


@dataclass(frozen=True, slots=True)
class Effort:
    """A page's queries, and a measure of what they read: only to be compared with another one."""

    queries: int
    work: int
    statements: tuple[str, ...]


def effort(client: Client, address: str) -> Effort:
    """What the page at the address costs the database. Asserts that it is there."""
    with _instructions() as counted, CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200, address
    told = tuple(each["sql"] for each in queries.captured_queries)
    work = counted[0] if connection.vendor == "sqlite" else sum(map(_rows_read, told))
    return Effort(len(told), work, told)


@contextmanager
def _instructions() -> Iterator[list[int]]:
    """Count the instructions that SQLite's virtual machine executes."""
    counted = [0]

    def tick() -> int:
        counted[0] += _TICK
        return 0

    database = connection.connection
    if not isinstance(database, sqlite3.Connection):
        yield counted
        return
    database.set_progress_handler(tick, _TICK)
    try:
        yield counted
    finally:
        database.set_progress_handler(None, 0)


def _rows_read(sql: str) -> int:
    """The rows that the nodes of PostgreSQL's plan came across, those that they threw away too."""
    if not sql.lstrip().upper().startswith("SELECT"):
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql.replace('%', '%%')}", [])
        (plan,) = cursor.fetchone()
    found = json.loads(plan) if isinstance(plan, str) else plan
    return sum(_read_by(node) for node in _nodes(found[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _read_by(node: dict[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])
