"""A hook call from its arrival to its answer: what becomes of it, and what its agent is told.

What is stored is stored whatever becomes of the answer: to be told nothing costs an agent nothing.
"""

import logging
from dataclasses import dataclass

from django.conf import settings

from observations import bounded, hook_policies, ingest, projects, switches, tellings
from observations.captured import Captured
from observations.drafts import JSON
from observations.entries import Origin
from observations.errors import StorageAway
from observations.hook_calls import HookCall
from observations.hook_policies import ALL_ON, Switches, Verdict
from observations.tellings import Budgets, Occasion
from queueing import direct

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Whose hook it is: the team, the project if the key names one, and what the key may do."""

    team_id: str
    project_id: str | None
    origin: dict[str, object]
    reads: bool


def verdict(call: HookCall, sender: Sender) -> Verdict:
    """What becomes of a call, by the settings and by what is switched on in its project."""
    return hook_policies.verdict(call, settings.HOOK_POLICIES, _switches(call, sender))


def stored(call: HookCall, sender: Sender) -> Captured:
    """Store the call. Raises what `ingest.capture_hook` does."""
    return ingest.capture_call(sender.team_id, sender.project_id, call, origin=sender.origin)


def told(call: HookCall, sender: Sender, captured: Captured) -> dict[str, JSON]:
    """What the agent is told, in its own words; `{}` where nothing helps, or in the time there is.

    What came before, or comes late, was answered then, or has nobody who waits for an answer.
    """
    event, hook = captured.event, call.hook
    late = captured.duplicate or call.facts.occurred_at is not None
    if hook.asks is None or late or not sender.reads or event.session_id is None:
        return {}
    occasion = Occasion(
        event.team_id, event.project_id, event.session_id, event.number or 0, hook, direct.now()
    )
    text = _text(occasion, sender.origin)
    return call.agent.reply(hook, text) if text else {}


def _text(occasion: Occasion, origin: Origin) -> str:
    budgets = Budgets(settings.SESSION_BUDGET_TOKENS, settings.HOOK_BUDGET_TOKENS)
    try:
        with bounded.within(settings.HOOK_ANSWER_SECONDS):
            said = tellings.said(occasion, budgets)
        tellings.record(occasion, said, origin)
    except (*direct.AWAY, StorageAway) as error:
        log.warning(
            "%s of session %s was stored, but its agent was told nothing: %s",
            occasion.hook.event_type, occasion.session_id, error,
        )  # fmt: skip
        return ""
    return said.page.text


def _switches(call: HookCall, sender: Sender) -> Switches:
    if switches.are_all_on():
        return ALL_ON
    if sender.project_id:
        return switches.of(sender.project_id)
    known = projects.known_to(sender.team_id, call)
    return switches.of(known) if known else ALL_ON
