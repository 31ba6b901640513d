"""Search by words on PostgreSQL: BM25 over the table that migration 0003 makes.

PostgreSQL's own ranking does not know how rare a word is. But `ts_rank_cd` of a single term is the
sum of the weights of the places where it stands: the weighted term frequency that BM25 asks for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from django.db import connection

from observations.search.index import Filters, Hit
from observations.search.terms import Query

# By the labels D, C, B, A: concepts; narrative and parts; subtitle, facts and files; title. A
# quarter of what SQLite's are, since PostgreSQL takes none above 1.
WEIGHTS = "{0.125, 0.25, 0.5, 1}"
# BM25's own: how soon a word that comes again adds nothing, and how much a long row counts less.
SATURATION = 1.2 / 4
LENGTH = 0.75

# Rows are looked for by the rarest words, until so many hold one of them; other words only score.
ENOUGH = 1_000
# How many rows there are is counted so far: beyond, it hardly changes how rare a word is.
MANY = 10_000

_RARITY = """
WITH asked AS (
    SELECT min(place) AS place, query FROM (
        SELECT place, phraseto_tsquery('claudemem_words', claudemem_folded(term)) AS query
        FROM unnest(%s::text[]) WITH ORDINALITY AS given (term, place)) AS each
    WHERE numnode(query) > 0 GROUP BY query)
SELECT query::text, (
    SELECT count(*) FROM observation_index i WHERE i.words @@ (asked.query && %s::tsquery))
FROM asked ORDER BY place
"""

_ROWS = """
SELECT count(*) FROM (
    SELECT 1 FROM observations_observation WHERE project_id = ANY(%s) LIMIT %s) AS counted
"""

_FIND = """
SELECT number, {score} AS score FROM (
    SELECT o.number, o.occurred_at, {saturation} * ({short} + {long} * i.size
            / avg(i.size::float8) OVER ()) AS norm, {frequencies}
    FROM observation_index i JOIN observations_observation o ON o.number = i.number
    WHERE {conditions}) AS found
ORDER BY score DESC, occurred_at DESC, number DESC LIMIT %s
"""

_PLATFORM = """
CASE WHEN o.session_id IS NOT NULL THEN EXISTS (
  SELECT 1 FROM observations_session s WHERE s.id = o.session_id AND s.platform_source = %s)
ELSE EXISTS (
  SELECT 1 FROM observations_observationsource l JOIN observations_event e ON e.id = l.event_id
  WHERE l.observation_id = o.number AND e.platform_source = %s)
END
"""

_FILE = """
EXISTS (
  SELECT 1 FROM jsonb_array_elements_text(o.files_read || o.files_modified) AS path,
    unnest(%s::text[]) AS asked
  WHERE path = asked OR right(path, length(asked) + 1) = '/' || asked
     OR right(asked, length(path) + 1) = '/' || path)
"""

Condition = tuple[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Term:
    """A term as PostgreSQL writes it, how many rows hold it, and what it is worth."""

    query: str
    rows: int
    worth: float


class PostgresqlIndex:
    """The keyword index in PostgreSQL; see KeywordIndex."""

    def find(
        self, query: Query, filters: Filters, *, project_ids: Sequence[str], limit: int
    ) -> list[Hit]:
        """The best `limit` matches in these projects, best first; of equals the newest first.

        Rows that hold none but the commonest words of the question are looked for only where
        others are too few.
        """
        known = [each for each in project_ids if "\0" not in each]
        terms = [term for term in _terms(query.any, known) if term.rows] if known else []
        rarest = _rarest(terms)
        conditions = list(_conditions(query.none, filters, known)) if terms else []
        hits = _hits(terms, rarest, conditions, limit) if terms else []
        if len(hits) < limit and len(rarest) < len(terms):
            hits = _hits(terms, terms, conditions, limit)
        return hits


def _terms(words: Sequence[str], project_ids: Sequence[str]) -> list[_Term]:
    if not words:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_ROWS, [list(project_ids), MANY])
        ((total,),) = cursor.fetchall()
        cursor.execute(_RARITY, [list(words), _projects(project_ids)])
        found = cursor.fetchall()
    total = max([total, *(rows for _, rows in found)])
    return [_Term(query, rows, log(1 + (total - rows + 0.5) / (rows + 0.5)))
            for query, rows in found]  # fmt: skip


def _rarest(terms: Sequence[_Term]) -> list[_Term]:
    chosen: list[_Term] = []
    for term in sorted(terms, key=lambda each: each.rows):
        if sum(each.rows for each in chosen) >= ENOUGH:
            break
        chosen.append(term)
    return chosen


def _hits(
    terms: Sequence[_Term], wanted: Sequence[_Term], conditions: Sequence[Condition], limit: int
) -> list[Hit]:
    places = range(len(terms))
    sql = _FIND.format(
        score=" + ".join(f"%s::float8 * t{n} / (t{n} + norm)" for n in places),
        frequencies=", ".join(
            f"ts_rank_cd('{WEIGHTS}', i.words, %s::tsquery) AS t{n}" for n in places
        ),
        conditions=" AND ".join(["i.words @@ %s::tsquery", *(sql for sql, _ in conditions)]),
        saturation=f"{SATURATION}::float8",
        short=f"{1 - LENGTH}::float8",
        long=f"{LENGTH}::float8",
    )
    values = [term.worth for term in terms] + [term.query for term in terms]
    given = [_any(term.query for term in wanted), *(v for _, each in conditions for v in each)]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, *given, limit])
        return [Hit(number, score) for number, score in cursor.fetchall()]


def _any(queries: Iterator[str]) -> str:
    return " | ".join(f"({query})" for query in queries)


def _projects(project_ids: Sequence[str]) -> str:
    return " | ".join(_quoted(f"p:{each}") for each in project_ids)


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _conditions(
    none: Sequence[str], filters: Filters, project_ids: Sequence[str]
) -> Iterator[Condition]:
    # The index narrows down, the row decides.
    yield "i.words @@ %s::tsquery", [_projects(project_ids)]
    yield "o.project_id = ANY(%s)", [list(project_ids)]
    for term in none:
        yield "NOT i.words @@ phraseto_tsquery('claudemem_words', claudemem_folded(%s))", [term]
    if filters.kinds:
        yield "o.kind = ANY(%s)", [list(filters.kinds)]
    if filters.session_id:
        yield "o.session_id = %s", [filters.session_id]
    if filters.since:
        yield "o.occurred_at >= %s", [filters.since]
    if filters.until:
        yield "o.occurred_at < %s", [filters.until]
    if filters.concepts:
        yield "o.concepts ?| %s", [list(filters.concepts)]
    if filters.files:
        yield _FILE, [list(filters.files)]
    if filters.platform_source:
        yield _PLATFORM, [filters.platform_source] * 2
