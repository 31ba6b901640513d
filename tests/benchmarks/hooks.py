"""What a hook costs: the command client beside a bare interpreter, and a hook of type `http`.

    python -m tests.benchmarks.hooks [--times 50] [--database sqlite|postgresql]

Each way in turn, so that all meet the same machine. Nothing is asserted.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

from claudemem.hook import command
from tests.benchmarks.run import DATABASES, database
from tests.hooks import AWAY, Hooks
from tests.stack import HOOK, Stack, environment, payloads

BARE = "python -c pass"


@dataclass(slots=True)
class Costs:
    """Seconds of the processor and of the clock, of each time."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def main() -> None:
    """Measure against a server of its own, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    given = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="claudemem-hooks-"))
    try:
        with database(given.database):
            stack = Stack(home)
            try:
                stack.start()
                stack.make_key("bench")
                stack.replay()
                stack.wait_worked()
                _measure(stack, given.times)
            finally:
                stack.stop()
    finally:
        rmtree(home, ignore_errors=True)


def _measure(stack: Stack, times: int) -> None:
    print(
        f"{os.cpu_count()} shared cores, load {os.getloadavg()[0]:.1f}; {times} times each, in ms"
    )
    near = Hooks(stack.home / "near", stack.url, stack.key)
    away = Hooks(stack.home / "away", AWAY, stack.key)
    call = next(each for each in payloads() if each["hook_event_name"] == "PostToolUse")
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        BARE: lambda: _process([sys.executable, "-c", "pass"], b""),
        "python -I -S -c pass": lambda: _process([sys.executable, "-I", "-S", "-c", "pass"], b""),
        "client, a capture": lambda: _client(near, _capture(call)),
        "client, context of a prompt": lambda: _client(near, _prompt(call)),
        "client, context of a session": lambda: _client(near, _session(call)),
        "client, server away": lambda: _client(away, _capture(call)),
        "http hook, a capture": lambda: _posted(stack, _capture(call)),
        "http hook, context of a prompt": lambda: _posted(stack, _prompt(call)),
        "http hook, context of a session": lambda: _posted(stack, _session(call)),
    }
    found = {way: Costs() for way in ways}
    for _ in range(times):
        for way, measure in ways.items():
            cpu, wall = measure()
            found[way].cpu.append(cpu)
            found[way].wall.append(wall)
    _print(found)


def _print(found: dict[str, Costs]) -> None:
    print(f"\n  {'':34} CPU p50   p95  over bare   wall p50    p95")
    bare = statistics.median(found[BARE].cpu)
    for way, costs in found.items():
        p50, p95 = _quantiles(costs.wall)
        cpu = "                       "
        if any(costs.cpu):
            half, most = _quantiles(costs.cpu)
            cpu = f"{half:7.1f} {most:5.1f} {half - bare * 1000:+10.1f}"
        print(f"  {way:34} {cpu} {p50:10.1f} {p95:6.1f}")


def _quantiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100)
    return cuts[49] * 1000, cuts[94] * 1000


def _capture(call: dict[str, Any]) -> bytes:
    return json.dumps({**call, "tool_use_id": uuid4().hex}).encode()


def _prompt(call: dict[str, Any]) -> bytes:
    said = {"hook_event_name": "UserPromptSubmit", "prompt": "how are retries delayed?"}
    return json.dumps({**_place(call), **said, "prompt_id": uuid4().hex}).encode()


def _session(call: dict[str, Any]) -> bytes:
    said = {"hook_event_name": "SessionStart", "source": "startup"}
    return json.dumps({**_place(call), **said, "session_id": uuid4().hex}).encode()


def _place(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("session_id", "cwd")}


def _client(hooks: Hooks, payload: bytes) -> tuple[float, float]:
    return _process(command.words("claude-code", str(hooks.folder)), payload)


def _process(words: list[str], payload: bytes) -> tuple[float, float]:
    """The processor and wall time of a process, from its start until it has ended."""
    started = time.perf_counter()
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdin
        process.stdin.write(payload)
        process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, wall


def _posted(stack: Stack, payload: bytes) -> tuple[float, float]:
    """The wall time of a hook over a connection of its own; an agent has the processor's."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    said = {"Authorization": f"Bearer {stack.key}", "Content-Type": "application/json"}
    connection.request("POST", HOOK, payload, said)
    answer = connection.getresponse()
    answer.read()
    wall = time.perf_counter() - started
    connection.close()
    assert answer.status == 200, answer.status
    return 0.0, wall


if __name__ == "__main__":
    main()
