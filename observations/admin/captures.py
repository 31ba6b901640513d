"""What of a session was captured and what is missing, on its page, and its backfill.

A transcript is read only where server and user are on one machine, for a superuser. It is found by
the session's id below Claude Code's own directory: where a client says that it lies is not asked.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpRequest

from observations import backfill, transcript_files
from observations.completeness import Completeness, Fact
from observations.entries import Origin
from observations.models import Session
from observations.transcript_files import Transcript

# A page looks through so many events of a session, and reads so many bytes of its transcript.
MOST_EVENTS = 2_000
MOST_BYTES = 32 * 1024 * 1024
# So many of the missing are listed.
MOST_LISTED = 50
COMMAND = "claudemem import transcripts"


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that is missing, in words."""

    word: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page of a session says. Without `completeness` it is too long for a page.

    `at_hand`: its transcript can be read here; `why_not` says why not, if a user may want to know.
    """

    completeness: Completeness | None
    lost: tuple[Lost, ...] = ()
    more: int = 0
    at_hand: bool = False
    why_not: str = ""
    command: str = COMMAND


def shown(session: Session, transcript: Transcript | None, why_not: str) -> Shown:
    """What is to be said of the session, held against its transcript, if there is one."""
    if session.last_number > MOST_EVENTS:
        return Shown(None, why_not="it has too many events to be looked through on a page")
    told = backfill.read(transcript, session) if transcript else None
    # Another session's, that was given this one's id.
    if told and told.cwd != session.cwd:
        told, why_not = None, "its transcript tells of another directory"
    found = backfill.completeness_of(session, told.told if told else None)
    lost = tuple(_lost(one) for one in found.missing[:MOST_LISTED])
    return Shown(found, lost, len(found.missing) - len(lost), told is not None, why_not)


def transcript_of(request: HttpRequest, session: Session) -> tuple[Transcript | None, str]:
    """The session's transcript, if whoever asks may have it read; else why not, in words."""
    if session.platform_source != backfill.AGENT.platform or not session.content_session_id:
        return None, ""
    if not settings.AT_HOME:
        return None, "this server does not run on the machine of one user"
    if not getattr(request.user, "is_superuser", False):
        return None, "only a superuser may have a transcript read"
    found = transcript_files.of_session(settings.TRANSCRIPTS, session.content_session_id)
    if found is None:
        return None, f"there is no transcript of it in {settings.TRANSCRIPTS}"
    if found.size > MOST_BYTES:
        return None, "its transcript is too long to be read for a page"
    return found, ""


def fill(session: Session, transcript: Transcript, origin: Origin) -> str:
    """Capture what the transcript tells and nobody did; what came of it, in words."""
    plan = backfill.plan(session.team_id, transcript)
    if plan.cwd != session.cwd:
        return "left alone: its transcript tells of another directory"
    taken = list(backfill.take(session.team_id, plan, origin=dict(origin)))
    stored, refused = sum(one.stored for one in taken), sum(len(one.refused) for one in taken)
    said = f"{stored} event{'' if stored == 1 else 's'} captured from the transcript"
    return f"{said}, {refused} cannot be stored" if refused else said


def _lost(one: Fact) -> Lost:
    text = one.said or " ".join(part for part in (one.tool, one.tool_use) if part) or one.prompt
    return Lost(one.event_type, text[:200], datetime.fromtimestamp(one.at, UTC))
