"""What was asked of agents: sessions and events are found by it, and recognised."""

import re
from itertools import islice
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.expressions import Func
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Left
from django.http import HttpRequest

from observations.admin.gist import LONGEST, gist
from observations.admin.reach import reach
from observations.models import Event, Session
from queueing.browsing import not_older

# So many prompts, the newest, are looked through; so many that match are listed.
MOST_PROMPTS = 10_000
MOST_FOUND = 200
# More sessions than this that bear one agent's name are not looked through.
MOST_SESSIONS = 50
# So many sessions, the newest, are looked through for the beginning of an id.
MOST_CUT = 10_000
_CUT_ID = re.compile("(?=[0-9a-fA-F-]*[0-9])[0-9a-fA-F]{6,8}(?:-[0-9a-fA-F-]{0,27})?")
# Longer questions are looked for by their first words.
MOST_WORDS = 10
# A session's first prompt stands among so many of its events, or is not looked for.
MOST_BEFORE = 10


class _Prompt(Func):
    """The type of a prompt, written out: SQLite uses a partial index for no parameter."""

    template = "'UserPromptSubmit'"
    output_field = TextField()


def prompts(request: HttpRequest, text: str) -> QuerySet[Event]:
    """The newest prompts within reach that hold every word of the text, in any order.

    Of all prompts, or of those of the chosen project or session, at most MOST_PROMPTS are read.
    """
    among = reach(request).sees.narrow(Event.objects.filter(event_type=_Prompt()))
    for name in ("project", "session"):
        if chosen := request.GET.get(name):
            among = among.filter(**{name: chosen})
    newest: Any = not_older(among, MOST_PROMPTS)
    holding = Q()
    for word in text.split()[:MOST_WORDS]:
        holding &= Q(payload__prompt__icontains=word)
    found: QuerySet[Event] = newest.filter(holding).order_by("-id")[:MOST_FOUND]
    return found


def subjects(sessions: list[str]) -> dict[str, str]:
    """The first prompt of each session that has one, in a line: one query along an index.

    No more than the beginning of a prompt is read, and none behind the first MOST_BEFORE events.
    """
    first = Event.objects.filter(session__in=sessions, number__lte=MOST_BEFORE)
    said = first.filter(event_type="UserPromptSubmit").order_by("-number")
    # A prompt may be no text; and what is long begins with more than what is shown of it.
    begun = Left(Cast(KT("payload__prompt"), TextField()), 4 * LONGEST)
    told = ((session, gist(text or "")) for session, text in said.values_list("session", begun))
    return {session: about for session, about in told if about}


def called_so(request: HttpRequest, name: str) -> list[str]:
    """The ids of the sessions within reach that we, or their agents, call by this name."""
    named = Q(pk=name) | Q(content_session_id=name) | Q(external_session_id=name)
    sessions = reach(request).sees.narrow(Session.objects.filter(named))
    return list(sessions.values_list("pk", flat=True)[:MOST_SESSIONS])


def begun_so(request: HttpRequest, name: str) -> list[str]:
    """The ids of the newest sessions within reach whose id, ours or their agent's, begins so.

    Only what looks like an id that was cut is looked for, as logs and people cut them.
    """
    if not _CUT_ID.fullmatch(name):
        return []
    newest = reach(request).sees.narrow(Session.objects.order_by("-pk"))
    ids = newest.values_list("pk", "content_session_id", "external_session_id")[:MOST_CUT]
    cut = name.lower()
    alike = (pk for pk, *others in ids if any(str(one).startswith(cut) for one in (pk, *others)))
    return list(islice(alike, MOST_SESSIONS))
