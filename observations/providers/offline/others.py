"""Observations of everything else: the web, other agents, plans, questions, unknown tools."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from observations.drafts import ObservationDraft
from observations.providers.offline.calls import Call, list_at, mapping_at, text_at, text_of
from observations.providers.offline.drafting import drafted
from observations.providers.offline.outcomes import error_in, telling
from observations.providers.offline.wording import (
    clip,
    counted,
    first_sentence,
    line_of,
    listed,
    plain,
    quoted,
    sentences,
    words_of,
)

_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+([^\n]*)$", re.MULTILINE)
_ITEM = re.compile(r"^[ \t]*(?:[-*+•]|\d+[.)])[ \t]+", re.MULTILINE)
_MARKUP = re.compile(r"\*\*|__|`{3}\w*")
_NAMED = re.compile(
    r"\"(?:title|name|summary|message|description|body|text)\"\s*:\s*\"([^\"\\]{3,200})\""
)
_KINDS = (
    ("bugfix", re.compile(r"\b(?:fixed|repaired|resolved|corrected)\b", re.IGNORECASE)),
    ("decision", re.compile(r"\b(?:decided|chose|agreed|will use|opted)\b", re.IGNORECASE)),
    ("feature", re.compile(r"\b(?:added|implemented|introduced|now supports?|now has)\b", re.I)),
    ("refactor", re.compile(r"\b(?:refactored|renamed|moved|simplified|extracted)\b", re.I)),
    ("change", re.compile(r"\b(?:updated|changed|removed|deleted|wrote|documented)\b", re.I)),
)
_MESSAGES = ("last_assistant_message", "message", "text", "content", "summary", "note", "narrative")
_TITLES = ("title", "name", "subject", "summary", "headline", "description")
_NOT_SAID = words_of(
    "session_id transcript_path cwd hook_event_name prompt_id permission_mode effort "
    "tool_use_id toolUseId contentSessionId platformSource agentId agentType duration_ms "
    "timestamp type id"
)


def web_draft(call: Call) -> ObservationDraft | None:
    """What a page or a search of the web said."""
    url, query = call.text("url", "uri"), call.text("query", "q", "search_query")
    body = _unmarked(call.output or _answers(call))
    sources = _sources(call)
    if call.failed or not (body.strip() or sources):
        return _failed(call, query or url) if call.failed and (query or url) else None
    subject = line_of(query) or _address(url)
    said = sentences(body[:4000])
    facts = [f"{clip(subject, 80)}: {each}" for each in said[:4]]
    return drafted(
        [call],
        "discovery",
        f"{clip(subject, 60)}: {said[0] if said else counted(len(sources), 'result')}",
        subtitle=said[1] if len(said) > 1 else f"Read on the web: {subject}",
        narrative=[f"The web was asked for {quoted(query or url)}", *said[:10], *sources],
        facts=[*facts, *sources[:4]],
        concepts=("how-it-works", "why-it-exists"),
    )


def report_draft(call: Call) -> ObservationDraft | None:
    """What another agent, or this one, reported in words."""
    payload = call.event.payload if isinstance(call.event.payload, dict) else {}
    body = call.output if call.tool else text_at(payload, "last_assistant_message") or call.output
    said = sentences(_unmarked(plain(body[:6000])))
    if not said:
        return None
    task = line_of(call.text("description", "subagent_type") or _agent(payload))
    return drafted(
        [call],
        _kind(said[:1]),
        f"{clip(task, 50)}: {said[0]}" if task else said[0],
        subtitle=said[1] if len(said) > 1 else said[0],
        narrative=[
            *(
                [f"The task was: {first_sentence(call.text('prompt'), 300)}"]
                if call.text("prompt")
                else []
            ),
            *said[:12],
        ],
        facts=[each for each in said if len(each.split()) > 3][:6],
        concepts=("how-it-works", "what-changed"),
    )


def plan_draft(call: Call) -> ObservationDraft | None:
    """A plan that was settled, or a list of things to do before the first is done."""
    plan = call.text("plan")
    if plan:
        steps = sentences(_unmarked(plan[:4000]).strip().removeprefix("Plan: "))[:6]
    else:
        todos = [each for each in list_at(call.given, "todos", 30) if isinstance(each, dict)]
        if len(todos) < 2 or any(each.get("status") == "completed" for each in todos):
            return None
        steps = [line_of(text_at(each, "content", "subject", "title")) for each in todos]
    steps = [step for step in steps if step]
    if not steps:
        return None
    return drafted(
        [call],
        "decision",
        f"Plan: {steps[0] if plan else listed(steps, 3)}",
        subtitle=listed(steps, 3),
        narrative=["It was planned as follows", *steps],
        facts=[f"Planned: {step}" for step in steps],
        concepts=("why-it-exists", "trade-off"),
    )


def question_draft(call: Call) -> ObservationDraft | None:
    """What the user answered to questions of the agent."""
    answers = mapping_at(call.answer, "answers") or mapping_at(call.given, "answers")
    pairs = [
        (line_of(question[:300]), line_of(answer[:300]))
        for question, answer in list(answers.items())[:6]
        if isinstance(question, str) and isinstance(answer, str) and answer.strip()
    ]
    if not pairs:
        return None
    facts = [
        f"To “{clip(question, 140)}” the user answered “{clip(answer, 100)}”"
        for question, answer in pairs
    ]
    return drafted(
        [call],
        "decision",
        f"{clip(pairs[0][1], 50)}, answered to: {pairs[0][0]}",
        subtitle=facts[0],
        narrative=facts,
        facts=facts,
        concepts=("why-it-exists", "trade-off"),
    )


def tool_draft(call: Call) -> ObservationDraft | None:
    """What any other tool was asked and said, as far as it can be told."""
    asked = _asked(call.given)
    name = _tool(call.tool)
    subject = f"{name} {clip(asked, 50)}".strip() if asked else name
    if call.failed:
        return _failed(call, subject)
    lines = _NAMED.findall(call.output)[:6] or telling(_unmarked(call.output), 6)
    if not lines:
        return None
    return drafted(
        [call],
        "discovery",
        f"{subject}: {lines[0]}",
        subtitle=f"{name} answered {counted(len(call.output.splitlines()), 'line')}",
        narrative=[f"{name} was asked for {asked}" if asked else f"{name} was used", *lines],
        facts=[f"{subject} gave {quoted(line, 160)}" for line in lines[:5]],
        concepts=("how-it-works", "why-it-exists"),
    )


def note_draft(call: Call) -> ObservationDraft | None:
    """What an event of no known shape says in words; None if it says nothing."""
    payload = call.event.payload
    values: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    body = text_at(values, *_MESSAGES) or (text_of(payload) if not values else "")
    said = sentences(_unmarked(plain(body[:6000])))
    title = line_of(text_at(values, *_TITLES)[:400]) or (said[0] if said else "")
    pairs = [] if title else [*_pairs(values)]
    if not title and not pairs:
        return None
    facts = said[:5] or [f"{key} is {quoted(value)}" for key, value in pairs]
    return drafted(
        [call],
        _kind(said[:4]),
        title or f"{call.event.event_type[:40]}: {', '.join(f'{k} {v}' for k, v in pairs[:3])}",
        subtitle=next((each for each in said if each != title), ""),
        narrative=said[:12] or facts,
        facts=facts,
        concepts=("how-it-works", "what-changed"),
    )


def _failed(call: Call, subject: str) -> ObservationDraft | None:
    error = error_in(call.output) or next(iter(telling(call.output, 1)), "")
    name = _tool(call.tool)
    if not error:
        return None
    return drafted(
        [call],
        "discovery",
        f"{subject or name} fails: {error}",
        subtitle=f"{name} did not do what it was asked for",
        narrative=[f"{name} failed: {error}", *telling(call.output, 4)],
        facts=[f"{name} failed: {quoted(error, 180)}"],
        concepts=("gotcha", "problem-solution"),
    )


def _tool(tool: str) -> str:
    """A tool's name in words: "github get issue" for mcp__github__get_issue."""
    words = [part for part in tool.removeprefix("mcp__").split("__") if part]
    return clip(" ".join(words).replace("_", " "), 60) or "The tool"


