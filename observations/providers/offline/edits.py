"""Observations of what an agent changed: which names came and went, in which lines."""

from collections.abc import Iterable, Iterator, Sequence

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.calls import Call
from observations.providers.offline.changes import Change, merged
from observations.providers.offline.code import comment, imported, telling, tested
from observations.providers.offline.docs import description
from observations.providers.offline.drafting import drafted
from observations.providers.offline.intents import Names, kind_of, names_in, wording_of
from observations.providers.offline.outlines import Outline, outline
from observations.providers.offline.reads import blob_kind
from observations.providers.offline.runs import Run
from observations.providers.offline.wording import (
    capital,
    clip,
    counted,
    first_sentence,
    listed,
    quoted,
    sentences,
)


def edit_draft(
    calls: Sequence[Call],
    changes: Sequence[Change],
    runs: Sequence[Run] = (),
    earlier: Run | None = None,
    title: str = "",
) -> ObservationDraft | None:
    """What some edits, mostly of one file, changed; with the runs that followed them.

    `earlier` is the same command before the edits. None if nothing changed that can be told.
    """
    made = merged([each for each in changes if not each.rejected])
    made = tuple(each for each in made if each.added or each.removed)
    refused = [each for each in changes if each.rejected]
    if not made:
        return _refused(calls, refused) if refused else None
    names = names_in(made)
    kind = kind_of(made, names)
    about = outline(made[0].content, made[0].path) if made[0].created else Outline()
    return drafted(
        calls,
        kind,
        title or _title(made, names, runs, about),
        subtitle=_subtitle(made, names, runs, about),
        narrative=(*_story(made, names, refused, runs, about), *_before(earlier)),
        facts=(*_facts(made), *_results(runs), *_before(earlier), *_failures(refused)),
        concepts=_concepts(kind, refused, runs, earlier),
        read=(name for run in runs for name in run.files),
        modified=(each.path for each in made),
    )


def _title(made: Sequence[Change], names: Names, runs: Sequence[Run], about: Outline) -> str:
    files = list(dict.fromkeys(each.path for each in made))
    file = paths.short(files[0])
    if len(files) > 1:
        file = f"{file} and {counted(len(files) - 1, 'more file')}"
    if made[0].created:
        return _title_of_new(made[0], file, runs, about)
    return wording_of(made, names, file)


def _title_of_new(change: Change, file: str, runs: Sequence[Run], found: Outline) -> str:
    if found.symbols:
        public = [each for each in found.symbols if not each.owner]
        what = "New test" if paths.is_test(change.path) else "New file"
        about = listed([each.path for each in public or found.symbols], 3)
        return f"{what} {file}: {about}"
    about = next(iter(found.headings), "") or first_sentence(found.doc, 70)
    about = about or next((note.text for note in found.notes), "") or listed(found.keys, 4)
    if failed := next((run for run in runs if run.outcome.failed), None):
        return f"New file {file} fails: {failed.outcome.headline}"
    names = imported(change.added)
    using = f" with {listed(names, 3)}" if names and not about else ""
    shown = next((line for run in runs if (line := _printed(run))), "")
    if shown and not about:
        return f"New file {file}{using} prints {shown}"
    return f"New file {file}{using}: {about or _core(change)}"


def _core(change: Change) -> str:
    """The line in which a script does what it is for, as far as lines show that."""
    last = next(iter(change.added[-1:]), "")
    best = next(iter(telling(change.added, 1)), last)
    return clip(last if last.count("(") > 1 else best, 70)


def _subtitle(made: Sequence[Change], names: Names, runs: Sequence[Run], about: Outline) -> str:
    for run in runs:
        if said := _said(run):
            return said
    if about.doc:
        return first_sentence(about.doc)
    if intent := next((words for each in made for words in _comments(each)), ""):
        return capital(intent)
    if doc := next((words for each in names.added if (words := description(each.doc))), ""):
        return first_sentence(doc)
    if tests := tested(names.added):
        return f"Tests: {tests[0]}"
    if around := next(_around(made), ""):
        return first_sentence(around)
    if made[0].created and made[0].added:
        return f"It has {listed([quoted(line, 70) for line in telling(made[0].added, 2)])}"
    added, removed = (
        sum(len(getattr(each, name)) for each in made) for name in ("added", "removed")
    )
    parts = [
        f"{counted(added, 'line')} added" if added else "",
        f"{counted(removed, 'line')} removed" if removed else "",
    ]
    return f"{' and '.join(filter(None, parts))} in {_where(made[0])}"


def _comments(change: Change) -> Iterator[str]:
    words = (comment(line) for line in change.added)
    yield from (each for each in words if each and len(each.split()) > 2)


def _facts(made: Sequence[Change]) -> Iterator[str]:
    for change in made[:6]:
        where = _where(change)
        pairs = _pairs(change)
        if pairs:
            yield from (f"In {where}, {quoted(old)} became {quoted(new)}" for old, new in pairs[:3])
            continue
        verb = "has" if change.created else "now has"
        yield from _having(f"{where} {verb}", telling(change.added))
        yield from _having(f"{where} no longer has", telling(change.removed, 3))


