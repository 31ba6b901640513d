"""A hook call: a payload scrubbed and understood, with what its client says beside it. Pure."""

from dataclasses import dataclass, replace

from observations import agents, hook_facts
from observations.agents import Agent, HookPayload
from observations.drafts import JSON
from observations.hook_facts import HookFacts
from observations.privacy import scrub


@dataclass(frozen=True, slots=True)
class HookCall:
    """What an agent's hook said. `removed` is what its payload lost at the door, by rule."""

    agent: Agent
    hook: HookPayload
    removed: dict[str, int]
    facts: HookFacts


def understood(
    payload: JSON, agent: Agent = agents.CLAUDE_CODE, facts: HookFacts = hook_facts.NONE
) -> HookCall:
    """The call that a payload was sent with. Raises InvalidInput naming the unusable field.

    What its client says of it counts where it does not say that itself.
    """
    scrubbed = scrub(payload)
    hook = agent.understand(scrubbed.value)
    if facts.delivery or facts.occurred_at:
        hook = replace(
            hook,
            own_id=hook.own_id or (f"delivery:{facts.delivery}" if facts.delivery else None),
            occurred_at=hook.occurred_at or facts.occurred_at,
        )
    return HookCall(agent, hook, scrubbed.removed, facts)
