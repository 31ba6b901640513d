"""Events on their way into the database: recognised if they came before, numbered, inserted.

What can be made before the transaction is made before it: other writers wait while it is open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from django.db import IntegrityError

from observations import identity
from observations.models import Event, Session
from queueing import direct
from queueing.direct import stored

_CLOSENESS = timedelta(seconds=identity.WINDOW_SECONDS)

_NUMBER = """
    UPDATE observations_session SET
        news_number = CASE WHEN %s > 0 THEN last_number + %s ELSE news_number END,
        last_number = last_number + %s, last_event_at = %s, updated_at = %s,
        ended_at = CASE WHEN %s = 1 THEN %s WHEN %s > 0 THEN NULL ELSE ended_at END,
        end_reason = CASE WHEN %s = 1 THEN %s WHEN %s > 0 THEN '' ELSE end_reason END
    WHERE id = %s RETURNING last_number, news_number, summarised_number"""

# Those that are made before the transaction, without the place in the session.
_COLUMNS = (
    "id", "team_id", "project_id", "source_adapter", "source_event_id", "dedupe_key", "event_type",
    "platform_source", "payload", "metadata", "removed", "occurred_at", "received_at", "created_at",
)  # fmt: skip
_INSERT = (
    f"INSERT INTO observations_event (session_id, number, {', '.join(_COLUMNS)}) "  # noqa: S608
    f"VALUES (%s, %s, {', '.join(['%s'] * len(_COLUMNS))})"
)


@dataclass(slots=True)
class Delivery:
    """An event that has arrived, and what its row will hold but for its place in its session.

    `keys` are what an earlier delivery of it may be stored under, the first its own. `likeness` is
    what the keys of all alike deliveries begin with; empty if it has an id of its own. `home_id` is
    the project by whose id they are made. `is_news`: a summary has something to say about it.
    `reopens`, `ends`: what it does to its session.
    """

    event: Event
    columns: tuple[object, ...]
    size: int
    keys: tuple[str, ...]
    likeness: str
    session: Session | None = None
    content_session_id: str | None = None
    home_id: str | None = None
    is_news: bool = True
    reopens: bool = True
    ends: str = ""

    @property
    def key(self) -> str:
        return self.keys[0]

    @property
    def received(self) -> object:
        """When it arrived, as it is stored."""
        return self.columns[-1]


def delivered(
    event: Event, own_id: str | None, session_name: str | None, home_id: str | None = None
) -> Delivery:
    """The delivery of `event`, whose session its client calls `session_name`.

    `own_id` tells a second delivery of it from a second event; without one, deliveries that are
    alike and close in time are the same. `home_id` is the project by whose id it is known again,
    where that was put into another. Raises InvalidInput for a payload that cannot be stored.
    """
    payload = identity.compact(event.payload)
    place = (home_id or event.project_id, event.source_adapter, session_name, event.event_type)
    if own_id:
        keys: tuple[str, ...] = (identity.delivery_key(*place, own_id),)
        likeness = ""
    else:
        keys = identity.likeness_keys(*place, payload, event.occurred_at)
        likeness = identity.likeness_stem(*place, payload)
    event.dedupe_key = keys[0]
    columns = _columns(event, payload)
    return Delivery(event, columns, len(payload), keys, likeness, home_id=home_id)


def _columns(event: Event, payload: str) -> tuple[object, ...]:
    received = stored(event.received_at)
    # Most say nothing of when they occurred: the three are one moment then.
    occurred, created = (
        received if moment is event.received_at else stored(moment)
        for moment in (event.occurred_at, event.created_at)
    )
    return (
        event.id, event.team_id, event.project_id, event.source_adapter, event.source_event_id,
        event.dedupe_key, event.event_type, event.platform_source, payload,
        *[identity.compact(some) if some else "{}" for some in (event.metadata, event.removed)],
        occurred, received, created,
    )  # fmt: skip


def described(delivery: Delivery) -> dict[str, object]:
    """The columns of the event's row by name, but for its place, to be written as JSON."""
    fields = dict(zip(_COLUMNS, delivery.columns, strict=True))
    for name in ("payload", "metadata", "removed"):
        fields[name] = orjson.Fragment(str(fields[name]))
    return fields