def _having(start: str, lines: Sequence[str]) -> Iterator[str]:
    """Facts that quote lines, two each if they are short."""
    quotes = [quoted(line, 120) for line in lines]
    while quotes:
        count = 2 if len(" ".join(quotes[:2])) < 140 else 1
        yield f"{start} {listed(quotes[:count])}"
        quotes = quotes[count:]


def _pairs(change: Change) -> list[tuple[str, str]]:
    """The lines that were replaced one by one, if the edit was of that kind."""
    if len(change.added) != len(change.removed) or len(change.added) > 3:
        return []
    return list(zip(change.removed, change.added, strict=True))


def _where(change: Change) -> str:
    file = paths.short(change.path)
    return f"{change.place} in {file}" if change.place else file


def _said(run: Run) -> str:
    """What a run showed of the change, as a sentence."""
    if run.outcome.failed:
        return f"{quoted(run.name)} then failed: {run.outcome.headline}"
    shown = _shown(run)
    return f"{quoted(run.name)} then {shown}" if shown else ""


def _shown(run: Run) -> str:
    if run.outcome.headline:
        return f"gave {run.outcome.headline}"
    if what := blob_kind(run.call.output):
        return f"printed {what}"
    line = _printed(run)
    return f"printed {quoted(line, 90)}" if line else ""


def _printed(run: Run) -> str:
    """What a run that did not fail printed, by its most telling line."""
    lines = run.outcome.found or run.outcome.facts
    return lines[-1] if lines and not run.outcome.failed else ""


def _results(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        yield _said(run) or f"{quoted(run.name)} then ran without an error"


def _before(earlier: Run | None) -> Iterator[str]:
    if earlier and earlier.outcome.failed:
        yield f"Before it, {quoted(earlier.name)} failed: {earlier.outcome.headline}"
    elif earlier and (shown := _shown(earlier)):
        yield f"Before it, {quoted(earlier.name)} {shown}"


def _failures(refused: Sequence[Change]) -> Iterator[str]:
    for each in dict.fromkeys((change.path, change.rejected) for change in refused):
        yield f"An edit of {paths.short(each[0])} was refused: {clip(each[1], 140)}"


def _story(
    made: Sequence[Change],
    names: Names,
    refused: Sequence[Change],
    runs: Sequence[Run],
    about: Outline,
) -> Iterator[str]:
    for change in made[:4]:
        yield _told(change)
    yield from sentences(about.doc[:800])[:4]
    for symbol in names.added[:4]:
        if words := sentences(description(symbol.doc)[:800]):
            yield f"{symbol.path}: {' '.join(words[:4])}"
    yield from (f"Tests: {each}" for each in tested(names.added))
    yield from _around(made)
    yield from (capital(words) for each in made for words in _comments(each))
    yield from _results(runs)
    yield from _failures(refused)


def _told(change: Change) -> str:
    verb = "was written" if change.created else "was changed"
    where = f"{paths.short(change.path)} {verb}"
    if change.place:
        where += f" in {change.place}"
    if change.line and not change.created:
        where += f", around line {change.line}"
    return where


def _around(made: Sequence[Change]) -> Iterator[str]:
    """What the code around the changes says of itself."""
    for change in made[:3]:
        for symbol in change.around:
            if words := sentences(description(symbol.doc)[:800]):
                yield f"{symbol.name}: {' '.join(words[:4])}"


def _refused(calls: Sequence[Call], refused: Sequence[Change]) -> ObservationDraft:
    first = refused[0]
    file = paths.short(first.path)
    line = f" line {first.line}" if first.line else ""
    times = f" ({len(refused)} times)" if len(refused) > 1 else ""
    tried = dict.fromkeys(quoted(each.added[0], 120) for each in refused if each.added)
    return drafted(
        calls,
        "discovery",
        f"Edit of {file}{line} was refused{times}: {clip(first.rejected, 70)}",
        subtitle=f"Tried was {next(iter(tried))}" if tried else "The file was left as it was",
        narrative=[
            f"The edit of {file}{line} was not applied{times}: {first.rejected}",
            f"Tried was {listed(list(tried), 3)}" if tried else "",
        ],
        facts=[*_failures(refused), *(f"The refused edit of {file} had {each}" for each in tried)],
        concepts=("gotcha", "problem-solution"),
        read=(each.path for each in refused),
    )


def _concepts(
    kind: str, refused: Sequence[Change], runs: Sequence[Run], earlier: Run | None
) -> Iterable[str]:
    yield "what-changed"
    solved = kind == "bugfix" or earlier or any(run.outcome.found for run in runs)
    yield "problem-solution" if solved else {"refactor": "pattern"}.get(kind, "how-it-works")
    if refused or any(run.outcome.failed for run in runs):
        yield "gotcha"
