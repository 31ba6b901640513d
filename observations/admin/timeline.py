"""A session told in order: prompts, what was done, what was made of it, the summary.

Told in pages of so many events each. An observation stands on the page of the events of its time;
every one stands on some page, whatever the order of the clocks that the events came from.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Min, Q

from observations.admin.gist import gist
from observations.models import Event, Observation, ObservationSource, Session

# The events of a page.
EVENTS_A_PAGE = 100
# More observations than this belong to no page's events; the list has the rest.
MOST_OBSERVATIONS = 300

_PROMPT = "UserPromptSubmit"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an entry leads to: what was made of an event, or what an observation was made of."""

    number: int
    pk: str


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One line. Ordered by time; an observation comes after the event of the same moment."""

    at: datetime
    rank: int
    number: int
    pk: str
    word: str
    text: str
    detail: str = ""
    marks: tuple[Mark, ...] = field(default=(), compare=False)

    @property
    def is_event(self) -> bool:
        """Whether it is an event, and not what was made of one."""
        return self.rank == 0

    @property
    def tone(self) -> str:
        """How it stands out: said, made, or done on the way."""
        if not self.is_event:
            return "made"
        return "said" if self.word == _PROMPT else "quiet"


@dataclass(frozen=True, slots=True)
class Window:
    """A page: the numbers of its events, both included, of the `last` that the session has."""

    first: int
    final: int
    last: int

    @property
    def earlier(self) -> int:
        """The number of an event of the page before; 0 if there is none."""
        return max(0, self.first - 1)

    @property
    def later(self) -> int:
        """The number of an event of the page after; 0 if there is none."""
        return self.final + 1 if self.final < self.last else 0


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page's entries, oldest first. `cut`: there are more observations than are shown."""

    window: Window
    entries: tuple[Entry, ...]
    cut: bool


def window(last: int, at: int | None) -> Window:
    """The page of the event `at` of a session that has `last` events; the last page by default."""
    wanted = min(max(at or last, 1), max(last, 1))
    first = (wanted - 1) // EVENTS_A_PAGE * EVENTS_A_PAGE + 1
    return Window(first, min(first + EVENTS_A_PAGE - 1, last), last)


def of(session: Session, at: int | None = None) -> Timeline:
    """The page of the event number `at`, in four queries at most."""
    page = window(session.last_number, at)
    events = _events(session, page)
    made = _observations(session, page, min((one.at for one in events), default=None))
    shown = made[:MOST_OBSERVATIONS]
    entries = sorted(_marked(events, shown))
    return Timeline(page, tuple(entries), len(made) > MOST_OBSERVATIONS)


def _events(session: Session, page: Window) -> list[Entry]:
    rows = session.events.filter(number__range=(page.first, page.final)).order_by("number")
    columns = rows.values_list("occurred_at", "number", "pk", "event_type", "payload")
    return [
        Entry(at, 0, number or 0, pk, word, gist(said)) for at, number, pk, word, said in columns
    ]


def _observations(session: Session, page: Window, since: datetime | None) -> list[Entry]:
    """From the time of the page's first event to that of the next page's: ends are open."""
    rows = session.observations.filter(_during(session, page, since)).defer("parts")
    return [
        Entry(row.occurred_at, 1, row.number, row.id, row.kind, str(row), _detail(row))
        for row in rows.order_by("occurred_at", "number")[: MOST_OBSERVATIONS + 1]
    ]


def _during(session: Session, page: Window, since: datetime | None) -> Q:
    during = Q() if page.first == 1 or since is None else Q(occurred_at__gte=since)
    if page.later:
        following = (page.later, page.later + EVENTS_A_PAGE - 1)
        until = Event.objects.filter(session=session, number__range=following)
        during &= Q(occurred_at__lt=until.aggregate(at=Min("occurred_at"))["at"])
    return during


def _marked(events: list[Entry], made: list[Entry]) -> list[Entry]:
    """The same entries, each with the ways between events and what was made of them."""
    links = ObservationSource.objects.filter(
        observation__in=[one.number for one in made], event__isnull=False
    )
    rows = links.values_list("observation_id", "event_id", "event__number").order_by("id")
    sources, results = defaultdict(list), defaultdict(list)
    for number, event_id, event_number in rows if made else ():
        sources[number].append(Mark(event_number or 0, str(event_id)))
        results[event_id].append(Mark(number, str(number)))
    return [
        *(replace(one, marks=tuple(results[one.pk])) for one in events),
        *(replace(one, marks=tuple(sources[one.number])) for one in made),
    ]


def _detail(row: Observation) -> str:
    return row.content if row.kind == "summary" else row.subtitle
