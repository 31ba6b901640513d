"""How long an agent waits for what it is told at a hook, with much remembered. Nothing is asserted.

    python -m tests.benchmarks.tellings [--database sqlite|postgresql] [--observations 10000]

Each call is captured and answered, over HTTP, one after the other. Beside each moment stands the
same hook with nothing to ask, which is captured alone. p95 is to stay under 50 ms.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from uuid_utils import uuid7

from tests.benchmarks import corpus
from tests.benchmarks.run import DATABASES, _quantiles, database
from tests.stack import HOOK, Stack, payloads

CALLS = 150
KINDS = ("discovery",) * 12 + ("change",) * 4 + ("bugfix", "feature", "decision", "summary")
ROWS_AT_ONCE = 2000
_INSERT = """
    INSERT INTO observations_observation (id, team_id, project_id, kind, title, subtitle, narrative,
        facts, concepts, files_read, files_modified, content, parts, metadata, occurred_at,
        created_at, updated_at)
    VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, '', '{}', ?, ?, ?)"""
# Files that agents read again and again, and one that nearly every observation names.
FILES = [f"procrastinate/part_{n % 40}/module_{n}.py" for n in range(300)]
USUAL = "procrastinate/manager.py"
ERROR = "Exit code 1\nE   ModuleNotFoundError: No module named 'django'"


def main() -> None:
    """Measure each moment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--observations", type=int, default=10_000)
    given = parser.parse_args()
    print(f"{given.database}, {given.observations} observations, load {os.getloadavg()[0]:.1f}")
    with database(given.database), ExitStack() as ends:
        home = Path(tempfile.mkdtemp(prefix="claudemem-tellings-"))
        ends.callback(rmtree, home, ignore_errors=True)
        stack = Stack(home)
        ends.callback(stack.stop)
        stack.start()
        stack.make_key("bench")
        _fill(stack, given.observations)
        _table(stack)


def _fill(stack: Stack, count: int) -> None:
    for payload in payloads():
        stack.post(HOOK, payload)
    stack.wait_complete()
    ((team,),) = stack.sql(
        "SELECT team_id FROM observations_project WHERE id = ?", stack.project_id
    )
    rows = _rows(count, str(team), stack.project_id)
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        stack.change(_INSERT, chunk)
    if stack.on_postgresql:
        with closing(stack.connect()) as connection:
            connection.execute("ANALYZE")


def _rows(count: int, team: str, project: str) -> Iterator[tuple[object, ...]]:
    chance, words = random.Random(1), corpus._words()
    for n in range(count):
        text = " ".join(chance.choices(words, k=90))
        title = " ".join(chance.choices(words, k=8))
        at = f"2026-01-{1 + n * 27 // count:02d} 03:{n // 60 % 60:02d}:{n % 60:02d}.000000"
        files = json.dumps([USUAL, *chance.choices(FILES, k=2)])
        changed = json.dumps(chance.choices(FILES, k=1))
        facts = json.dumps([" ".join(chance.choices(words, k=15)) for _ in range(3)])
        concepts = json.dumps(["how-it-works"] + ["gotcha"] * (n % 9 == 0))
        yield (str(uuid7()), team, project, chance.choice(KINDS), title, text, facts, concepts,
               files, changed, f"{title}\n{text}", at, at, at)  # fmt: skip


def _table(stack: Stack) -> None:
    questions = corpus.questions(CALLS)
    moments: dict[str, Callable[[], dict[str, object]]] = {
        "nothing asked": lambda: _tool("PostToolUse", "Bash", {"command": "ls"}),
        "session start": lambda: {"hook_event_name": "SessionStart", "source": "startup"},
        "compaction": lambda: {"hook_event_name": "SessionStart", "source": "compact"},
        "prompt": lambda: _prompt(next(questions)),
        "long prompt": lambda: _prompt(" ".join(corpus.questions(12))),
        "file": lambda: _tool("PreToolUse", "Read", {"file_path": f"/x/{random.choice(FILES)}"}),
        "usual file": lambda: _tool("PreToolUse", "Read", {"file_path": f"/x/{USUAL}"}),
        "failure": lambda: {**_tool("PostToolUseFailure", "Bash", {"command": "pytest"}),
                            "error": ERROR},
    }  # fmt: skip
    print(f"  {'':16}{'p50 ms':>9}{'p95 ms':>9}{'told':>9}{'tokens':>9}")
    for name, make in moments.items():
        waits, told, size = [], 0, 0
        for _ in range(CALLS):
            body = {"session_id": str(uuid4()), "cwd": "/x", **make()}
            begun = time.perf_counter()
            answer = stack.post(HOOK, body)
            waits.append(time.perf_counter() - begun)
            text = answer.json().get("hookSpecificOutput", {}).get("additionalContext", "")
            told, size = told + bool(text), max(size, -(-len(text.encode()) // 3))
        p50, p95, _ = _quantiles(waits)
        print(f"  {name:16}{p50:>9}{p95:>9}{told:9}{size:9}", flush=True)


def _tool(event: str, tool: str, given: dict[str, object]) -> dict[str, object]:
    return {
        "hook_event_name": event, "tool_name": tool, "tool_input": given,
        "tool_use_id": str(uuid4()),
    }  # fmt: skip


def _prompt(text: str) -> dict[str, object]:
    return {"hook_event_name": "UserPromptSubmit", "prompt": text, "prompt_id": str(uuid4())}


if __name__ == "__main__":
    main()
