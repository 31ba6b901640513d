"""Events on their way into the database: recognised if they came before, numbered, inserted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.utils import timezone

from observations import identity
from observations.drafts import JSON
from observations.models import Event, Session, new_id
from queueing import direct
from queueing.direct import stored

_CLOSENESS = timedelta(seconds=identity.WINDOW_SECONDS)

_NUMBER = """
    UPDATE observations_session SET
        news_number = CASE WHEN %s > 0 THEN last_number + %s ELSE news_number END,
        last_number = last_number + %s, last_event_at = %s, updated_at = %s,
        ended_at = CASE WHEN %s = 1 THEN %s WHEN %s > 0 THEN NULL ELSE ended_at END,
        end_reason = CASE WHEN %s = 1 THEN %s WHEN %s > 0 THEN '' ELSE end_reason END
    WHERE id = %s RETURNING last_number"""

_INSERT = """
    INSERT INTO observations_event (id, team_id, project_id, session_id, number, source_adapter,
        source_event_id, dedupe_key, event_type, platform_source, payload, metadata, removed,
        occurred_at, received_at, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One scrubbed event. `own_id` tells a second delivery of it from a second event.

    `payload_text` is its payload as compact JSON with sorted keys.

    `is_news`: a summary has something to say about it. `reopens`, `ends`: what it does to its
    session. `number` is its place there, once it has one.
    """

    project_id: str
    event_type: str
    source_adapter: str
    payload: JSON
    payload_text: str
    occurred_at: datetime
    received_at: datetime
    own_id: str | None = None
    content_session_id: str | None = None
    session: Session | None = None
    platform_source: str | None = None
    source_event_id: str | None = None
    metadata: dict[str, JSON] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    is_news: bool = True
    reopens: bool = True
    ends: str = ""
    number: int | None = None

    @property
    def _session_name(self) -> str | None:
        return self.content_session_id or (self.session.id if self.session else None)

    def keys(self) -> tuple[str, ...]:
        """What an earlier delivery of it may be stored under; the first is its own."""
        place = (self.project_id, self.source_adapter, self._session_name, self.event_type)
        if self.own_id:
            return (identity.delivery_key(*place, self.own_id),)
        return identity.likeness_keys(*place, self.payload_text, self.occurred_at)

    def stem(self) -> str:
        """What the keys of all deliveries that are alike begin with."""
        place = (self.project_id, self.source_adapter, self._session_name, self.event_type)
        return identity.likeness_stem(*place, self.payload_text)


Keyed = tuple[Delivery, tuple[str, ...]]


def known(deliveries: Sequence[Keyed]) -> dict[str, Event]:
    """Those that came before: from their own key to the event that is stored."""
    wanted = [key for _, keys in deliveries for key in keys]
    stored = _stored_under(wanted)
    found = {}
    for delivery, keys in deliveries:
        for key in keys if stored else ():
            event = stored.get(key)
            if event and (key == keys[0] or _close(event, delivery)):
                found[keys[0]] = event
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


def known_after_end(delivery: Delivery) -> Event | None:
    """An alike event of a session that its agent has ended and not resumed: a redelivery.

    An agent that goes on says so first; whatever else comes for an ended session, and says what
    was said before, is a replay.
    """
    session = delivery.session
    if delivery.own_id or session is None or not session.ended_at or session.end_reason == "idle":
        return None
    stem = delivery.stem()
    alike = Event.objects.filter(dedupe_key__gte=stem, dedupe_key__lt=f"{stem};")
    return alike.order_by("-dedupe_key").first()


def _close(event: Event, delivery: Delivery) -> bool:
    return abs(event.occurred_at - delivery.occurred_at) <= _CLOSENESS


def numbered(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """The deliveries with their numbers in their sessions, in order.

    One update a session takes the numbers, and holds the session's row until the transaction ends.
    """
    groups: dict[str, list[int]] = {}
    result = list(deliveries)
    for position, delivery in enumerate(result):
        if delivery.session:
            groups.setdefault(delivery.session.id, []).append(position)
    for session_id, positions in sorted(groups.items()):
        first = _take_numbers(session_id, [result[position] for position in positions])
        for offset, position in enumerate(positions):
            result[position] = replace(result[position], number=first + offset)
    return result


def _take_numbers(session_id: str, group: list[Delivery]) -> int:
    news = max((place for place, one in enumerate(group, 1) if one.is_news), default=0)
    reopens = int(any(one.reopens for one in group))
    ends = next((one.ends for one in group if one.ends), "")
    last = stored(group[-1].received_at)
    ((newest,),) = direct.fetch(
        _NUMBER,
        [news, news, len(group), last, last, int(bool(ends)), last, reopens,
         int(bool(ends)), ends, reopens, session_id],
    )  # fmt: skip
    session = group[0].session
    assert session is not None
    session.news_number = newest - len(group) + news if news else session.news_number
    session.last_number = newest
    return int(newest) - len(group) + 1


def insert(team_id: str, deliveries: Sequence[Delivery], keys: Iterable[str]) -> list[Event]:
    """Write the events, each under its key; their rows, in the order of `deliveries`."""
    events = [_as_event(team_id, *pair) for pair in zip(deliveries, keys, strict=True)]
    rows = zip(events, deliveries, strict=True)
    direct.execute_many(_INSERT, [_columns(event, delivery) for event, delivery in rows])
    return events


def _as_event(team_id: str, delivery: Delivery, key: str) -> Event:
    return Event(
        id=new_id(),
        team_id=team_id,
        project_id=delivery.project_id,
        session_id=delivery.session.id if delivery.session else None,
        number=delivery.number,
        source_adapter=delivery.source_adapter,
        source_event_id=delivery.source_event_id,
        dedupe_key=key,
        event_type=delivery.event_type,
        platform_source=delivery.platform_source,
        payload=delivery.payload,
        metadata=delivery.metadata,
        removed=delivery.removed,
        occurred_at=delivery.occurred_at,
        received_at=delivery.received_at,
        created_at=timezone.now(),
    )


def _columns(event: Event, delivery: Delivery) -> tuple[object, ...]:
    return (
        event.id, event.team_id, event.project_id, event.session_id, event.number,
        event.source_adapter, event.source_event_id, event.dedupe_key, event.event_type,
        event.platform_source, delivery.payload_text, identity.compact(event.metadata),
        identity.compact(event.removed), stored(event.occurred_at), stored(event.received_at),
        stored(event.created_at),
    )  # fmt: skip
