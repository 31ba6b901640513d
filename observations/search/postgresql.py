"""Search by words on PostgreSQL: BM25 over the table that migration 0003 makes.

PostgreSQL's own ranking does not know how rare a word is. But `ts_rank_cd` of a single term is the
sum of the weights of the places where it stands: the weighted term frequency that BM25 asks for.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log
from typing import Any

from django.db import connection

from observations.search.index import LOOKED_AT, PLATFORM, Condition, Filters, Held, Hit
from observations.search.terms import Query

# By the labels D, C, B, A: concepts; narrative and parts; subtitle, facts and files; title. A
# quarter of what SQLite's are, since PostgreSQL takes none above 1.
WEIGHTS = "{0.125, 0.25, 0.5, 1}"
# BM25's own: how soon a word that comes again adds nothing, and how much a long row counts less.
SATURATION = 1.2 / 4
LENGTH = 0.75

# So many rows are about enough to choose the best from: they are looked for by the rarest words.
ENOUGH = 1_000
# How common a word is, is told by so many of the project's newest rows,
NEWEST = 10_000
# of which about so many are looked at, all where there are no more;
SAMPLE = 1_024
# a quick search takes such a part of all of these;
QUICK = 8
# a word that fewer of these hold is counted in all rows, which is soon done.
TELLING = 8

# `sample` is the same from search to search but for rows that come: chance decides by the number.
_TERMS = """
WITH newest AS MATERIALIZED (
    SELECT number FROM unnest(%s::text[]) AS project (id), LATERAL (
        SELECT number FROM observations_observation WHERE project_id = project.id
        ORDER BY occurred_at DESC, number DESC LIMIT %s) AS of_project),
thinned AS (
    SELECT (1 << greatest(0, ceil(log(2, greatest(1, count(*)) / %s::numeric))::int)) - 1 AS mask
    FROM newest),
sample AS MATERIALIZED (
    SELECT i.size, i.words || '' AS words FROM newest JOIN observation_index i USING (number)
    WHERE hashint8(number) & (SELECT mask FROM thinned) = 0),
asked AS MATERIALIZED (
    SELECT min(place) AS place, query FROM (
        SELECT place, phraseto_tsquery('claudemem_words', claudemem_folded(term)) AS query
        FROM unnest(%s::text[]) WITH ORDINALITY AS given (term, place)) AS each
    WHERE numnode(query) > 0 GROUP BY query),
seen AS MATERIALIZED (
    SELECT place, query, (SELECT count(*) FROM sample WHERE words @@ query) AS times FROM asked)
SELECT query::text, times,
    CASE WHEN times < %s AND (SELECT mask FROM thinned) > 0 THEN (
        SELECT count(*) FROM observation_index i WHERE i.words @@ (query && %s::tsquery)) END,
    (SELECT count(*) FROM newest), (SELECT min(number) FROM newest), (SELECT count(*) FROM sample),
    (SELECT avg(size) FROM sample)
FROM seen ORDER BY place
"""

_ROWS = "EXPLAIN (FORMAT JSON) SELECT FROM observations_observation WHERE project_id = ANY(%s)"

_FIND = """
SELECT number, {score} AS score FROM (
    SELECT number, occurred_at, {frequencies}, {saturation} * ({short} + {long} * size / %s) AS norm
    FROM (
        SELECT o.number, o.occurred_at, i.size, i.words || '' AS words
        FROM observation_index i JOIN observations_observation o ON o.number = i.number
        WHERE {conditions} OFFSET 0) AS read OFFSET 0) AS found
ORDER BY score DESC, occurred_at DESC, number DESC LIMIT %s
"""

_LAST = """
SELECT o.number
FROM observation_index i JOIN observations_observation o ON o.number = i.number
WHERE i.words @@ phraseto_tsquery('claudemem_words', claudemem_folded(%s)) AND {conditions}
ORDER BY o.number DESC LIMIT %s
"""

_HELD = """
WITH newest AS MATERIALIZED (
    SELECT number FROM observations_observation WHERE project_id = %s
    ORDER BY occurred_at DESC, number DESC LIMIT %s),
