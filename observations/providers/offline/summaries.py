"""Summaries: what was asked for in a session, what was looked at, learned, done and left open."""

import re
from collections.abc import Iterable, Iterator, Sequence

from observations.drafts import ObservationDraft, Source, SummaryDraft
from observations.providers.offline import paths
from observations.providers.offline.calls import Call, list_at, text_at
from observations.providers.offline.grouping import family_of
from observations.providers.offline.requests import request_of
from observations.providers.offline.runs import Run, run_of
from observations.providers.offline.wording import clip, ended, line_of, listed, plain, sentences

_PROMPTS = frozenset(("userpromptsubmit", "user_prompt", "prompt", "user_message"))
_MESSAGES = frozenset(("stop", "subagentstop", "assistant_message"))
_WORK = frozenset(("bugfix", "feature", "refactor", "change", "decision"))
_OPEN = re.compile(
    r"\b(?:will (?!be |have )|next steps?|next,|to ?do:|remains? to|not yet|"
    r"not (?:been )?(?:run|tested|verified|done|finished)|"
    r"still (?:has|have|needs?|fails?|missing|to)|needs? to be|should be|let's|let me|"
    r"follow.up|to be done|pending)\b",
    re.IGNORECASE,
)
_IDLE = re.compile(
    r"(?:let's|let me|i will|i'll|calling|now i)\b|will try to|.{0,30}\bsubmit our", re.IGNORECASE
)
_VERIFIED = frozenset(("test", "check", "build"))
_HANDED_IN = re.compile(r"\bsubmit", re.IGNORECASE)


def summary_draft(
    source: Source, calls: Sequence[Call], drafts: Sequence[ObservationDraft]
) -> SummaryDraft | None:
    """The summary of a session's events; None if they hold nothing that could be summed up.

    `drafts` are the observations that the same events make.
    """
    prompts = [call for call in calls if _kind(call) in _PROMPTS]
    messages = [call for call in calls if _kind(call) in _MESSAGES and _message(call)]
    request = _requests(prompts)
    if not (request or messages or drafts):
        return None
    said = [each for call in messages[-3:] for each in sentences(_message(call))]
    told = [each for each in said if not _IDLE.match(each) and len(each.split()) > 2]
    work = [each for each in drafts if each.type in _WORK]
    seen = [each for each in drafts if each.type not in _WORK]
    return SummaryDraft(
        request=request,
        investigated=_told((each.title for each in seen if not _failed(each)), 900),
        learned=_told(_learned(seen, [] if work else told), 1200),
        completed=_told((*_done(work), *(told if work else ())), 1200),
        next_steps=_told(_next_steps(calls, drafts, said), 500),
        notes=_notes(drafts),
        event_ids=_cited(prompts, drafts, messages) or tuple(e.id for e in source.events),
    )


def _kind(call: Call) -> str:
    return call.event.event_type.lower()


def _message(call: Call) -> str:
    payload = call.event.payload
    if not isinstance(payload, dict):
        return ""
    return plain(text_at(payload, "last_assistant_message", "message", "text")[:4000]).strip()


def _requests(prompts: Iterable[Call]) -> str:
    """What all prompts asked for, the first at length."""
    asked: list[str] = []
    for call in prompts:
        payload = call.event.payload
        text = text_at(payload, "prompt", "text", "message") if isinstance(payload, dict) else ""
        words = request_of(text, 200 if asked else 600)
        if words and words not in asked:
            asked.append(words)
    if len(asked) > 6:
        asked = [*asked[:3], *asked[-3:]]
    return " Then: ".join(asked)


def _done(work: Sequence[ObservationDraft]) -> Iterator[str]:
    """What was changed, and what then came out of it."""
    for draft in work:
        yield draft.title
        if "` then " in draft.subtitle:
            yield draft.subtitle


def _learned(seen: Sequence[ObservationDraft], said: Sequence[str]) -> Iterator[str]:
    """The agent's own words, what was found or went wrong, what files say of themselves."""
    yield from said
    for draft in seen:
        if "problem-solution" in draft.concepts and not draft.title.startswith("Edit of "):
            yield draft.title
    for draft in seen:
        docs = (fact for fact in draft.facts if ": " in fact and "`" not in fact)
        yield from [fact for fact in docs if not _failed(draft)][:2]


def _failed(draft: ObservationDraft) -> bool:
    return "gotcha" in draft.concepts and "problem-solution" in draft.concepts


def _next_steps(
    calls: Sequence[Call], drafts: Sequence[ObservationDraft], said: Sequence[str]
) -> Iterator[str]:
    """What the last message announces, what was planned and not done, what failed last."""
    handed_in = any(call.text("command").startswith("submit") for call in calls)
    for each in said:
        if _OPEN.search(each) and not (handed_in and _HANDED_IN.search(each)):
            yield each
    yield from (f"To do: {each}" for each in _pending(calls))
    yield from (f"Still failing: {each}" for each in _failing(calls))
    for draft in drafts:
        yield from (fact for fact in draft.facts if fact.startswith("Open in "))


def _failing(calls: Sequence[Call]) -> Iterator[str]:
    """The tests, checks and builds whose last run failed."""
    last: dict[str, Run] = {}
    for call in calls:
        if family_of(call) == "shell" and (run := run_of(call)).command.family in _VERIFIED:
            last[run.command.program] = run
    yield from (
        f"{each.name}: {each.outcome.headline}" for each in last.values() if each.outcome.failed
    )


def _pending(calls: Sequence[Call]) -> list[str]:
    lists = [todos for call in calls if (todos := list_at(call.given, "todos", 30))]
    items = lists[-1] if lists else []
    return [
        line_of(text_at(each, "content", "subject"))
        for each in items
        if isinstance(each, dict) and each.get("status") in ("pending", "in_progress")
    ]


def _notes(drafts: Sequence[ObservationDraft]) -> str:
    changed = list(dict.fromkeys(name for each in drafts for name in each.files_modified))
    read = dict.fromkeys(name for each in drafts for name in each.files_read)
    only = [name for name in read if name not in changed]
    parts = (
        f"Files changed: {listed(list(map(paths.short, changed)), 12)}" if changed else "",
        f"Files read: {listed(list(map(paths.short, only)), 12)}" if only else "",
    )
    return " ".join(ended(part) for part in parts if part)


def _told(parts: Iterable[str], limit: int) -> str:
    """The parts as sentences, each once, as many as fit."""
    whole: list[str] = []
    room = limit
    for part in dict.fromkeys(ended(clip(each, 400)) for each in parts if each.strip()):
        if len(part) < room:
            whole.append(part)
            room -= len(part) + 1
    return " ".join(whole)


def _cited(
    prompts: Sequence[Call], drafts: Sequence[ObservationDraft], messages: Sequence[Call]
) -> tuple[str, ...]:
    ids = (
        *(call.event.id for call in prompts),
        *(each for draft in drafts for each in draft.event_ids),
        *(call.event.id for call in messages),
    )
    return tuple(dict.fromkeys(ids))
