"""What the client imports: each module costs an agent time at every hook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hooks import AWAY, Hooks, answering, tool_call, words
from tests.stack import ROOT, environment

pytestmark = pytest.mark.once

# What it names itself, and what nothing else of the standard library brings.
NAMED = {"sys", "os", "json", "socket", "time", "signal", "_thread"}
HEAVY = {
    "ssl", "http", "urllib", "email", "typing", "dataclasses", "inspect", "contextlib", "pathlib",
    "threading", "logging", "hashlib", "tempfile", "subprocess", "asyncio", "argparse", "site",
}  # fmt: skip
LISTING = (
    "import os, sys\n"
    "end = os._exit\n"
    "def tell(code):\n"
    "    os.write(2, '\\n'.join(sorted(sys.modules)).encode())\n"
    "    end(code)\n"
    "os._exit = tell\n"
)


def imported(hooks: Hooks) -> set[str]:
    """The modules that were imported when it ended."""
    python, *how, patient, door, agent, folder = words(hooks.folder)
    ended = subprocess.run(
        [python, *how, LISTING + patient, door, agent, folder], input=json.dumps(tool_call(1)),
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    return set(ended.stderr.split())


def test_what_is_sent_needs_a_few_modules_of_the_standard_library(tmp_path: Path) -> None:
    with answering() as server:
        found = imported(Hooks(tmp_path / "client", server.url))
    assert server.bodies == [tool_call(1)]
    top = {name.partition(".")[0] for name in found}

    assert found >= NAMED
    assert not top & HEAVY
    assert top - {"__main__", "claudemem"} <= sys.stdlib_module_names
    assert {name for name in found if name.startswith("claudemem")} == {
        "claudemem", "claudemem.hook", *(f"claudemem.hook.{name}" for name in (
            "call", "client", "deadline", "incoming", "link", "locks", "log", "manners", "spool",
            "target", "told", "verdict")),
    }  # fmt: skip


def test_what_waits_needs_little_more(tmp_path: Path) -> None:
    hooks = Hooks(tmp_path / "client", AWAY)
    found = imported(hooks)

    assert not {name.partition(".")[0] for name in found} & HEAVY
    assert hooks.waiting() == [tool_call(1)]


def test_nothing_of_a_project_or_of_the_environment_is_imported(tmp_path: Path) -> None:
    for name in ("json", "socket", "site", "sitecustomize", "claudemem", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    with answering() as server:
        hooks = Hooks(tmp_path / "client", server.url)
        running = hooks.start(
            variables={"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path)}, cwd=tmp_path
        )
        assert hooks.told(running, tool_call(1)).complained == ""
    assert server.bodies == [tool_call(1)]


def test_it_runs_from_where_a_wheel_puts_it(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    (packages / "claudemem").mkdir(parents=True)
    (packages / "claudemem" / "__init__.py").write_text("")
    copied = packages / "claudemem" / "hook"
    copied.mkdir()
    for file in (ROOT / "claudemem" / "hook").glob("*.py"):
        (copied / file.name).write_bytes(file.read_bytes())
    hooks = Hooks(tmp_path / "client", AWAY)
    run = words(hooks.folder)
    run[run.index(str(ROOT / "claudemem/hook/__main__.py"))] = str(copied / "__main__.py")
    ran = subprocess.run(
        run, input=json.dumps(tool_call(1)), capture_output=True, text=True, cwd="/",
        env=environment(), check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    assert hooks.waiting() == [tool_call(1)]


def test_an_installation_that_lost_a_file_ends_well_and_says_so(tmp_path: Path) -> None:
    packages = tmp_path / "claudemem" / "hook"
    packages.mkdir(parents=True)
    door = packages / "__main__.py"
    door.write_bytes((ROOT / "claudemem" / "hook" / "__main__.py").read_bytes())
    hooks = Hooks(tmp_path / "client")
    for arguments in (["claude-code", str(hooks.folder)], ["claude-code"], []):
        ran = subprocess.run(
            [sys.executable, "-I", "-S", str(door), *arguments], input="{}", capture_output=True,
            text=True, env=environment(), check=False,
        )  # fmt: skip
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert "the hook client failed: ImportError" in hooks.log