looked AS MATERIALIZED (
    SELECT number, i.words || '' AS words, true AS sampled
    FROM newest JOIN observation_index i USING (number)
    UNION ALL
    SELECT number, i.words || '' AS words, false FROM observation_index i
    WHERE number = ANY(%s)),
asked AS MATERIALIZED (
    SELECT word, phraseto_tsquery('claudemem_words', claudemem_folded(word)) AS query
    FROM unnest(%s::text[]) AS word)
SELECT word, (SELECT count(*) FROM newest), count(*) FILTER (WHERE sampled),
    array_agg(number) FILTER (WHERE NOT sampled)
FROM asked LEFT JOIN looked ON looked.words @@ query GROUP BY word
"""

_FILE = """
EXISTS (
  SELECT 1 FROM jsonb_array_elements_text({row}.files_read || {row}.files_modified) AS path,
    unnest(%s::text[]) AS asked
  WHERE path = asked OR right(path, length(asked) + 1) = '/' || asked
     OR right(asked, length(path) + 1) = '/' || path)
"""


@dataclass(frozen=True, slots=True)
class _Term:
    """A term as PostgreSQL writes it, how many rows hold it or about so, and what it is worth."""

    query: str
    rows: float
    worth: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is known before rows are looked for.

    How many rows there are or about so, the first number of the newest, and what size is usual.
    """

    terms: tuple[_Term, ...] = ()
    total: float = 0.0
    newest: int = 0
    size: float = 1.0


