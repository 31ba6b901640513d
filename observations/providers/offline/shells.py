"""Observations of the commands that an agent ran: how they went and what they showed."""

import re
from collections.abc import Callable, Iterator, Sequence

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.changes import changes_in_diff
from observations.providers.offline.code import telling as telling_code
from observations.providers.offline.deeds import (
    file_draft,
    in_place_draft,
    install_draft,
    submission_draft,
    written_draft,
)
from observations.providers.offline.drafting import drafted
from observations.providers.offline.edits import edit_draft
from observations.providers.offline.gits import git_draft
from observations.providers.offline.listings import listing_of
from observations.providers.offline.outcomes import Outcome, leading_to
from observations.providers.offline.reads import blob_kind, content_draft
from observations.providers.offline.runs import Run, purpose
from observations.providers.offline.searches import search_draft
from observations.providers.offline.wording import (
    article,
    clip,
    elided,
    listed,
    quoted,
)

_MISSING = re.compile(r"no such file|not found|does not exist|cannot access", re.IGNORECASE)
_JSON_KEY = re.compile(r"\"([\w.-]{1,40})\"\s*:")


def shell_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """What a command, run once or several times with the same result, showed.

    The last of the runs may hand in what the first one found. None for a command that leaves
    nothing to remember.
    """
    run = runs[0]
    if not run.command.parts:
        return None
    if run.outcome.failed:
        return _failed(runs)
    special = _SPECIAL.get(run.command.family)
    return special(runs) if special else _printed(runs)


def _failed(runs: Sequence[Run]) -> ObservationDraft:
    run, outcome = runs[0], runs[0].outcome
    times = f" ({len(runs)} times)" if len(runs) > 1 else ""
    code = f" with exit code {run.call.exit_code}" if run.call.exit_code else ""
    verb = "answers" if run.command.family == "submit" else "fails"
    first = f": {clip(outcome.names[0], 70)}" if outcome.names else ""
    said = f"{quoted(run.name)} failed{code}{times}"
    why = [*_named(run), *(_frame(run, each) for each in outcome.frames[-2:])]
    rest = [quoted(line, 160) for line in outcome.facts if _adds(line, outcome)]
    return drafted(
        [each.call for each in runs],
        "discovery",
        f"{run.name} {verb}{times}: {clip(outcome.headline, 90)}{first}",
        subtitle=next(iter(why[-1:] if outcome.frames else why), said),
        narrative=[
            purpose(run),
            f"{said}: {outcome.headline}",
            *why,
            *(f"It printed {line}" for line in rest),
        ],
        facts=[
            f"{said}: {clip(outcome.headline, 180)}",
            *why,
            *(f"{run.brief} printed {line}" for line in rest),
        ],
        concepts=("gotcha", "problem-solution"),
        read=(*_frame_files(run), *(() if _MISSING.search(outcome.headline) else run.files)),
    )


def _named(run: Run) -> list[str]:
    """The tests that failed, or the problems that a check found, each as a sentence."""
    if run.command.family == "test":
        return [f"{each} fails" for each in run.outcome.names]
    return [f"{run.command.program} reports {each}" for each in run.outcome.names]


def _adds(line: str, outcome: Outcome) -> bool:
    """Whether a line of output says more than the headline and the frames."""
    bare = line.removeprefix("E ").strip()
    if bare.startswith(("Traceback", "File ")) or ": in " in bare:
        return False
    told = (outcome.headline, *outcome.frames)
    return not any(bare[:80] in each or each[:80] in bare for each in told)


def _frame(run: Run, frame: str) -> str:
    place, name, code = frame.split("|", 2)
    inside = f" in {name}" if name and not name.startswith("<") else ""
    path, _, line = place.rpartition(":")
    file = paths.short(paths.shown(path, run.call.cwd))
    return f"{quoted(run.name)} failed in line {line} of {file}{inside}, at {quoted(code, 120)}"


def _frame_files(run: Run) -> Iterator[str]:
    for frame in run.outcome.frames:
        path = paths.shown(frame.split("|", 1)[0].rpartition(":")[0], run.call.cwd)
        if path and "site-packages" not in path and "/lib/python" not in path and path[0] != "<":
            yield path


def _tested(runs: Sequence[Run]) -> ObservationDraft | None:
    run = runs[0]
    if not run.outcome.headline:
        return _printed(runs)
    return drafted(
        [each.call for each in runs],
        "discovery",
        f"{run.name}: {run.outcome.headline}",
        subtitle=purpose(run) or f"{quoted(run.name)} succeeded",
        narrative=[purpose(run), f"{quoted(run.name)} gave {run.outcome.headline}"],
        facts=[f"{quoted(run.name)} gave {run.outcome.headline}"],
        concepts=("how-it-works", "what-changed"),
        read=run.files,
    )


def _printed(runs: Sequence[Run]) -> ObservationDraft | None:
    """A command that just showed something."""
    run, calls = runs[0], [each.call for each in runs]
    output = run.call.output.strip()
    if output and (what := blob_kind(output)):
        return _unreadable(runs, what)
    found = run.outcome.found
    lines = leading_to(output, found[0]) if found else run.outcome.facts
    if not lines:
        return None
    if "@@ -" in output and (changes := changes_in_diff(output)):
        return edit_draft(calls, changes)
    return drafted(
        calls,
        "discovery",
        _found_title(run) if found else _printed_title(runs),
        subtitle=purpose(run) or _printed_subtitle(run, lines),
        narrative=_printed_story(runs, lines),
        facts=_printed_facts(runs, lines),
        concepts=("problem-solution", "how-it-works")
        if found
        else ("how-it-works", "why-it-exists"),
        read=run.files,
    )


