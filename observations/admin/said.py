"""Looking for sessions and events: by their names, and by what was asked of an agent."""

from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.expressions import Func
from django.http import HttpRequest

from observations.admin.reach import reach
from observations.models import Event, Session
from queueing.browsing import not_older

# So many prompts, the newest, are looked through; so many that match are listed.
MOST_PROMPTS = 10_000
MOST_FOUND = 200
# More sessions than this that bear one agent's name are not looked through.
MOST_SESSIONS = 50
# Longer questions are looked for by their first words.
MOST_WORDS = 10


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


def called_so(request: HttpRequest, name: str) -> list[str]:
    """The ids of the sessions within reach that we, or their agents, call by this name."""
    named = Q(pk=name) | Q(content_session_id=name) | Q(external_session_id=name)
    sessions = reach(request).sees.narrow(Session.objects.filter(named))
    return list(sessions.values_list("pk", flat=True)[:MOST_SESSIONS])