class PostgresqlIndex:
    """The keyword index in PostgreSQL; see KeywordIndex."""

    def find(
        self,
        query: Query,
        filters: Filters,
        *,
        project_ids: Sequence[str],
        limit: int,
        quick: bool = False,
    ) -> list[Hit]:
        """The best `limit` matches in these projects, best first; of equals the newest first.

        Rows that hold none but some of the commonest words of the question are looked for only
        where others are too few.
        """
        known = [each for each in project_ids if "\0" not in each]
        part = QUICK if quick else 1
        asked = _asked(query.any, known, part) if known and query.any else _Asked()
        conditions = [*_sought(query.none, known), *_conditions(filters, "o")]
        hits: list[Hit] = []
        for wanted in _looked_for(asked, max(ENOUGH // part, limit)):
            hits = _hits(asked, [wanted, *conditions], limit)
            if len(hits) == limit:
                break
        return hits

    def newest(
        self, term: str, filters: Filters, *, project_ids: Sequence[str], limit: int
    ) -> list[int]:
        """The rows that hold a term and are as the filters say, the last that came first."""
        conditions = [*_sought((), project_ids), *_conditions(filters, "o")]
        sql = _LAST.format(conditions=" AND ".join(sql for sql, _ in conditions))
        given = [value for _, each in conditions for value in each]
        with connection.cursor() as cursor:
            cursor.execute(sql, [term, *given, limit])
            return [number for (number,) in cursor]

    def held(self, words: Sequence[str], numbers: Sequence[int], *, project_id: str) -> Held:
        """Which of the words, as terms of a query are, the rows of these numbers hold."""
        with connection.cursor() as cursor:
            cursor.execute(_HELD, [project_id, LOOKED_AT, list(numbers), list(words)])
            found = cursor.fetchall()
        by = {number: {word for word, *_, those in found if number in (those or ())}
              for number in numbers}  # fmt: skip
        return Held(
            rows=found[0][1] if found else 0,
            holding={word: times for word, _, times, _ in found},
            by={number: frozenset(those) for number, those in by.items()},
        )

    def conditions(self, filters: Filters, row: str) -> Iterator[Condition]:
        """What the filters ask of an observation, which the statement calls `row`."""
        return _conditions(filters, row)


def _asked(words: Sequence[str], project_ids: Sequence[str], part: int) -> _Asked:
    ids = list(project_ids)
    given: list[Any] = [ids, NEWEST // part, SAMPLE // part, list(words), TELLING, _projects(ids)]
    with connection.cursor() as cursor:
        cursor.execute(_TERMS, given)
        found = cursor.fetchall()
        *_, there, newest, sampled, size = found[0] if found else (0, 0, 0, 0)
        if not sampled:
            return _Asked()
        if there >= NEWEST // part:
            cursor.execute(_ROWS, [ids])
            (((plan,),),) = cursor.fetchall()
            there = max(there, plan["Plan"]["Plan Rows"])
    counts = {query: times * there / sampled if counted is None else float(counted)
              for query, times, counted, *_ in found}  # fmt: skip
    total = max(there, *counts.values())
    terms = (_Term(query, rows, log(1 + (total - rows + 0.5) / (rows + 0.5)))
             for query, rows in counts.items() if rows)  # fmt: skip
    return _Asked(tuple(terms), total, newest, float(size))


def _looked_for(asked: _Asked, enough: int) -> Iterator[Condition]:
    """What rows must hold; each next condition is wider.

    First any of the rarest terms, until `enough` rows do. Each of the others alone would bring too
    many: so many of them together that about `enough` rows hold all. Where even all together stand
    in far more, nothing tells such rows apart, and the newest will do.
    """
    rarest = sorted(asked.terms, key=lambda term: term.rows)
    reached = list(accumulate(term.rows for term in rarest))
    few = bisect_right(reached, 2 * enough)
    told = [(_any(rarest[:few]), 0)] if few else []
    if few < len(rarest) and sum(reached[few - 1 : few]) < enough:
        told.append(_together(rarest[few:], asked, enough))
    if told:
        yield _either(*told)
    if few < len(rarest):
        yield _either(*told, (_any(rarest), asked.newest))
        yield _either((_any(rarest), 0))


def _together(common: Sequence[_Term], asked: _Asked, enough: int) -> tuple[str, int]:
    """What is to be held together, and from which number on."""
    chosen, expected = [], asked.total
    for term in common:
        if expected <= 2 * enough:
            break
        chosen.append(f"({term.query})")
        expected *= term.rows / asked.total
    return " & ".join(chosen), asked.newest if expected > 4 * enough else 0


def _any(terms: Sequence[_Term]) -> str:
    return " | ".join(f"({term.query})" for term in terms)


def _either(*ways: tuple[str, int]) -> Condition:
    """One of these terms in a row from that number on."""
    sql = " OR ".join(["i.words @@ %s::tsquery AND i.number >= %s"] * len(ways))
    return f"({sql})", [value for way in ways for value in way]


def _hits(asked: _Asked, conditions: Sequence[Condition], limit: int) -> list[Hit]:
    places = range(len(asked.terms))
    sql = _FIND.format(
        score=" + ".join(f"%s::float8 * t{n} / (t{n} + norm)" for n in places),
        frequencies=", ".join(
            f"ts_rank_cd('{WEIGHTS}', words, %s::tsquery) AS t{n}" for n in places
        ),
        conditions=" AND ".join(sql for sql, _ in conditions),
        saturation=f"{SATURATION}::float8",
        short=f"{1 - LENGTH}::float8",
        long=f"{LENGTH}::float8",
    )
    values = [term.worth for term in asked.terms] + [term.query for term in asked.terms]
    given = [value for _, each in conditions for value in each]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, asked.size, *given, limit])
        return [Hit(number, score) for number, score in cursor.fetchall()]


def _projects(project_ids: Sequence[str]) -> str:
    return " | ".join(_quoted(f"p:{each}") for each in project_ids)


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _sought(none: Sequence[str], project_ids: Sequence[str]) -> Iterator[Condition]:
    # The index narrows down, the row decides.
    yield "i.words @@ %s::tsquery", [_projects(project_ids)]
    yield "o.project_id = ANY(%s)", [list(project_ids)]
    for term in none:
        yield "NOT i.words @@ phraseto_tsquery('claudemem_words', claudemem_folded(%s))", [term]


def _conditions(filters: Filters, row: str) -> Iterator[Condition]:
    if filters.kinds:
        yield f"{row}.kind = ANY(%s)", [list(filters.kinds)]
    if filters.session_id:
        yield f"{row}.session_id = %s", [filters.session_id]
    if filters.since:
        yield f"{row}.occurred_at >= %s", [filters.since]
    if filters.until:
        yield f"{row}.occurred_at < %s", [filters.until]
    if filters.concepts:
        yield f"{row}.concepts ?| %s", [list(filters.concepts)]
    if filters.files:
        yield _FILE.format(row=row), [list(filters.files)]
    if filters.platform_source:
        yield PLATFORM.format(row=row), [filters.platform_source] * 2
