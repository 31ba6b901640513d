"""Transcripts on the disk: found below the agent's own directory, read line by line.

Nothing that a client says names a file here: files are found by their place, and links are not
followed.
"""

import heapq
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from observations.drafts import JSON
from observations.transcripts import Counts, Reader, ended, started

# Longer lines are left out. What a tool showed is cut far below that at the door.
LONGEST_LINE = 32 * 1024 * 1024
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AGENT = "agent-"
# An agent's file says in its first lines whose it is.
_LOOKED_AT = 65_536
_NAMED = re.compile(rb'"sessionId"\s*:\s*"([^"\\]{1,200})"')


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session's files, its own before its subagents', each with the bytes that it had.

    `changed`: when something was written into one last, in seconds since 1970.
    """

    session_id: str
    files: tuple[tuple[Path, int], ...]
    changed: float

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.files)


def found(root: Path) -> list[Transcript]:
    """The transcripts below `root`, that of the oldest file first. Raises OSError."""
    groups: dict[str, list[tuple[Path, int, float]]] = {}
    for path in _below(root.resolve(strict=True)):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and (session := _session_of(path)):
            groups.setdefault(session, []).append((path, status.st_size, status.st_mtime))
    oldest = sorted(groups.items(), key=lambda each: min(time for *_, time in each[1]))
    return [_transcript(session, files) for session, files in oldest]


def of_session(root: Path, session_id: str) -> Transcript | None:
    """The transcript of the session that its agent calls so, if there is one below `root`."""
    if not _ID.fullmatch(session_id) or not root.is_dir():
        return None
    base = root.resolve()
    mains = base.glob(f"*/{session_id}.jsonl")
    agents = base.glob(f"*/{session_id}/subagents/{_AGENT}*.jsonl")
    files = [
        (path, status.st_size, status.st_mtime)
        for path in (*mains, *agents)
        if path.resolve() == path and stat.S_ISREG((status := path.lstat()).st_mode)
    ]
    return _transcript(session_id, files) if files else None


@dataclass(slots=True)
class Reading:
    """One reading of a transcript. `uses`: see `Reader`; complete once all was read.

    `quiet` are the seconds after whose silence a session has ended; `now` is seconds since 1970.
    """

    transcript: Transcript
    quiet: float
    now: float = field(default_factory=time.time)
    counts: Counts = field(default_factory=Counts)
    uses: set[str] = field(default_factory=set)
    entrypoint: str = ""

    def payloads(self) -> Iterator[dict[str, JSON]]:
        """What hooks would have told, in the order of time; the end only of what has ended.

        Raises OSError for a file that cannot be read.
        """
        files = [self._file(path, size) for path, size in self.transcript.files]
        last: dict[str, JSON] | None = None
        for payload in heapq.merge(*files, key=_when):
            if last is None:
                yield started(payload)
            last = payload if "agent_id" not in payload or last is None else last
            yield payload
        if last is not None and self._is_over(_when(last)):
            yield ended(last)

    def _is_over(self, at: float) -> bool:
        return self.now - at > self.quiet

    def _file(self, path: Path, size: int) -> Iterator[dict[str, JSON]]:
        reader = Reader(
            session_id=self.transcript.session_id,
            transcript_path=str(path),
            of_agent=path.name.startswith(_AGENT),
            counts=self.counts,
            uses=self.uses,
        )
        for line in lines(path, size):
            told = list(reader.read(line))
            self.entrypoint = self.entrypoint or reader.entrypoint
            yield from told
        yield from reader.close(finished=self._is_over(reader.last_at))


def lines(path: Path, size: int) -> Iterator[bytes]:
    """The lines of the first `size` bytes; in the place of one that is too long, none at all."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        while file.tell() < size:
            line = file.readline(LONGEST_LINE)
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                _skip_line(file)
                line = b"too long"
            # A line that is being written has no end yet.
            if line.endswith(b"\n") or _is_whole(line) or line == b"too long":
                yield line
            if not line:
                return


def _skip_line(file: object) -> None:
    while (part := file.readline(LONGEST_LINE)) and not part.endswith(b"\n"):  # type: ignore[attr-defined]
        pass


def _is_whole(line: bytes) -> bool:
    return line.rstrip().endswith(b"}")


def _when(payload: dict[str, JSON]) -> float:
    at = payload["timestamp"]
    return at if isinstance(at, float) else 0.0


def _below(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".jsonl"))


def _session_of(path: Path) -> str:
    """The session that a file tells of: by its name, its folder's, or what it says."""
    if not path.name.startswith(_AGENT) and _ID.fullmatch(path.stem):
        return path.stem
    if path.parent.name == "subagents" and _ID.fullmatch(path.parent.parent.name):
        return path.parent.parent.name
    with path.open("rb") as file:
        named = _NAMED.search(file.read(_LOOKED_AT))
    return named[1].decode(errors="replace") if named else ""


def _transcript(session_id: str, files: list[tuple[Path, int, float]]) -> Transcript:
    ordered = sorted(files, key=lambda file: (file[0].name.startswith(_AGENT), str(file[0])))
    changed = max(time for *_, time in files)
    return Transcript(session_id, tuple((path, size) for path, size, _ in ordered), changed)
