"""What the hooks of claude-mem post to a worker, captured as everything else is.

Nothing here writes: sessions are found or made by `sessions`, events stored by `ingest`.
"""

from dataclasses import dataclass, field
from typing import Any

from observations import ingest, sessions
from observations.captured import Captured
from observations.drafts import JSON
from observations.identity import fingerprint
from observations.ingest import NewEvent, SessionRef
from observations.models import Event, Session
from observations.privacy import scrub_text
from observations.sessions import NewSession
from queueing import kinds
from queueing.models import GenerationJob

ADAPTER = "claude-code-compat"
PLATFORM = "claude"
TOOL_USE, PROMPT, STOP = "tool_use", "UserPromptSubmit", "Stop"
# What stands for a prompt without words, of a picture, say.
MEDIA = "[media prompt]"


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf: a team, the project that everything goes to, and who asked."""

    team_id: str
    project_id: str
    origin: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A session as such a hook names it. `about` is kept with it when it is made."""

    content_session_id: str
    platform_source: str | None = None
    cwd: str = ""
    about: dict[str, JSON] = field(default_factory=dict)


def tool_used(
    caller: Caller, run: Run, payload: dict[str, JSON], *, own_id: str | None
) -> tuple[Session, Captured]:
    """Store a tool use in its session, which is made if need be; the same `own_id` is the same.

    Raises Forbidden, InvalidInput and StorageAway as `ingest.capture` does.
    """
    session = _session(caller, run)
    return session, _captured(caller, session, TOOL_USE, payload, own_id=own_id)


def prompted(caller: Caller, run: Run, prompt: str) -> tuple[Session, int, bool]:
    """Store what the user asked for: its session, how many prompts that has, and whether it was
    stored. It is not where nothing of it is left after the scrubbing; one without words is.
    """
    session = _session(caller, run)
    words = prompt if prompt.strip() else MEDIA
    kept = bool(scrub_text(words).strip())
    if kept:
        _captured(caller, session, PROMPT, {"prompt": words, **run.about}, generate=False)
    asked = Event.objects.filter(session_id=session.id, event_type=PROMPT)
    return session, asked.count(), kept


def stopped(caller: Caller, run: Run, said: str) -> tuple[Session, GenerationJob, str]:
    """End a session and have it summarised, with what the agent `said` last as its last event.

    Its summary job, and how that was published; said again, the same job. Raises NotFound where
    the session is deleted meanwhile.
    """
    session = _session(caller, run)
    if words := scrub_text(said).strip():
        payload: dict[str, JSON] = {"hook_event_name": STOP, "last_assistant_message": words}
        # An agent may say the same at the end of many turns: there it says something after more.
        own_id = f"{_latest_other(session)}:{fingerprint(words)}"
        _captured(caller, session, STOP, payload, own_id=own_id, generate=False)
    return sessions.end(
        caller.team_id, session.id, project_id=caller.project_id, origin=caller.origin
    )


def _latest_other(session: Session) -> int:
    """The number of the session's latest event that is no stop; 0 if it has none."""
    others = Event.objects.filter(session_id=session.id).exclude(event_type=STOP)
    return others.order_by("-number").values_list("number", flat=True).first() or 0


def _session(caller: Caller, run: Run) -> Session:
    new = NewSession(
        project_id=caller.project_id,
        external_session_id=run.content_session_id,
        content_session_id=run.content_session_id,
        platform_source=run.platform_source or PLATFORM,
        cwd=scrub_text(run.cwd),
        metadata=run.about,
    )
    return sessions.start(caller.team_id, new, origin=caller.origin)[0]


def _captured(
    caller: Caller,
    session: Session,
    event_type: str,
    payload: dict[str, JSON],
    *,
    own_id: str | None = None,
    generate: bool = True,
) -> Captured:
    new = NewEvent(
        project_id=caller.project_id,
        event_type=event_type,
        source_adapter=ADAPTER,
        payload=payload,
        session=SessionRef(server_session_id=session.id),
        platform_source=session.platform_source,
        source_event_id=own_id,
        metadata={"compat": "sessions/observations"} if event_type == TOOL_USE else {},
        generate=generate,
    )
    return ingest.capture(caller.team_id, [new], origin=caller.origin, kind=kinds.EVENT)[0]
