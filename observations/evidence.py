"""What an observation says must be in its events: whatever they do not show is dropped.

Checked are listed files, quoted text (in backticks or quotes; commands and code are quoted) and
paths and URLs in running text. Spacing, letter case, terminal colours and backslashes do not
count, and an ellipsis in a quote stands for anything that was left out.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from observations.drafts import JSON, ObservationDraft, SourceEvent

_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_ESCAPE = re.compile(r"\\[rnt]")
_QUOTE = re.compile(
    r"`([^`]+)`|“([^”]+)”"
    r"|(?<!\w)\"(?!\s)([^\"]+)(?<!\s)\"(?!\w)"
    r"|(?<![\w'])'(?!\s)([^'\n]+)(?<!\s)'(?!\w)"  # not the 's of an owner
)
_PLACE = re.compile(r"https?://[^\s…<>()\"'`]+|(?<![\w:/.~-])[\w.~-]*/[\w./~-]*\.\w{1,6}\b")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"“])")
_LINES = re.compile(r":\d+(-\d+)?$")
_ELLIPSIS = re.compile(r"…|\.\.\.")


def supported(draft: ObservationDraft, events: Iterable[SourceEvent]) -> ObservationDraft | None:
    """`draft` without what the events that it cites do not show; None if nothing is left of it.

    Files and facts go one by one, the narrative by the sentence. A title that cannot be kept is
    replaced by the first fact or sentence that can. A draft that cites none of `events` is None.
    """
    cited = [each for each in events if each.id in draft.event_ids]
    shown = _evidence(cited)
    here = {each.id for each in cited}
    facts = tuple(each for each in draft.facts if _shows(shown, each))
    narrative = _kept(shown, draft.narrative)
    subtitle = _kept(shown, draft.subtitle)
    kept = replace(
        draft,
        title=draft.title if _shows(shown, draft.title) else "",
        subtitle=subtitle,
        narrative=narrative,
        facts=facts,
        files_read=tuple(each for each in draft.files_read if _has_file(shown, each)),
        files_modified=tuple(each for each in draft.files_modified if _has_file(shown, each)),
        event_ids=tuple(each for each in draft.event_ids if each in here),
    )
    if not cited or not _substantial(kept):
        return None
    return replace(kept, title=kept.title or _first(facts, subtitle, narrative))


def leaves(value: JSON) -> Iterator[str]:
    """Every text in a JSON value, keys and numbers too, in no promised order, at any depth."""
    waiting: list[JSON] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            yield from each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif each is not None:
            yield str(each)


class _Evidence:
    """The plain text of some events, and the folders in which they happened."""

    __slots__ = ("folders", "text")

    def __init__(self, text: str, folders: tuple[str, ...]) -> None:
        self.text = text
        self.folders = folders


def _evidence(events: list[SourceEvent]) -> _Evidence:
    text = "\n".join(_plain(leaf) for each in events for leaf in leaves(each.payload))
    folders = {
        _plain(cwd).rstrip("/") + "/"
        for each in events
        if isinstance(each.payload, dict) and isinstance(cwd := each.payload.get("cwd"), str)
    }
    return _Evidence(text, tuple(sorted(folders)))


def _plain(text: str) -> str:
    text = _CONTROL.sub("", _COLOUR.sub("", text))
    return "".join(_ESCAPE.sub(" ", text).replace("\\", "").lower().split())


def _shows(shown: _Evidence, text: str) -> bool:
    quotes = (next(filter(None, each)) for each in _QUOTE.findall(text))
    return all(_has(shown, each) for each in quotes) and all(
        _has_file(shown, each) for each in _PLACE.findall(_QUOTE.sub(" ", text))
    )


def _has(shown: _Evidence, quote: str) -> bool:
    position = 0
    for piece in map(_plain, _ELLIPSIS.split(quote)):
        position = shown.text.find(piece, position)
        if position < 0:
            return False
        position += len(piece)
    return True


def _has_file(shown: _Evidence, path: str) -> bool:
    name = _plain(_LINES.sub("", path.rstrip("/.:,;"))).removeprefix("./")
    inside = (name.removeprefix(folder) for folder in ("", *shown.folders))
    return bool(name) and any(each in shown.text for each in inside)


def _kept(shown: _Evidence, text: str) -> str:
    if _shows(shown, text):
        return text
    return " ".join(each for each in _SENTENCE.split(text) if _shows(shown, each))


def _first(facts: tuple[str, ...], *texts: str) -> str:
    sentences = (_SENTENCE.split(text)[0] for text in texts if text)
    return next((each.strip() for each in (*facts, *sentences) if each.strip()), "")


def _substantial(draft: ObservationDraft) -> bool:
    fields: tuple[str, ...] = (draft.title, draft.narrative, *draft.facts, *draft.concepts)
    return any(each.strip() for each in fields)
