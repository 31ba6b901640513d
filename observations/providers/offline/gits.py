"""Observations of what an agent asked git, and of what it committed."""

import re
from collections.abc import Sequence

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.calls import Call
from observations.providers.offline.changes import changes_in_diff
from observations.providers.offline.drafting import drafted
from observations.providers.offline.edits import edit_draft
from observations.providers.offline.runs import Run
from observations.providers.offline.wording import clip, counted, line_of, listed, quoted

_COMMIT = re.compile(r"^\[([\w/.-]+)(?: \(root-commit\))? ([0-9a-f]{7,40})\] (.+)$", re.MULTILINE)
_LOG = re.compile(r"^(?:[*|/\\ ]*)([0-9a-f]{7,40})(?: \([^)\n]*\))? (\S.*)$", re.MULTILINE)
_LOG_LONG = re.compile(r"^commit ([0-9a-f]{7,40}).*\n(?:.+\n)*\n\s+(\S.*)$", re.MULTILINE)
_STAT = re.compile(r"^ (\S.*?)\s+\|\s+(\d+|Bin)", re.MULTILINE)
_STATUS = re.compile(r"^\s?(M|A|D|R|C|U|\?\?|MM|AM)\s{1,2}(\S.*)$", re.MULTILINE)
_TOTAL = re.compile(r"^ (\d+ files? changed.*)$", re.MULTILINE)
_KINDS = (
    (
        "bugfix",
        re.compile(r"^(?:fix|bugfix|hotfix)\b|\bfix(?:es|ed)?\b|\bbug\b|\bregression\b", re.I),
    ),
    (
        "refactor",
        re.compile(
            r"^(?:refactor|perf|style|cleanup)\b|\b(?:refactor|rename|simplif|clean up|move)", re.I
        ),
    ),
    (
        "feature",
        re.compile(r"^(?:feat|feature)\b|^(?:add|implement|support|introduce|allow)\b", re.I),
    ),
)
_STATES = {"??": "new", "A": "added", "AM": "added", "D": "deleted", "R": "renamed"}


def git_draft(runs: Sequence[Run]) -> ObservationDraft | None:
    """What git did or showed; None for what leaves no trace worth keeping."""
    run, calls = runs[0], [each.call for each in runs]
    output, words = run.call.output, _subcommands(run)
    if commit := _COMMIT.search(output):
        return _committed(calls, commit, output)
    if "@@ -" in output and (changes := changes_in_diff(output)):
        return edit_draft(
            calls, changes, title=f"Diff of {_where(run)}" if len(changes) > 1 else ""
        )
    if _STAT.search(output) or (words & {"status", "diff"} and _STATUS.search(output)):
        return _tree(calls, run)
    if commits := _LOG.findall(output) or _LOG_LONG.findall(output):
        return _history(calls, run, commits)
    if not output.strip():
        return _clean(calls, run) if words & {"diff", "status"} else None
    return None


def kind_of_message(message: str) -> str:
    """The type of observation that a commit message speaks of."""
    return next((kind for kind, words in _KINDS if words.search(message)), "change")


def _subcommands(run: Run) -> set[str]:
    parts = (part.words for part in run.command.parts if part.program == "git")
    return {next((w for w in words[1:] if not w.startswith("-")), "") for words in parts}


def _where(run: Run) -> str:
    return listed(run.files, 3) or "the working tree"


def _committed(calls: Sequence[Call], commit: re.Match[str], output: str) -> ObservationDraft:
    branch, number, message = commit.groups()
    total = _TOTAL.search(output)
    kind = kind_of_message(message)
    facts = [f"Commit {number} on {branch}: {quoted(message, 160)}"]
    if total:
        facts.append(f"Commit {number}: {line_of(total[1])}")
    return drafted(
        calls,
        kind,
        f"Committed {number}: {message}",
        subtitle=facts[-1],
        narrative=[*facts, *_body(calls[0], message)],
        facts=facts,
        concepts=("what-changed", "problem-solution" if kind == "bugfix" else "why-it-exists"),
        modified=[paths.shown(name) for name, _ in _STAT.findall(output)],
    )


def _body(call: Call, message: str) -> list[str]:
    """The rest of the commit message, as the command gives it."""
    command = call.text("command")
    start = command.find(message)
    rest = command[start + len(message) : start + 1200] if start >= 0 else ""
    return [
        line_of(line).rstrip("\"'")
        for line in rest.split("\n")[1:8]
        if re.match(r"\s*[-*A-Za-z]", line)
    ]


def _tree(calls: Sequence[Call], run: Run) -> ObservationDraft:
    output = run.call.output
    stats = dict(_STAT.findall(output))
    states = {
        name: _STATES.get(state.strip(), "changed") for state, name in _STATUS.findall(output)
    }
    names = list(dict.fromkeys((*stats, *states)))
    facts = [
        f"{name} has {counted(int(size), 'changed line')}"
        for name, size in stats.items()
        if size != "Bin"
    ]
    facts += [
        f"{name} is {state}, not committed" for name, state in states.items() if name not in stats
    ]
    new = [name for name, state in states.items() if state == "new"]
    total = _TOTAL.search(output)
    return drafted(
        calls,
        "discovery",
        f"Uncommitted in the working tree: {listed([paths.short(n) for n in names], 3)}",
        subtitle=line_of(total[1])
        if total
        else f"{counted(len(names), 'file')} differ from the last commit",
        narrative=[
            f"{quoted(run.command.shown)} shows what is not committed",
            *facts,
            f"New files are {listed(new, 6)}" if new else "",
        ],
        facts=facts,
        concepts=("what-changed", "how-it-works"),
        read=names,
    )


def _history(
    calls: Sequence[Call], run: Run, commits: Sequence[tuple[str, str]]
) -> ObservationDraft:
    latest = commits[0][1]
    return drafted(
        calls,
        "discovery",
        f"History of {_subject(run)}: {clip(latest, 60)}",
        subtitle=f"The newest of {counted(len(commits), 'commit')} shown: {latest}",
        narrative=[
            f"{quoted(run.command.shown)} lists {counted(len(commits), 'commit')}",
            *(message for _, message in commits[:8]),
        ],
        facts=[f"Commit {number}: {quoted(message, 160)}" for number, message in commits[:6]],
        concepts=("what-changed", "why-it-exists"),
        read=run.files,
    )


def _subject(run: Run) -> str:
    return listed([paths.short(name) for name in run.files], 2) or "the repository"


def _clean(calls: Sequence[Call], run: Run) -> ObservationDraft:
    fact = f"{quoted(run.command.shown)} showed no difference"
    return drafted(
        calls,
        "discovery",
        f"{run.command.shown} shows no change",
        subtitle=fact,
        narrative=[fact],
        facts=[fact],
        concepts=("what-changed", "gotcha"),
    )