def _found_title(run: Run) -> str:
    return f"{run.brief} finds {listed(run.outcome.found, 2)}"


def _printed_subtitle(run: Run, lines: Sequence[str]) -> str:
    if run.outcome.found:
        return f"It printed {quoted(lines[-1], 120)}"
    rest = [line for line in lines if clip(line, 80) != _headline(run)]
    best = max(rest, key=_worth, default=lines[0])
    return f"{quoted(run.command.shown)} printed {quoted(best, 100)}"


def _printed_title(runs: Sequence[Run]) -> str:
    run = runs[0]
    times = f" ({len(runs)} times)" if len(runs) > 1 else ""
    if targets := [target for each in runs if (target := each.command.main.target)]:
        return f"{run.title if run.title != run.name else run.brief} writes {listed(targets, 4)}"
    if len(run.outcome.facts) == 1 and not run.call.text("description"):
        return f"{run.name}{times} prints {_headline(run)}".replace("prints answers", "answers")
    return f"{run.title}{times}: {_headline(run)}"


def _headline(run: Run) -> str:
    """The line, or the keys, that stand for an output."""
    output = run.call.output.strip()
    if (
        len(output) > 100
        and output[:1] in ("{", "[")
        and (keys := list(dict.fromkeys(_JSON_KEY.findall(output[:4000]))))
    ):
        return f"answers with {listed(keys, 4)}"
    whole = " ".join(run.outcome.facts)
    if len(whole) <= 80:
        return whole
    return clip(max(run.outcome.facts[:6], key=_worth), 80)


def _worth(line: str) -> tuple[bool, int]:
    words = re.findall(r"[A-Za-z]{3,}", line)
    return len(words) > 1, min(len(words), 6) - len(line) // 60 - line.count("|")


def _printed_story(runs: Sequence[Run], lines: Sequence[str]) -> Iterator[str]:
    run = runs[0]
    yield purpose(run) or f"{quoted(run.command.shown)} was run"
    for name in run.files:
        if kind := paths.called(name):
            yield f"{name} is {article(kind)} {kind}"
    yield from (f"Found: {each}" for each in run.outcome.found)
    yield from (clip(elided(line), 200) for line in lines)
    if run.outcome.headline:
        yield f"It also said {quoted(run.outcome.headline, 160)}"
    if len(runs) > 1:
        yield f"{quoted(runs[-1].command.shown)} was run next"


def _printed_facts(runs: Sequence[Run], lines: Sequence[str]) -> Iterator[str]:
    run = runs[0]
    yield from (f"{quoted(run.name)} showed {quoted(each)}" for each in run.outcome.found)
    name = run.brief if len(lines) > 1 else quoted(run.name)
    yield from (f"{name} printed {quoted(line, 160)}" for line in lines[:6])
    if run.outcome.headline:
        yield f"{run.brief} also said {quoted(run.outcome.headline, 160)}"
    if script := telling_code(run.command.written.split("\n"), 2):
        yield f"The script has {listed([quoted(line, 90) for line in script])}"
    yield from (
        f"{each.brief} wrote {each.command.main.target}"
        for each in runs
        if each.command.main.target
    )


def _unreadable(runs: Sequence[Run], what: str) -> ObservationDraft:
    run = runs[0]
    fact = f"{quoted(run.name)} printed {what}"
    return drafted(
        [each.call for each in runs],
        "discovery",
        f"{run.name} prints {what}",
        subtitle=purpose(run) or "The output is data, not text",
        narrative=[purpose(run), fact, *run.outcome.facts[:2]],
        facts=[fact],
        concepts=("gotcha", "how-it-works"),
        read=run.files,
    )


def _read(runs: Sequence[Run]) -> ObservationDraft | None:
    run, calls = runs[0], [each.call for each in runs]
    if run.command.written:
        return written_draft(runs) or _printed(runs)
    path = next(iter(run.files), "")
    if not path:
        path = paths.shown(next((w for w in run.command.main.words[1:] if w[0] not in "-'"), ""))
    piece = listing_of(run.call.output)
    return content_draft(calls, path, piece.text) if path and piece.text.strip() else None


def _searched(runs: Sequence[Run]) -> ObservationDraft | None:
    run, calls = runs[0], [each.call for each in runs]
    words = [w for w in run.command.main.words[1:] if not w.startswith("-") or len(w) == 1]
    if run.command.program in ("find", "fd"):
        names = re.search(r"-i?(?:name|path|regex)\s+['\"]?([^\s'\"]+)", run.command.text)
        pattern = names[1] if names else next(iter(words), "")
        return search_draft(calls, pattern, "", run.call.output)
    where = next(iter(run.files), "") if len(run.files) == 1 else ""
    return search_draft(calls, next(iter(words), ""), where, run.call.output)


def _nothing(runs: Sequence[Run]) -> ObservationDraft | None:
    return written_draft(runs) if runs[0].command.written else None


_SPECIAL: dict[str, Callable[[Sequence[Run]], ObservationDraft | None]] = {
    "test": _tested,
    "check": _tested,
    "git": git_draft,
    "read": _read,
    "search": _searched,
    "install": install_draft,
    "file": file_draft,
    "submit": submission_draft,
    "edit": in_place_draft,
    "list": _nothing,
}
