"""What every search backend promises, and the values that go in and out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from observations.search.terms import Query

# A row of a platform, which is given twice; the same SQL on every database.
PLATFORM = """
CASE WHEN {row}.session_id IS NOT NULL THEN EXISTS (
  SELECT 1 FROM observations_session s WHERE s.id = {row}.session_id AND s.platform_source = %s)
ELSE EXISTS (
  SELECT 1 FROM observations_observationsource l JOIN observations_event e ON e.id = l.event_id
  WHERE l.observation_id = {row}.number AND e.platform_source = %s)
END
"""

# By so many of a project's newest rows it is told how common words are there.
LOOKED_AT = 256

# A text of SQL, and what stands in it for each `%s`.
Condition = tuple[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Filters:
    """What rows must be, besides matching. Of several values of one filter any will do.

    A file matches a longer or a shorter path that ends alike: `retry.py` asks for, and
    `/home/dev/procrastinate/retry.py` too, what is stored as `procrastinate/retry.py`.
    A platform is that of a row's session; of a row without session that of an event it was made
    of. Times are of the observation's events: `since` is included, `until` is not.
    """

    kinds: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    session_id: str | None = None
    platform_source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """The number of an observation that matches, and how well: more is better."""

    number: int
    score: float


@dataclass(frozen=True, slots=True)
class Held:
    """Which words some rows hold, and how common these words are among the newest of a project.

    `rows` is how many of those were looked at, `holding` how many of them hold each word, `by` the
    words that each row holds of which that was asked.
    """

    rows: int
    holding: Mapping[str, int]
    by: Mapping[int, frozenset[str]]


class KeywordIndex(Protocol):
    """Search by words. `tests/contracts/search_suite.py` states the promise in full.

    The index follows the rows by itself: what a transaction can read, it can find.
    """

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

        A `quick` one may look at fewer rows where many match, and so miss one of the best.

        Rows need one of the query's terms only: the rarer a term is, and the weightier the field
        that it stands in, the more it counts. No query raises.
        """

    def newest(
        self, term: str, filters: Filters, *, project_ids: Sequence[str], limit: int
    ) -> list[int]:
        """The rows that hold a term and are as the filters say, the last that came first."""

    def held(self, words: Sequence[str], numbers: Sequence[int], *, project_id: str) -> Held:
        """Which of the words, as terms of a query are, the rows of these numbers hold."""

    def conditions(self, filters: Filters, row: str) -> Iterator[Condition]:
        """What the filters ask of an observation, which the statement calls `row`."""
