"""From what was found in some calls to a draft that fits the mode and the reader's patience."""

from collections.abc import Iterable, Sequence

from observations.drafts import ObservationDraft
from observations.modes import Mode
from observations.providers.offline.calls import Call
from observations.providers.offline.wording import (
    balanced,
    clip,
    ended,
    few_words,
    line_of,
    paragraph,
)

TITLE, SUBTITLE, FACT = 110, 200, 260
FACTS, FILES = 8, 12


def drafted(
    calls: Sequence[Call],
    type: str,
    title: str,
    *,
    subtitle: str = "",
    narrative: Iterable[str] = (),
    facts: Iterable[str] = (),
    concepts: Iterable[str] = (),
    read: Iterable[str] = (),
    modified: Iterable[str] = (),
) -> ObservationDraft:
    """A draft that cites these calls, everything in it cut to size and without repetitions."""
    kept = (ended(balanced(clip(fact, FACT))) for fact in facts if fact.strip())
    title = clip(title, TITLE)
    return ObservationDraft(
        type=type,
        title=title,
        subtitle=balanced(few_words(clip(ended(line_of(subtitle)), SUBTITLE))),
        narrative=paragraph(narrative),
        facts=tuple(dict.fromkeys(kept))[:FACTS],
        concepts=tuple(dict.fromkeys(concepts)),
        files_read=_files(read),
        files_modified=_files(modified),
        event_ids=tuple(dict.fromkeys(call.event.id for call in calls)),
    )


def fitted(draft: ObservationDraft, mode: Mode) -> ObservationDraft:
    """The draft with types and concepts that the mode has: two to five concepts, if it has them."""
    known = mode.concept_ids
    concepts = [each for each in draft.concepts if each in known]
    spare = (each for each in ("how-it-works", "what-changed", *known) if each in known)
    for each in spare:
        if len(concepts) >= 2:
            break
        if each not in concepts:
            concepts.append(each)
    return ObservationDraft(
        type=_type(draft.type, mode),
        title=draft.title,
        subtitle=draft.subtitle,
        narrative=draft.narrative,
        facts=draft.facts,
        concepts=tuple(concepts[:5]),
        files_read=draft.files_read,
        files_modified=draft.files_modified,
        event_ids=draft.event_ids,
    )


def _type(wanted: str, mode: Mode) -> str:
    usable = (each for each in (wanted, "discovery", "change") if each in mode.type_ids)
    return next(usable, mode.type_ids[0])


def _files(names: Iterable[str]) -> tuple[str, ...]:
    whole = list(dict.fromkeys(name for name in names if name))
    ends = tuple(f"/{name}" for name in whole)
    kept = (n for n in whole if not any(o.endswith(f"/{n}") for o in ends if o != f"/{n}"))
    return tuple(kept)[:FILES]
