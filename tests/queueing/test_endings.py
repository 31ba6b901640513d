"""Why a server did not start, from what servers write."""

import pytest

from queueing.endings import advice_on, judge

pytestmark = pytest.mark.once

BEGAN = """\
7:M 22 Nov 2026 09:15:54.683 # WARNING Memory overcommit must be enabled!
7:M 22 Nov 2026 09:15:54.683 * Valkey version=9.1.2, bits=64, pid=7, just started
7:M 22 Nov 2026 09:15:54.718 * Server initialized
"""
READY = "7:M 22 Nov 2026 09:15:54.740 * Ready to accept connections tcp\n"
# Lines of Redis 6.2, Redis 7.0 and Valkey 9.
BAD = [
    "7:M 22 Nov 2026 09:15:54.719 # Bad file format reading the append only file: make a backup",
    "[offset 0] Checking RDB file appendonly.aof.2.base.rdb",
    "7:M 22 Nov 2026 09:15:54.719 # Can't handle RDB format version 80",
    "=== VALKEY BUG REPORT START: Cut & paste starting from here ===",
]


@pytest.mark.parametrize("line", BAD)
def test_who_ends_while_it_reads_its_data_has_damaged_data(line: str) -> None:
    assert judge(f"{BEGAN}{line}\n", "/home/ada").damaged


def test_what_it_was_refused_before_it_began_is_no_excuse() -> None:
    early = (
        "7:M 22 Nov 2026 09:15:54.600 # Server can't set maximum open files to 10032 because of "
        "OS error: Operation not permitted.\n"
    )
    assert judge(f"{early}{BEGAN}{BAD[0]}\n", "/home/ada").damaged
    assert not judge(early, "/home/ada").damaged
    assert judge(early, "/home/ada").advice


@pytest.mark.parametrize(
    "log",
    [
        "",
        "*** FATAL CONFIG FILE ERROR (Valkey 9.1.2) ***\nBad directive\n",
        f"{BEGAN}{READY}7:M 22 Nov 2026 09:16:00.000 # Out of luck\n",
        f"{BEGAN}7:signal-handler (1795338955) Received SIGTERM scheduling shutdown...\n",
        f"{BEGAN}7:M 22 Nov 2026 09:15:54.719 # Can't open the file: No space left on device\n",
        f"{BEGAN}7:M 22 Nov 2026 09:15:54.719 # Can't open the file: Permission denied\n",
    ],
)
def test_for_every_other_end_its_data_are_not_to_blame(log: str) -> None:
    assert not judge(log, "/home/ada").damaged


def test_the_last_warning_is_what_it_says() -> None:
    ending = judge(f"{BEGAN}{BAD[0]}\n[info] 0 expires\n", "/home/ada")
    assert ending.last == "Bad file format reading the append only file: make a backup"
    assert judge("hello\n\n", "/home/ada").last == "hello"
    assert judge("", "/home/ada").last == ""


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("No space left on device", "make room on the disk of /home/ada"),
        ("Disk quota exceeded", "make room on the disk of /home/ada"),
        ("Read-only file system", "make /home/ada writable"),
        ("Permission denied", "make /home/ada writable"),
        ("Cannot allocate memory", "end other programs"),
        ("Something else", ""),
    ],
)
def test_what_the_system_refuses_has_its_advice(said: str, advice: str) -> None:
    assert advice_on(f"cannot open it: {said}", "/home/ada").startswith(advice)
    assert bool(advice_on(said, "/home/ada")) == bool(advice)
