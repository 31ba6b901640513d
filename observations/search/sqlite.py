"""Search by words on SQLite's FTS5. The table and its triggers are made by migration 0002."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from observations.search.index import LOOKED_AT, PLATFORM, Condition, Filters, Held, Hit
from observations.search.terms import Query

# In the order of the index's columns. `project` only narrows the search down and scores nothing.
WEIGHTS = {
    "project": 0.0,
    "title": 4.0,
    "subtitle": 2.0,
    "facts": 2.0,
    "narrative": 1.0,
    "files": 2.0,
    "concepts": 0.5,
    "parts": 1.0,
}

# From so many rows on, words that most rows hold are not looked for: they would have nearly every
# row scored and change no order, since bm25 gives them no weight.
MANY = 1_000
# Words that more rows hold than that only score, where rarer ones find enough.
COMMON = 2_000

_SCORE = f"bm25(observation_index, {', '.join(map(str, WEIGHTS.values()))})"

_FIND = f"""
SELECT o.number, -{_SCORE} AS score
FROM observation_index JOIN observations_observation o ON o.number = observation_index.rowid
WHERE observation_index MATCH %s AND {{conditions}}
ORDER BY score DESC, o.occurred_at DESC, o.number DESC
LIMIT %s
"""  # noqa: S608 - the weights are our own numbers

_HELD_BY_MORE = """
SELECT %s WHERE EXISTS (
  SELECT 1 FROM observation_index WHERE observation_index MATCH %s LIMIT 1 OFFSET %s)
"""

_CONCEPT = "EXISTS (SELECT 1 FROM json_each({row}.concepts) WHERE value IN ({marks}))"

_FILE = """
EXISTS (
  SELECT 1 FROM (SELECT value AS path FROM json_each({row}.files_read)
                 UNION ALL SELECT value FROM json_each({row}.files_modified))
  WHERE path = %s OR substr(path, -length(%s) - 1) = '/' || %s
     OR substr(%s, -length(path) - 1) = '/' || path)
"""


_LAST = """
SELECT o.number
FROM observation_index JOIN observations_observation o ON o.number = observation_index.rowid
WHERE observation_index MATCH %s AND {conditions} ORDER BY observation_index.rowid DESC LIMIT %s
"""
_HELD = """
SELECT %s, NULL, count(*) FROM observation_index WHERE observation_index MATCH %s AND rowid > %s
UNION ALL
SELECT %s, rowid, 0 FROM observation_index
WHERE observation_index MATCH %s AND rowid IN (SELECT value FROM json_each(%s))
"""
_NEWEST = """
SELECT count(*), coalesce(min(number), 0) FROM (
    SELECT number FROM observations_observation WHERE project_id = %s
    ORDER BY occurred_at DESC, number DESC LIMIT %s)
"""


class SqliteIndex:
    """The keyword index in SQLite; see KeywordIndex."""

    def find(
        self,
        query: Query,
        filters: Filters,
        *,
        project_ids: Sequence[str],
        limit: int,
        quick: bool = False,  # noqa: ARG002 - it always is
    ) -> list[Hit]:
        """The best `limit` matches in these projects, best first; of equals the newest first.

        Words that most rows hold count only where no other word finds anything.
        """
        if not query.any or not project_ids:
            return []
        common = _held_by_more(query.any, COMMON)
        rare = tuple(term for term in query.any if term not in common)
        if common and rare:
            hits = _hits(query, filters, project_ids, limit, rare)
            if len(hits) == limit:
                return hits
        telling = replace(query, any=_telling(query.any))
        hits = _hits(telling, filters, project_ids, limit) if telling.any else []
        return hits if hits or telling == query else _hits(query, filters, project_ids, limit)

    def newest(
        self, term: str, filters: Filters, *, project_ids: Sequence[str], limit: int
    ) -> list[int]:
        """The rows that hold a term and are as the filters say, the last that came first."""
        of_projects = (f"o.project_id IN ({_marks(project_ids)})", project_ids)
        conditions = [of_projects, *_conditions(filters, "o")]
        sql = _LAST.format(conditions=" AND ".join(condition for condition, _ in conditions))
        values = [value for _, values in conditions for value in values]
        with connection.cursor() as cursor:
            cursor.execute(sql, [_match(Query((term,)), project_ids, ()), *values, limit])
            return [number for (number,) in cursor]

    def held(self, words: Sequence[str], numbers: Sequence[int], *, project_id: str) -> Held:
        """Which of the words, as terms of a query are, the rows of these numbers hold."""
        asked, values = json.dumps(list(numbers)), list[Any]()
        with connection.cursor() as cursor:
            cursor.execute(_NEWEST, [project_id, LOOKED_AT])
            rows, oldest = cursor.fetchone()
            for word in words:
                among = _match(Query((word,)), [project_id], ())
                # Whose rows those are is known, and each word more in a match is looked up a row.
                values += [word, among, oldest - 1, word, f'- project : "{word}"', asked]
            cursor.execute(" UNION ALL ".join([_HELD] * len(words)), values)
            found = cursor.fetchall()
        by = {number: {word for word, of, _ in found if of == number} for number in numbers}
        return Held(
            rows=rows,
            holding={word: min(times, rows) for word, of, times in found if of is None},
            by={number: frozenset(those) for number, those in by.items()},
        )

    def conditions(self, filters: Filters, row: str) -> Iterator[Condition]:
        """What the filters ask of an observation, which the statement calls `row`."""
        return _conditions(filters, row)


def _telling(terms: tuple[str, ...]) -> tuple[str, ...]:
    """The terms that at most half of all rows hold; all terms while there are few rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(number) FROM observations_observation")
        half = (cursor.fetchone()[0] or 0) // 2
    common = _held_by_more(terms, half) if half >= MANY // 2 else frozenset()
    return tuple(term for term in terms if term not in common)