def _asked(given: Mapping[str, Any]) -> str:
    """The input's texts and numbers, shortly."""
    values = (value for key, value in list(given.items())[:8] if isinstance(value, str | int))
    return clip(" ".join(line_of(str(value)[:200]) for value in values), 120)


def _address(url: str) -> str:
    return clip(url.partition("://")[2].rstrip("/") or url, 60)


def _sources(call: Call) -> list[str]:
    """The titles of what a search found, with their addresses."""
    blocks: Iterable[Any] = list_at(call.answer, "results", 10)
    flat = [
        item
        for block in blocks
        if isinstance(block, dict)
        for item in (*list_at(block, "content", 10), block)
    ]
    pairs = (
        (text_at(each, "title"), text_at(each, "url", "link"))
        for each in flat
        if isinstance(each, dict)
    )
    return [f"{clip(title, 120)}: {url}" for title, url in pairs if title and url][:8]


def _answers(call: Call) -> str:
    """What a search said in words, beside its list of pages."""
    return "\n".join(each for each in list_at(call.answer, "results", 10) if isinstance(each, str))


def _agent(payload: Mapping[str, Any]) -> str:
    kind = text_at(payload, "agent_type", "agentType", "subagent_type")
    return f"Report of {kind}" if kind else ""


def _kind(said: Sequence[str]) -> str:
    text = " ".join(said)
    return next((kind for kind, words in _KINDS if words.search(text)), "discovery")


def _pairs(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in list(values.items())[:20]:
        if key not in _NOT_SAID and isinstance(value, str | int | float) and str(value).strip():
            yield line_of(key[:40]), clip(str(value)[:400], 80)


def _unmarked(text: str) -> str:
    """Prose without the marks of Markdown; headings and items stand apart from what follows."""
    return _MARKUP.sub("", _ITEM.sub("\n", _HEADING.sub(r"\n\1\n\n", text)))
