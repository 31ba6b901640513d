"""Which calls of a batch belong together: the decision behind fewer, better observations."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from observations.providers.offline.calls import Call
from observations.providers.offline.changes import Change, changes_in_diff, changes_of
from observations.providers.offline.reads import listing_in, path_read
from observations.providers.offline.runs import Run, run_of, verifies
from observations.providers.offline.searches import found_files
from observations.providers.offline.wording import words_of

_MOST = 8  # calls in a group of edits; readings and repetitions are bounded by it too
_FAMILIES = (
    ("plan", re.compile(r"todo|plan", re.I)),
    ("question", re.compile(r"ask_?user|question", re.I)),
    ("edit", re.compile(r"edit|write|replace|patch|insert|create_file|notebookedit", re.I)),
    ("web", re.compile(r"web|fetch|browse|http", re.I)),
    ("read", re.compile(r"(?:^|_)(?:read|view|open|cat)(?:_?file|_?files|_?notebook)?$", re.I)),
    ("search", re.compile(r"grep|glob|search|find|^ls$", re.I)),
    ("shell", re.compile(r"bash|shell|terminal|command|^exec|powershell", re.I)),
    ("report", re.compile(r"^(?:task|agent|subagent)$", re.I)),
)
_SILENT = words_of(
    "pretooluse sessionstart sessionend userpromptsubmit user_prompt stop precompact "
    "notification setup permissionrequest session_start session_end prompt"
)


@dataclass(slots=True)
class Group:
    """Calls that make one observation. `paths` are the files that they are about.

    A closed group takes no more calls. `earlier` is the same command as its run, before its edits.
    """

    family: str
    calls: list[Call]
    paths: set[str] = field(default_factory=set)
    changes: list[Change] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    earlier: Run | None = None
    closed: bool = False


def family_of(call: Call) -> str:
    """The kind of thing that a call is: "edit", "read", …, "tool", "note", or "" for silence."""
    event = call.event.event_type.lower()
    if event in _SILENT:
        return ""
    if not call.tool:
        return "report" if event in ("subagentstop", "assistant_message") else "note"
    last = call.tool.rpartition("__")[2]
    if "edit" in last and call.given.get("command") == "view":
        return "read"
    return next((family for family, words in _FAMILIES if words.search(last)), "tool")


def grouped(calls: Sequence[Call]) -> tuple[Group, ...]:
    """The calls in groups, in the order in which the groups began; none is in more than two."""
    groups: list[Group] = []
    for call in calls:
        family = family_of(call)
        if family == "edit":
            _join_edit(groups, call)
        elif family == "read":
            _join_read(groups, call)
        elif family == "shell":
            _join_run(groups, call)
        elif family:
            groups.append(
                Group(family, [call], set(found_files(call)) if family == "search" else set())
            )
    return tuple(groups)


def _join_edit(groups: list[Group], call: Call) -> None:
    changes = changes_of(call)
    names = {each.path for each in changes}
    if not changes:
        return
    open_one = next((g for g in reversed(groups) if _takes(g, "edit", names)), None)
    if open_one is None:
        groups.append(open_one := Group("edit", [], names))
    open_one.calls.append(call)
    open_one.changes.extend(changes)


def _join_read(groups: list[Group], call: Call) -> None:
    path = path_read(call, listing_in(call))
    for group in reversed(groups[-4:]):
        searched = group.family == "search" and len(group.paths) == 1
        if _takes(group, "read", {path}) or (searched and _same(group.paths, {path})):
            group.family = "read"
            group.calls.append(call)
            return
    groups.append(Group("read", [call], {path}))


def _join_run(groups: list[Group], call: Call) -> None:
    run = run_of(call)
    if run.command.family == "submit" and _join_submission(groups, run):
        return
    last = groups[-1] if groups else None
    if last and last.family == "shell" and _repeats(last.runs[-1], run):
        last.calls.append(call)
        last.runs.append(run)
        return
    edited = next((g for g in reversed(groups) if g.family == "edit" and not g.closed), None)
    if edited and verifies(run):
        earlier = _earlier(groups, run, edited)
        if earlier or _belongs(run, edited):
            edited.calls += [call, *([earlier.call] if earlier else [])]
            edited.earlier = earlier
            edited.runs.append(run)
            for group in groups:
                group.closed |= group.family == "edit"
            return
    groups.append(Group("shell", [call], set(run.files), runs=[run]))


def _earlier(groups: Sequence[Group], run: Run, edited: Group) -> Run | None:
    """The last run of the same command before the edits that this run comes after."""
    before = groups[: groups.index(edited)]
    runs = (each for group in reversed(before) for each in reversed(group.runs))
    return next((each for each in runs if each.command.text == run.command.text), None)


def _join_submission(groups: list[Group], run: Run) -> bool:
    """A submission joins the edits that it hands in, or the command that found its answer."""
    changes = changes_in_diff(run.call.output)
    if changes:
        names = {each.path for each in changes}
        for group in reversed(groups):
            if group.family == "edit" and _same(group.paths, names) and len(names) == 1:
                group.calls.append(run.call)
                group.changes.extend(changes)
                return True
        return False
    answer = " ".join(run.command.main.words[1:])
    for group in reversed(groups if not run.outcome.failed else []):
        if any(answer in each.outcome.found for each in group.runs):
            group.calls.append(run.call)
            group.runs.append(run)
            return True
    return False


def _takes(group: Group, family: str, names: Iterable[str]) -> bool:
    open_one = group.family == family and not group.closed and len(group.calls) < _MOST
    return open_one and _same(group.paths, names)


def _same(some: Iterable[str], others: Iterable[str]) -> bool:
    """Whether a file is in both; one may be named from a root that the other does not tell."""
    pairs = ((a, b) for a in some for b in others if a and b)
    return any(a == b or a.endswith(f"/{b}") or b.endswith(f"/{a}") for a, b in pairs)


def _repeats(earlier: Run, run: Run) -> bool:
    """Whether a command said again what the same program had said just before."""
    if earlier.command.program != run.command.program or not run.call.output.strip():
        return earlier.command.text == run.command.text and earlier.call.output == run.call.output
    return earlier.call.output == run.call.output and earlier.call.failed == run.call.failed


def _belongs(run: Run, group: Group) -> bool:
    """Whether a run shows something of the group's edits.

    It does if it works on their files, if tests pass, or if its error comes from them.
    """
    if _same(group.paths, run.files) or _same(group.paths, run.command.files):
        return True
    if run.outcome.failed:
        raised = (frame.split("|", 1)[0].rpartition(":")[0] for frame in run.outcome.frames)
        return _same(group.paths, raised)
    return run.command.family == "test"
