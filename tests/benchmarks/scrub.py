"""What scrubbing costs: `python -m tests.benchmarks.scrub` prints CPU time, and asserts nothing.

Typical payloads are the tool results of about 4 kB among the recordings. The hostile ones are built
to make a pattern go back over what it has read; their cost per kB must not grow with their length.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from time import process_time_ns

from observations.drafts import JSON
from observations.privacy import scrub, scrub_text

RECORDINGS = Path(__file__).parent.parent / "recordings"
HOSTILE = (
    "a",
    "<",
    "<private>",
    "</private ",
    "password=",
    "password='",
    "pass: ",
    "token.",
    "--password ",
    "-----BEGIN",
    "-----BEGIN PRIVATE KEY-----'",
    "http://a:",
    "http://a:b@",
    "eyJ",
    "sk-",
    "xoxb-1-",
    "AKIA",
    "authorization: bearer ",
    "aws_key ",
    "ab-us",
    "\0",
    "\ud800",
    "${",
)


def main() -> None:
    """Print all figures."""
    payloads = typical()
    costs = [cost for payload in payloads for cost in cpu_us(partial(scrub, payload), 200)]
    print(f"typical payloads of 3-6 kB: {len(payloads)}")
    print(f"  median {median(costs):6.0f} µs   p99 {quantiles(costs, n=100)[98]:6.0f} µs")
    dirty: JSON = {"command": "cat .env", "stdout": "DB_PASSWORD=" + "hunter2\nA=b\n" * 300}
    print(f"  with a secret {median(cpu_us(lambda: scrub(dirty), 100)):6.0f} µs")
    print("hostile strings, µs per kB: cut at 16 kB   uncut 50 kB  uncut 200 kB")
    for unit in HOSTILE:
        print(f"  {unit!r:32} {per_kb(unit, 5_000_000, cut=True):12.2f}", end="")
        print("".join(f"{per_kb(unit, size, cut=False):14.2f}" for size in (50_000, 200_000)))


def typical() -> list[JSON]:
    """The recorded tool results whose JSON has 3 to 6 kB."""
    lines = (line for path in RECORDINGS.rglob("*.jsonl") for line in path.open(encoding="utf-8"))
    payloads = [json.loads(line) for line in lines if 3_000 < len(line) < 6_000]
    return [p for p in payloads if p["hook_event_name"] == "PostToolUse"]


def cpu_us(work: Callable[[], object], times: int) -> list[float]:
    """CPU microseconds of each of so many calls."""
    costs = []
    for _ in range(times):
        start = process_time_ns()
        work()
        costs.append((process_time_ns() - start) / 1_000)
    return costs


def per_kb(unit: str, size: int, *, cut: bool) -> float:
    """CPU microseconds per 1000 characters of a string that repeats `unit`."""
    text = unit * (size // len(unit))
    work = (lambda: scrub({"stdout": text})) if cut else (lambda: scrub_text(text))
    return min(cpu_us(work, 1 if cut else 2)) / (len(text) / 1_000)


if __name__ == "__main__":
    main()