def _held_by_more(terms: tuple[str, ...], rows: int) -> frozenset[str]:
    """Those of the terms, single words, that more than so many rows hold."""
    words = [term for term in terms if " " not in term]
    if not words:
        return frozenset()
    values = [value for word in words for value in (word, f'"{word}"', rows)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_HELD_BY_MORE] * len(words)), values)
        return frozenset(word for (word,) in cursor)


def _hits(
    query: Query,
    filters: Filters,
    project_ids: Sequence[str],
    limit: int,
    needed: Sequence[str] = (),
) -> list[Hit]:
    of_projects = (f"o.project_id IN ({_marks(project_ids)})", project_ids)
    conditions = [of_projects, *_conditions(filters, "o")]
    sql = _FIND.format(conditions=" AND ".join(condition for condition, _ in conditions))
    values = [value for _, values in conditions for value in values]
    with connection.cursor() as cursor:
        cursor.execute(sql, [_match(query, project_ids, needed), *values, limit])
        return [Hit(number, score) for number, score in cursor]


def _match(query: Query, project_ids: Sequence[str], needed: Sequence[str]) -> str:
    """The query in FTS5's language; quotes make terms safe, since they hold letters and digits.

    Rows hold one of the terms, of those that are `needed` if any are: the others then only score,
    beside the project, which each row holds and which has no weight.
    """
    projects = " OR ".join(f'"{_id_words(each)}"' for each in project_ids)
    others = [term for term in query.any if term not in needed]
    wanted = f"project : ({projects}) AND - project : ({_any(needed or query.any)})"
    if needed:
        wanted += f" AND (- project : ({_any(others)}) OR project : ({projects}))"
    return f"({wanted}) NOT - project : ({_any(query.none)})" if query.none else wanted


def _any(terms: Sequence[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _id_words(project_id: str) -> str:
    """The words of an id as the trigger writes them; ids with the same ones differ in the rows."""
    return "".join(each if each.isalnum() else " " for each in project_id.replace("-", ""))


def _conditions(filters: Filters, row: str) -> Iterator[Condition]:
    if filters.kinds:
        yield f"{row}.kind IN ({_marks(filters.kinds)})", filters.kinds
    if filters.session_id:
        yield f"{row}.session_id = %s", [filters.session_id]
    if filters.since:
        yield f"{row}.occurred_at >= %s", [connection.ops.adapt_datetimefield_value(filters.since)]
    if filters.until:
        yield f"{row}.occurred_at < %s", [connection.ops.adapt_datetimefield_value(filters.until)]
    if filters.concepts:
        yield _CONCEPT.format(row=row, marks=_marks(filters.concepts)), filters.concepts
    if filters.files:
        each_file = " OR ".join([_FILE.format(row=row)] * len(filters.files))
        yield f"({each_file})", [name for name in filters.files for _ in range(4)]
    if filters.platform_source:
        yield PLATFORM.format(row=row), [filters.platform_source] * 2


def _marks(values: Sequence[object]) -> str:
    return ", ".join(["%s"] * len(values))
