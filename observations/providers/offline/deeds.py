"""Observations of the commands that change something: files, packages, what is handed in."""

import re
from collections.abc import Sequence

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.changes import Change, changes_in_diff
from observations.providers.offline.drafting import drafted
from observations.providers.offline.edits import edit_draft
from observations.providers.offline.outcomes import telling
from observations.providers.offline.runs import Run, purpose
from observations.providers.offline.wording import listed, quoted

_INSTALLED = re.compile(r"^Successfully installed (.+)$", re.MULTILINE)
_ADDED = re.compile(r"^(?: \+ |Setting up )([^\s(]+)", re.MULTILINE)
_VERBS = {"rm": "Removed", "rmdir": "Removed", "cp": "Copied", "ln": "Linked"}


def install_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """Packages that were installed; None if nothing says which."""
    run = runs[0]
    names = _packages(run)
    if not names:
        return None
    fact = f"{quoted(run.command.shown)} installed {listed(names, 8)}"
    return drafted(
        [each.call for each in runs],
        "change",
        f"Installed {listed(names, 4)} with {run.command.program}",
        subtitle=purpose(run) or fact,
        narrative=[purpose(run), fact, *telling(run.call.output, 2)],
        facts=[fact],
        concepts=("what-changed", "how-it-works"),
    )


def _packages(run: Run) -> list[str]:
    """What was installed: as the output names it, else as the command does."""
    output = run.call.output
    if match := _INSTALLED.search(output):
        return match[1].split()
    if added := _ADDED.findall(output):
        return list(added)
    asked = [word for word in run.command.main.words[2:] if word[:1].isalnum()]
    return asked if output.strip() else []


def file_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """Files that were moved, copied or removed; scratch files are not worth a word."""
    run = runs[0]
    names = [paths.shown(w, run.call.cwd) for w in run.command.main.words[1:] if w[:1] != "-"]
    kept = [name for name in names if name and not paths.is_scratch(name)]
    if not kept:
        return None
    verb = _VERBS.get(run.command.program, "Moved")
    pair = verb in ("Moved", "Copied", "Linked") and len(names) > 1
    what = f"{listed(names[:-1], 3)} to {names[-1]}" if pair else listed(kept, 3)
    return drafted(
        [each.call for each in runs],
        "change",
        f"{verb} {what}",
        subtitle=purpose(run) or quoted(run.command.shown),
        narrative=[purpose(run), f"{verb} {what} with {quoted(run.command.shown)}"],
        facts=[f"{quoted(run.command.shown)} was run: {verb.lower()} {what}"],
        concepts=("what-changed", "how-it-works"),
        modified=kept,
    )


def submission_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """What was handed in: the whole change, or an answer; None if there was neither."""
    run, calls = runs[0], [each.call for each in runs]
    if changes := changes_in_diff(run.call.output):
        return edit_draft(calls, changes)
    answer = " ".join(run.command.main.words[1:])
    if not answer:
        return None
    return drafted(
        calls,
        "change",
        f"Submitted {answer}",
        subtitle=f"{answer} was handed in as the solution",
        narrative=[f"{answer} was handed in as the solution", *run.outcome.facts[:2]],
        facts=[f"{answer} was handed in as the solution"],
        concepts=("problem-solution", "what-changed"),
    )


def in_place_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """A file that a command such as `sed -i` changed; None if it names none."""
    run = runs[0]
    if not run.files:
        return None
    fact = f"{quoted(run.command.shown)} changed {listed(run.files, 3)}"
    return drafted(
        [each.call for each in runs],
        "change",
        f"{paths.short(run.files[0])} edited with {run.command.shown}",
        subtitle=purpose(run) or fact,
        narrative=[purpose(run), fact],
        facts=[fact],
        concepts=("what-changed", "how-it-works"),
        modified=run.files,
    )


def written_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """A file whose content the command itself holds; None if it went into no file."""
    run, calls = runs[0], [each.call for each in runs]
    target = next((part.target for part in run.command.parts if part.target), "")
    lines = tuple(line for line in run.command.written.split("\n") if line.strip())
    path = paths.shown(target, run.call.cwd)
    if not path or not lines:
        return None
    change = Change(path, lines, created=True, content=run.command.written)
    return edit_draft(calls, [change])