def known(deliveries: Sequence[Delivery]) -> dict[str, Event]:
    """Those that came before: from their own key to the event that is stored."""
    stored_events = _stored_under([key for one in deliveries for key in one.keys])
    found = {}
    for one in deliveries if stored_events else ():
        for key in one.keys:
            event = stored_events.get(key)
            if event and (key == one.key or _close(event, one.event.occurred_at)):
                found[one.key] = event
                break
    return found


def _stored_under(keys: Sequence[str]) -> dict[str, Event]:
    # Nearly always there is none: a bare statement finds that out at a tenth of the ORM's cost.
    marks = ", ".join(["%s"] * len(keys))
    rows = direct.fetch(
        f"SELECT id FROM observations_event WHERE dedupe_key IN ({marks})",  # noqa: S608
        keys,
    )
    ids = [row[0] for row in rows]
    return {event.dedupe_key: event for event in Event.objects.filter(pk__in=ids)} if ids else {}


def add(known: Event, again: Event) -> None:
    """Add to a stored event what a later delivery of it says besides: metadata, and its platform.

    Of a key that both have the later value counts. Nothing else of an event ever changes. Must be
    called inside a transaction.
    """
    if not _says_more(known, again):
        return
    row = Event.objects.select_for_update(no_key=True).filter(pk=known.pk).first()
    if row is None:
        return  # Somebody has just deleted all that the project remembers.
    known.metadata = {**row.metadata, **again.metadata}
    known.platform_source = again.platform_source or row.platform_source
    known.save(update_fields=["metadata", "platform_source"])


def _says_more(known: Event, again: Event) -> bool:
    if again.platform_source not in (None, known.platform_source):
        return True
    both: dict[str, object] = {**known.metadata, **again.metadata}
    return bool(both != known.metadata)


def known_after_end(delivery: Delivery) -> Event | None:
    """An alike event of a session that its agent has ended and not resumed: a redelivery.

    An agent that goes on says so first; whatever else comes for an ended session, and says what
    was said before, is a replay.
    """
    session = delivery.session
    if not delivery.likeness or session is None or not session.ended_at:
        return None
    if session.end_reason == "idle" or delivery.event.event_type == "SessionStart":
        return None
    alike = Event.objects.filter(dedupe_key__range=identity.likeness_range(delivery.likeness))
    return alike.order_by("-dedupe_key").first()


def _close(event: Event, occurred_at: datetime) -> bool:
    return abs(event.occurred_at - occurred_at) <= _CLOSENESS


def write(deliveries: Iterable[Delivery]) -> None:
    """Number the deliveries in their sessions, in order, and insert their events.

    Must be called inside a transaction. One update a session takes the numbers, and holds the
    session's row until the transaction ends. Raises IntegrityError where a session is gone.
    """
    everything = list(deliveries)
    groups: dict[str, list[Delivery]] = {}
    for one in everything:
        if one.session:
            groups.setdefault(one.session.id, []).append(one)
    for _, group in sorted(groups.items()):
        _number(group)
    direct.execute_many(
        _INSERT, [(one.event.session_id, one.event.number, *one.columns) for one in everything]
    )


def insert(one: Delivery) -> None:
    """Insert the event of a delivery that has its place. Must be called inside a transaction."""
    event = one.event
    direct.execute(_INSERT, (event.session_id, event.number, *one.columns))


def _number(group: list[Delivery]) -> None:
    session = group[0].session
    news = max((place for place, one in enumerate(group, 1) if one.is_news), default=0)
    reopens = int(any(one.reopens for one in group))
    ends = next((one.ends for one in group if one.ends), "")
    last = stored(group[-1].event.received_at)
    if session is None:
        return
    rows = direct.fetch(
        _NUMBER,
        [news, news, len(group), last, last, int(bool(ends)), last, reopens,
         int(bool(ends)), ends, reopens, session.id],
    )  # fmt: skip
    if not rows:
        raise IntegrityError("the session was deleted while the event was on its way")
    ((session.last_number, session.news_number, session.summarised_number),) = rows
    first = session.last_number - len(group) + 1
    for number, one in enumerate(group, first):
        one.event.session_id, one.event.number = session.id, number
