"""How a process ends that is told to, whichever of its threads the system has the signal in."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.stack import ROOT

pytestmark = pytest.mark.once

# The main thread waits for ever; another one gets the signals whose names it reads.
PROGRAM = """
import signal, sys, threading
from claudemem import ending

def stop(order):
    print("told", order.number, flush=True)
    print("hurry", order.wait(60), flush=True)
    if {ends}:
        done.set()

def take():
    for name in sys.stdin:
        signal.pthread_kill(threading.get_ident(), getattr(signal, name.strip()))

done = threading.Event()
ending.by_signal(stop, grace=60, retires=True)
threading.Thread(target=take, daemon=True).start()
done.wait()
print("ended", flush=True)
"""


@contextmanager
def waiting(*, ends: bool = True) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", PROGRAM.replace("{ends}", str(ends))]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        watch = threading.Timer(60, process.kill)  # one that hangs says nothing more
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


def send(process: subprocess.Popen[str], name: str) -> None:
    assert process.stdin
    process.stdin.write(f"{name}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_process_ends_though_another_thread_than_the_one_that_waits_got_the_signal(
    name: str,
) -> None:
    with waiting() as process:
        send(process, name)
        assert hear(process) == f"told {getattr(signal, name)}"
        send(process, "SIGTERM" if name == "SIGUSR1" else "SIGUSR1")
        assert hear(process) == "hurry True"
        assert hear(process) == "ended"
        assert process.wait(60) == 0


def test_a_second_signal_to_stop_ends_a_process_that_does_not_come_to_an_end() -> None:
    with waiting(ends=False) as process:
        send(process, "SIGTERM")
        assert hear(process) == f"told {signal.SIGTERM}"
        send(process, "SIGINT")
        assert process.wait(60) == 1
