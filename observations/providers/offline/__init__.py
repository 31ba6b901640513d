"""The offline provider: observations and summaries from patterns alone, with no key, no network
and no model. Deterministic: the same source makes the same drafts."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from observations.drafts import Completion, ObservationDraft, Source, SummaryDraft
from observations.modes import Mode
from observations.providers.errors import ProviderError
from observations.providers.offline.calls import Call, call_of
from observations.providers.offline.drafting import fitted
from observations.providers.offline.edits import edit_draft
from observations.providers.offline.grouping import Group, family_of, grouped
from observations.providers.offline.others import (
    note_draft,
    plan_draft,
    question_draft,
    report_draft,
    tool_draft,
    web_draft,
)
from observations.providers.offline.reads import read_draft
from observations.providers.offline.searches import pattern_of, search_draft
from observations.providers.offline.shells import shell_draft
from observations.providers.offline.summaries import summary_draft

_ALONE: dict[str, Callable[[Call], ObservationDraft | None]] = {
    "web": web_draft,
    "report": report_draft,
    "plan": plan_draft,
    "question": question_draft,
    "tool": tool_draft,
    "note": note_draft,
}


@dataclass(frozen=True, slots=True)
class OfflineProvider:
    """Makes drafts from what events show, by rules. It costs nothing and counts no tokens."""

    name: str = "offline"
    model: str = "rules-1"

    def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
        """The drafts for a source; a transient ProviderError if `timeout` seconds do not do."""
        deadline = time.monotonic() + timeout
        drafts = tuple(_drafts(source, mode, deadline))
        return Completion(drafts, self.name, self.model, input_tokens=0, output_tokens=0)


def _drafts(
    source: Source, mode: Mode, deadline: float
) -> Iterator[ObservationDraft | SummaryDraft]:
    calls = []
    for event in source.events:
        _check(deadline)
        calls.append(call_of(event))
    drafts = []
    for group in grouped(calls):
        _check(deadline)
        draft = _draft(group)
        if draft and draft.title:
            drafts.append(fitted(draft, mode))
    if source.task == "observe":
        yield from drafts
    elif summary := summary_draft(source, calls, drafts):
        yield summary


def _check(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise ProviderError("The offline provider ran out of time.", "transient")


def _draft(group: Group) -> ObservationDraft | None:
    first = group.calls[0]
    if group.family == "edit":
        return edit_draft(group.calls, group.changes, group.runs, group.earlier)
    if group.family == "read":
        return read_draft(group.calls, [call for call in group.calls if family_of(call) == "read"])
    if group.family == "shell":
        return shell_draft(group.runs)
    if group.family == "search" and first.failed:
        return tool_draft(first)
    if group.family == "search":
        return search_draft(group.calls, pattern_of(first), first.text("path"), first.output)
    return _ALONE[group.family](first)
