"""From what a model answered to drafts that fit the mode: scrubbed, bounded, citing real events."""

from collections.abc import Iterable, Sequence

from observations.answers import SUMMARY, Raw
from observations.drafts import ObservationDraft, Source, SourceEvent, SummaryDraft
from observations.modes import Mode
from observations.privacy import scrub_text

TITLE, LINE, TEXT = 200, 1_000, 8_000
ITEMS = 40
DRAFTS = 64


def drafts_of(
    raws: Sequence[Raw], source: Source, mode: Mode
) -> tuple[ObservationDraft | SummaryDraft, ...]:
    """The drafts; those that say nothing are left out."""
    if source.task == "summarise":
        return tuple(_summary(raw, source) for raw in raws[:1])
    made = (_observation(raw, source.events, mode) for raw in raws[:DRAFTS])
    return tuple(draft for draft in made if draft)


def _summary(raw: Raw, source: Source) -> SummaryDraft:
    fields = {name: _clean(raw.one[name], TEXT) for name in SUMMARY}
    return SummaryDraft(**fields, event_ids=tuple(event.id for event in source.events))


def _observation(raw: Raw, events: Sequence[SourceEvent], mode: Mode) -> ObservationDraft | None:
    facts = _several(raw.many["facts"], LINE)
    narrative = _clean(raw.one["narrative"], TEXT)
    title = _clean(raw.one["title"], TITLE) or _title((*facts, narrative))
    if not title:
        return None
    kind = raw.one["type"].strip().lower()
    return ObservationDraft(
        type=kind if kind in mode.type_ids else mode.type_ids[0],
        title=title,
        subtitle=_clean(raw.one["subtitle"], LINE),
        narrative=narrative,
        facts=facts,
        concepts=_concepts(raw.many["concepts"], mode),
        files_read=_several(raw.many["files_read"], LINE),
        files_modified=_several(raw.many["files_modified"], LINE),
        event_ids=_cited(raw.many["events"], events),
    )


def _concepts(answered: Iterable[str], mode: Mode) -> tuple[str, ...]:
    bare = (each.partition(":")[0].strip().lower() for each in answered)
    return tuple(dict.fromkeys(each for each in bare if each in mode.concept_ids))[:5]


def _cited(answered: Iterable[str], events: Sequence[SourceEvent]) -> tuple[str, ...]:
    """The events of the answered numbers, in their order; all where it names none that exist."""
    numbers = {int(each) for each in answered if each.isdecimal() and len(each) < 6}
    cited = tuple(event.id for number, event in enumerate(events, 1) if number in numbers)
    return cited or tuple(event.id for event in events)


def _title(texts: Iterable[str]) -> str:
    first = next((text for text in texts if text), "")
    return _clean(first.splitlines()[0] if first else "", TITLE)


def _several(texts: Iterable[str], limit: int) -> tuple[str, ...]:
    cleaned = (_clean(text, limit) for text in texts)
    return tuple(dict.fromkeys(text for text in cleaned if text))[:ITEMS]


def _clean(text: str, limit: int) -> str:
    return scrub_text(text, max_text=limit).strip()
