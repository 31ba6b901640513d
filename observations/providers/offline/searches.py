"""Observations of what an agent looked for, and where it was."""

import re
from collections.abc import Sequence

from observations.drafts import ObservationDraft
from observations.providers.offline import paths
from observations.providers.offline.calls import Call, list_at
from observations.providers.offline.drafting import drafted
from observations.providers.offline.listings import listing_of
from observations.providers.offline.reads import content_draft
from observations.providers.offline.wording import clip, counted, line_of, listed, quoted

_HIT = re.compile(r"^([\w.@~+/-]*[\w+-]\.?[\w]{1,8}):(?:(\d+):)?(.*)$")
_PATH = re.compile(r"^[\w.@~+/()\[\] -]*(?:/|\.\w{1,8})[\w.@~+/()\[\] -]*$")
_NAMED = re.compile(r"\bmatches for \"([^\"\n]+)\"")
_NOTHING = re.compile(r"(?:No (?:files|matches)[^\n]*|Found 0[^\n]*|0 matches[^\n]*)?\Z", re.I)


def search_draft(
    calls: Sequence[Call], pattern: str, where: str, output: str
) -> ObservationDraft | None:
    """What a search found: files, lines, or nothing. None if there is nothing to say of it."""
    named = _NAMED.search(output[:300])
    pattern = line_of(named[1] if named else pattern).strip("\"'")
    if not pattern:
        return None
    files, lines = _hits(calls[0], output)
    if files:
        return _found(calls, pattern, files, lines)
    if _NOTHING.match(output.strip()):
        return _nothing(calls, pattern, where)
    return _in_one_file(calls, pattern, where, output) if paths.kind(where) else None


def pattern_of(call: Call) -> str:
    """What a search tool was asked for."""
    return call.text("pattern", "query", "regex", "glob", "q")


def found_files(call: Call) -> tuple[str, ...]:
    """The files that a search named in its result."""
    return _hits(call, call.output)[0]


def _nothing(calls: Sequence[Call], pattern: str, where: str) -> ObservationDraft:
    place = f" in {where}" if where else ""
    return drafted(
        calls,
        "discovery",
        f"No match for {clip(pattern, 60)}{place and f' in {paths.short(where)}'}",
        subtitle=f"The search for {quoted(pattern, 80)}{place} found nothing",
        narrative=[f"A search for {quoted(pattern, 80)}{place} found nothing"],
        concepts=("how-it-works", "gotcha"),
    )


def _hits(call: Call, output: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The files that a result names, and its lines with their files."""
    listed_files = [name for name in list_at(call.answer, "filenames") if isinstance(name, str)]
    files = [paths.shown(name, call.cwd) for name in listed_files]
    lines: list[tuple[str, str]] = []
    for line in output.split("\n")[:300]:
        bare = line.strip()
        hit = _HIT.match(bare)
        if hit and ("/" in hit[1] or paths.kind(hit[1])):
            files.append(paths.shown(hit[1], call.cwd))
            lines.append((files[-1], hit[3].strip()))
        elif bare and _PATH.match(bare) and " " not in bare.strip("/"):
            files.append(paths.shown(bare, call.cwd))
    return tuple(dict.fromkeys(filter(None, files))), tuple(lines)


def _in_one_file(
    calls: Sequence[Call], pattern: str, where: str, output: str
) -> ObservationDraft | None:
    """Lines of one file: its content, told like a reading of it."""
    piece = listing_of(re.sub(r"^(\d+)[:-]", r"\1:", output, flags=re.MULTILINE))
    also = [f"The search was for {quoted(pattern, 80)}"]
    return content_draft(calls, where, piece.text, f"the lines with {quoted(pattern, 60)}", also)


def _found(
    calls: Sequence[Call], pattern: str, files: Sequence[str], lines: Sequence[tuple[str, str]]
) -> ObservationDraft:
    names = [paths.short(each) for each in files]
    shown = clip(pattern, 48)
    what = f"is in {listed(names, 3)}"
    if _is_name(pattern, files):
        what = f"is at {names[0]}"
    elif "*" in pattern and not lines:
        what = f"matches {listed(names, 3)}"
    facts = [f"{name}: {quoted(text, 140)}" for name, text in lines[:6] if text]
    return drafted(
        calls,
        "discovery",
        f"{shown} {what}",
        subtitle=f"The search for {quoted(pattern, 80)} named {counted(len(files), 'file')}",
        narrative=[f"{quoted(pattern, 80)} {what}", f"The files are {listed(list(files), 12)}"],
        facts=facts or [f"{quoted(pattern, 80)} leads to {listed(list(files), 6)}"],
        concepts=("how-it-works", "pattern"),
        read=files,
    )


def _is_name(pattern: str, files: Sequence[str]) -> bool:
    name = pattern.strip("\"'").split()[0].strip("\"'") if pattern.strip("\"' ") else ""
    return len(files) == 1 and bool(name) and files[0].endswith(name.lstrip("*"))
