"""Long lists, a page at a time, in the order of an index; whose rows they are is asked before.

Conditions that no index serves are looked for among a bounded number of rows: a page may then have
few rows, or none, though there are more behind it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import Model, Q, QuerySet

from observations.models import Session

Row = TypeVar("Row", bound=Model)
# The values by which a row has its place in a list; times as microseconds since 1970.
Place = tuple[int | str, ...]

# So many rows at most are looked through for a page.
MOST_LOOKED_THROUGH = 5_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Order:
    """A list's columns with the sort of each, the last of which no two rows share.

    Their index serves it: rows are read in its order, from a place on.
    """

    columns: Mapping[str, type]
    descending: bool = True

    @property
    def sorts(self) -> tuple[type, ...]:
        """What a place is made of."""
        return tuple(int if sort is datetime else sort for sort in self.columns.values())

    def place(self, row: object) -> Place:
        """Where the row stands."""
        return self._told(tuple(getattr(row, name) for name in self.columns))

    def sorted(self, rows: QuerySet[Row]) -> QuerySet[Row]:
        """The rows in this order."""
        sign = "-" if self.descending else ""
        return rows.order_by(*(f"{sign}{name}" for name in self.columns))

    def beyond(self, place: Place) -> Q:
        """What comes after the place."""
        way = "lt" if self.descending else "gt"
        return self._from(place, way, last=way)

    def upto(self, place: Place) -> Q:
        """What comes before the place, and what stands there."""
        way = "gt" if self.descending else "lt"
        return self._from(place, way, last=f"{way}e")

    def _from(self, place: Place, way: str, last: str) -> Q:
        """One or two columns compared; the first condition alone leads through the index."""
        *before, (name, value) = self._values(place)
        compared = Q(**{f"{name}__{last}": value})
        for column, bound in before:
            nearer = Q(**{f"{column}__{way}": bound})
            compared = Q(**{f"{column}__{way}e": bound}) & (nearer | compared)
        return compared

    def far(self, rows: QuerySet[Row], count: int) -> Place | None:
        """The place of that row, if there are so many."""
        found = self.sorted(rows).values_list(*self.columns)[count - 1 : count].first()
        return None if found is None else self._told(found)

    def _told(self, values: tuple[Any, ...]) -> Place:
        return tuple(micros(value) if isinstance(value, datetime) else value for value in values)

    def _values(self, place: Place) -> list[tuple[str, Any]]:
        given = zip(self.columns.items(), place, strict=True)
        return [(name, _moment(value) if sort is datetime else value)
                for (name, sort), value in given]  # fmt: skip


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int | str) -> datetime:
    return _EPOCH + int(microseconds) * _MICROSECOND


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked of a list: at most `limit` rows, behind a place or from the beginning."""

    limit: int
    after: Place | None = None


@dataclass(frozen=True, slots=True)
class Listed(Generic[Row]):
    """A page of a list, and the place behind which there may be more; None at its end."""

    rows: tuple[Row, ...]
    goes_on: Place | None


OF_PROJECT: Final = Order({"occurred_at": datetime, "number": int})
EVENTS_OF_PROJECT: Final = Order({"received_at": datetime, "id": str})
EVENTS_OF_SESSION: Final = Order({"number": int})
SESSIONS: Final = Order({"started_at": datetime, "id": str})
PROJECTS: Final = Order({"name": str}, descending=False)
AUDIT: Final = Order({"id": int})
# By no index: a team has few.
KEYS: Final = Order({"created_at": datetime, "id": str})


def of_session(rows: QuerySet[Row], session_id: str, project_id: str) -> QuerySet[Row]:
    """Those of one of a project's sessions; none where the session is another project's.

    By the session's own index, which a database that also knew the project might not take.
    """
    ours = Session.objects.filter(pk=session_id, project_id=project_id).exists()
    return rows.filter(session_id=session_id) if ours else rows.none()


def page(
    rows: QuerySet[Row], order: Order, window: Window, among: QuerySet[Row] | None = None
) -> Listed[Row]:
    """The rows of a window, in this order.

    `rows` are those that the order's index leads to; `among` the same ones with the conditions for
    which they have to be looked through, if there are any.
    """
    end = None
    wanted = rows if among is None else among
    if window.after is not None:
        rows = rows.filter(order.beyond(window.after))
        wanted = wanted.filter(order.beyond(window.after))
    if among is not None:
        end = order.far(rows, MOST_LOOKED_THROUGH)
        wanted = wanted if end is None else wanted.filter(order.upto(end))
    found = tuple(order.sorted(wanted)[: window.limit + 1])
    if len(found) > window.limit:
        found = found[: window.limit]
        return Listed(found, order.place(found[-1]))
    return Listed(found, end)


# In a list that is short, or in an order that only a question makes, a place is a count.
COUNTED: Final = (int,)


def reached(window: Window) -> int:
    """How many rows of such a list are shown with this window and those before it."""
    return _shown(window) + window.limit


def part(rows: Sequence[Row], window: Window) -> Listed[Row]:
    """The window's part of the rows."""
    end = reached(window)
    return Listed(tuple(rows[_shown(window) : end]), (end,) if len(rows) > end else None)


def _shown(window: Window) -> int:
    (count,) = window.after or (0,)
    return max(int(count), 0)
