"""docs/terminal-session.md shows what somebody sees who begins with nothing.

`python -m docs.session` records it anew. What differs from one run to the next stands there in
words of its own: see `_stable`.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs import pages
from tests.postgres import on_postgresql
from tests.stack import free_port
from tests.terminal import ROOT, Terminal
from tests.waiting import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(on_postgresql(), reason="a bare home names no PostgreSQL"),
]

PAGE = ROOT / "docs" / "terminal-session.md"
COLUMNS = 80
PROMPT = "$ claudemem "
SHOWN_PORT = "38001"
# What stands on the page for what is otherwise each time.
WORDS = (
    (r"Valkey [\d.]+|Redis [\d.]+", "Valkey 9.1.2"),
    (r"(?<=program   )/.*(?=/)", "…"),
    (r"(?<=admin password  )\S{20}", "OeXD2IkbAueQdEfLALot"),
    (r"cmem_[0-9a-f]{48}", "cmem_f4d4b7c2a09e83516d2f7b1c40a95e68d37f20b4c19a8e65"),
    (rf"127\.0\.0\.1:(?!{SHOWN_PORT})\d+", "127.0.0.1:24252"),
    (r"(?<=process )\d+|(?<=PID: )\d+", "4711"),
    (r"(?<=Started: )\S+", "2026-11-22T09:00:00.000+00:00"),
    (r"\b\d+ s\b(?= ago|\))", "2 s"),
)
# A message of the upkeep that runs every second may just be on its way.
QUEUE = re.compile(r"^(upkeep +- +- +)\d", re.MULTILINE)
PROCESS = re.compile(r"^(supervisor|store|web|worker|beat)( +running) +\d+ +\d+ MB", re.MULTILINE)
PROCESSES = {
    "supervisor": (4711, 15),
    "store": (4714, 4),
    "web": (4722, 83),
    "worker": (4723, 63),
    "beat": (4724, 33),
}


class Bare:
    """A home with nothing in it, and a terminal there; no variable says anything of claudemem."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(home),
            "TERM": "xterm-256color",
        }

    def shown(self, typed: str) -> str:
        """What the terminal shows of a command that succeeds."""
        with self._run(typed) as terminal:
            assert terminal.wait(120) == 0, terminal.screen
            return terminal.screen

    def status(self) -> dict[str, Any]:
        """What a program is told of it."""
        with self._run("status --json") as terminal:
            terminal.wait()
            told: dict[str, Any] = json.loads(terminal.screen)
        return told

    def is_well(self) -> bool:
        """Whether all of it runs, and something came through each queue."""
        told = self.status()
        return bool(told["healthy"]) and told["verdict"] == "ok"

    def _run(self, typed: str) -> Terminal:
        # The port of every user's server may be taken where tests run.
        words = shlex.split(typed.replace(SHOWN_PORT, str(self.port)))
        command = [sys.executable, "-m", "claudemem", *words]
        return Terminal(command, self._environment, columns=COLUMNS)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Bare]:
    made = Bare(tmp_path)
    yield made
    made.shown("stop")


def test_the_page_shows_what_a_terminal_shows_on_a_bare_home(bare: Bare) -> None:
    told = [block.text for block in pages.blocks(PAGE, "console")]
    seen = [_seen(bare, text.splitlines()[0].removeprefix(PROMPT)) for text in told]
    if os.environ.get("CLAUDE_MEM_TEST_RECORD"):
        _record(told, seen)
    else:
        assert seen == told
    assert not [line for text in seen for line in text.splitlines() if len(line) > COLUMNS]


def test_the_page_has_the_whole_session() -> None:
    typed = [block.text.split()[2] for block in pages.blocks(PAGE, "console")]
    assert typed == ["setup", "start", "status", "stop", "uninstall"]


def _seen(bare: Bare, typed: str) -> str:
    if typed == "status":
        until(bare.is_well, 120)
    shown = bare.shown(typed)
    if typed == "stop":
        # Whatever came through the queues a moment ago.
        parts = bare.status()["checks"]
        assert {parts["workers"]["verdict"], parts["beat"]["verdict"]} == {"failed"}
        assert parts["workers"]["reason"].startswith("nothing runs here")
    return f"{PROMPT}{typed}\n{_stable(bare, shown)}"


def _stable(bare: Bare, screen: str) -> str:
    """What was shown, with the page's words for what is otherwise each time."""
    text = screen.replace(str(bare.home), "/home/ada").replace(str(bare.port), SHOWN_PORT)
    for varying, word in WORDS:
        text = re.sub(varying, word, text)
    return PROCESS.sub(_process, QUEUE.sub(r"\g<1>0", text))


def _process(line: re.Match[str]) -> str:
    pid, memory = PROCESSES[line[1]]
    return f"{line[1]}{line[2]}{pid:>11}{f'{memory} MB':>9}"


def _record(told: list[str], seen: list[str]) -> None:
    page = PAGE.read_text()
    for old, new in zip(told, seen, strict=True):
        page = page.replace(f"```console\n{old}```", f"```console\n{new}```")
    PAGE.write_text(page)
