"""What it costs to take over a database of claude-mem, and sessions from transcripts.

Run: `python -m tests.benchmarks.importing`; exits with 1 if a count is wrong or a search finds
nothing. Each command runs in a process of its own on a SQLite database in a scratch directory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.observations import claude_mem
from tests.observations.test_transcripts import asked, came, said, used

_WORDS = ("widget17 backoff", "src/widget4711.py", "grew without an end")


@dataclass(frozen=True, slots=True)
class _Ran:
    """What a command printed, and what it took, in seconds."""

    output: str
    wall: float
    cpu: float


def main() -> int:
    """Take both over twice, and look for some of it; print what it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--observations", type=int, default=10_000)
    options.add_argument("--events", type=int, default=10_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="claudemem-import-") as folder:
        os.environ["CLAUDE_MEM_DATA_DIR"] = str(Path(folder, "data"))
        _run("migrate")
        whole = _claude_mem(Path(folder, "claude-mem.db"), given.observations)
        return 0 if _transcripts(Path(folder, "projects"), given.events) and whole else 1


def _claude_mem(file: Path, observations: int) -> bool:
    connection = claude_mem.made(file)
    claude_mem.fill(connection, observations, sessions=max(3, observations // 50))
    connection.close()
    wanted = ("taken", "known")
    whole = True
    for turn in wanted:
        ran = _run("import", "claude-mem", str(file), "--json")
        tables = json.loads(ran.output)
        whole &= all(table[turn] == table["rows"] for table in tables.values())
        rows = sum(table["rows"] for table in tables.values())
        _print(f"claude-mem, {rows} rows, {turn}", ran)
    for words in _WORDS:
        found = _run("search", words, "--project", "project-0")
        whole &= "widget" in found.output
        _print(f"search: {words}", found)
    return whole


def _transcripts(root: Path, events: int) -> bool:
    (root / "p").mkdir(parents=True)
    for number in range(max(1, events // 200)):
        _write(root / "p", number)
    first, second = (_run("import", "transcripts", str(root), "--yes") for _ in range(2))
    _print("transcripts, first", first)
    _print("transcripts, again", second)
    return "0 events of 0 sessions" in second.output


def _write(folder: Path, number: int) -> None:
    session = f"0b0e5bd4-5b1c-4f1f-9d61-{number:012}"
    lines = [asked(f"Do part {number}", 0)]
    for use in range(97):
        lines += [used("Bash", f"t{use}", 1), came(f"t{use}", f"line of {use}\n" * 200, 2)]
    lines.append(said("It is done.", 3))
    with (folder / f"{session}.jsonl").open("w") as file:
        file.writelines(json.dumps({**line, "sessionId": session}) + "\n" for line in lines)


def _run(*arguments: str) -> _Ran:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "claudemem", *arguments], capture_output=True, text=True, check=False
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    if done.returncode:
        sys.exit(f"claudemem {' '.join(arguments)} failed: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Ran(done.stdout, wall, cpu)


def _print(what: str, ran: _Ran) -> None:
    print(f"{what:45} {ran.wall:7.2f} s, {ran.cpu:6.2f} s CPU", flush=True)


if __name__ == "__main__":
    sys.exit(main())
