"""Events as clients report them, and the sessions that they name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from observations import sessions
from observations.drafts import JSON
from observations.errors import Forbidden
from observations.models import Session


@dataclass(frozen=True, slots=True)
class SessionRef:
    """How an event names its session: by our id, or by the client's content id.

    `platform_given`: the client said which platform (even None), so only its sessions match.
    """

    server_session_id: str | None = None
    content_session_id: str | None = None
    platform_given: bool = False


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event as a client reports it. `occurred_at` None means now.

    `home_id` is the project that was named, where that was put into `project_id`.
    """

    project_id: str
    event_type: str
    source_adapter: str
    payload: JSON
    occurred_at: datetime | None = None
    session: SessionRef = SessionRef()
    platform_source: str | None = None
    source_event_id: str | None = None
    tool_use_id: str | None = None
    metadata: dict[str, JSON] = field(default_factory=dict)
    generate: bool = True
    removed: dict[str, int] = field(default_factory=dict)
    home_id: str | None = None


def at_home(team_id: str, news: Sequence[NewEvent]) -> list[NewEvent]:
    """The events in the projects that are meant. Raises Forbidden for another tenant's."""
    meant = {each: sessions.require_project(team_id, each) for each in {n.project_id for n in news}}
    if all(named == project for named, project in meant.items()):
        return list(news)
    return [replace(new, project_id=meant[new.project_id], home_id=new.project_id) for new in news]


def alone(team_id: str, new: NewEvent) -> tuple[NewEvent, Session | None]:
    """An event in the project that is meant, and its session, if it is known.

    Raises Forbidden for a project or a session of another tenant.
    """
    ref = new.session
    if ref.server_session_id is not None or not ref.content_session_id:
        (home,) = at_home(team_id, [new])
        return home, Links(team_id, [home]).find(home)
    project, sessions_of_name = sessions.at_home(team_id, new.project_id, ref.content_session_id)
    home = _put_into(new, project)
    return home, _named(home, [one for one in sessions_of_name if one.project_id == project])


def _put_into(new: NewEvent, project_id: str) -> NewEvent:
    if project_id == new.project_id:
        return new
    return replace(new, project_id=project_id, home_id=new.project_id)


def _named(new: NewEvent, candidates: Iterable[Session]) -> Session | None:
    """That of the sessions of its content id which the event means."""
    for session in candidates:
        if not new.session.platform_given or session.platform_source == new.platform_source:
            return session
    return None


def _newest_first(team_id: str, contents: set[str]) -> Iterable[Session]:
    """The sessions of these content ids; of one, as most events ask, by a bare statement."""
    if len(contents) == 1:
        return sessions.of_content(team_id, *contents)
    found = Session.objects.filter(team_id=team_id, content_session_id__in=contents)
    return found.order_by("-started_at") if contents else ()


class Links:
    """Finds the sessions that events name; all of a batch are asked for at once."""

    def __init__(self, team_id: str, news: Sequence[NewEvent]) -> None:
        refs = [new.session for new in news]
        ids = {ref.server_session_id for ref in refs} - {None}
        names = {ref.content_session_id or "" for ref in refs if not ref.server_session_id} - {""}
        ours = Session.objects.filter(team_id=team_id) if ids else None
        self._by_id = ours.in_bulk(list(ids)) if ours is not None else {}
        self._by_name: dict[tuple[str, str | None], list[Session]] = {}
        for session in _newest_first(team_id, names):
            place = session.project_id, session.content_session_id
            self._by_name.setdefault(place, []).append(session)

    def find(self, new: NewEvent) -> Session | None:
        """The session of the event, if it is known. Raises Forbidden for another's."""
        ref = new.session
        if ref.server_session_id is not None:
            session = self._by_id.get(ref.server_session_id)
            if session is None or session.project_id != new.project_id:
                raise Forbidden("server_session_id must belong to project_id and team_id")
            return session
        candidates = self._by_name.get((new.project_id, ref.content_session_id), [])
        return _named(new, candidates)
