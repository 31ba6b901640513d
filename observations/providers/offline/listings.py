"""File contents as tools print them: with headers, line numbers and notes that are no content."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_HEADER = re.compile(r"^\[File: (.{1,400}?) \((\d+) lines total\)\]\s*$", re.MULTILINE)
_MORE = re.compile(r"^\(\d+ more lines (?:above|below)\)\s*$", re.MULTILINE)
_NUMBER = re.compile(r"[ \t]*(\d+)[:→\t|-]")
_NUMBERS = re.compile(r"\n[ \t]*\d+[:→\t|-]")
_NOISE = re.compile(
    r"^(?:File updated\. Please review|\(correct indentation, no duplicate lines).*$|"
    r"///PROCESS-DONE:\d+:PROCESS-DONE///",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Part of a file. `first` and `last` are the numbers of its first and last line and `total`
    is how many lines there are, each 0 if unknown; `path` is what the listing itself says."""

    text: str
    path: str = ""
    first: int = 0
    last: int = 0
    total: int = 0


def listing_of(output: str) -> Listing:
    """The content in a tool's output, without what the tool put around it."""
    header = _HEADER.search(output[:2000])
    body = output[header.end() :] if header else output
    body = _NOISE.sub("", body) if "///" in body or "File updated" in body else body
    if header:
        body = _MORE.sub("", body)
    body = body.strip("\n")
    lines = body.count("\n") + 1
    number = _first_number(body.split("\n", 8)[:8], bool(header))
    text = _NUMBERS.sub("\n", f"\n{body}")[1:] if number else body
    path, total = (header[1], int(header[2][:9])) if header else ("", 0)
    return Listing(text.rstrip(), path, number, number + lines - 1 if number else 0, total)


def _first_number(lines: Sequence[str], certain: bool) -> int:
    """The number of the first line if the lines are numbered, upwards, else 0."""
    sample = [_NUMBER.match(line) for line in lines[:6] if line.strip() and line != "--"]
    numbers = [int(match[1][:9]) for match in sample if match]
    if not numbers or len(numbers) < len(sample) or numbers != sorted(set(numbers)):
        return 0
    return numbers[0] if certain or len(numbers) > 1 or "→" in lines[0] else 0
