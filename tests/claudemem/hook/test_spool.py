"""The spool: what is in it, whatever is killed, full or broken."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from claudemem.hook import locks, spool
from claudemem.hook.call import Call, understood
from claudemem.hook.flush import Flush
from claudemem.hook.link import Answer, Away
from claudemem.hook.log import Log
from claudemem.hook.spool import Full, Reading, Spool
from tests.hooks import tool_call
from tests.stack import ROOT, environment

pytestmark = pytest.mark.once


class Sent:
    """A connection to a server that takes what `reply` says it takes."""

    def __init__(self, reply: Callable[[Any], int] = lambda _: 200) -> None:
        self.bodies: list[Any] = []
        self.ids: list[str] = []
        self._reply = reply

    def post(self, agent: str, headers: dict[str, str], body: bytes, until: float) -> Answer:
        said = json.loads(body)
        status = self._reply(said)
        if status == 0:
            raise Away("it is away")
        self.bodies.append(said)
        self.ids.append(headers["X-Claude-Mem-Delivery"])
        return Answer(status, b"{}")


def made(payload: dict[str, Any]) -> Call:
    return understood("claude-code", json.dumps(payload, indent=2).encode())


@pytest.fixture
def kept(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "spool"), time.monotonic() + 60)


def fill(kept: Spool, *numbers: int) -> None:
    for number in numbers:
        kept.add(made(tool_call(number)))


def flush(kept: Spool, reply: Callable[[Any], int] = lambda _: 200) -> Sent:
    """Send what waits to a server that answers as `reply` says; 0 is no answer at all."""
    link, log = Sent(reply), Log(os.path.dirname(kept.path), "claude-code")
    with suppress(Away):
        Flush(kept, link, log, time.monotonic() + 60).run()  # type: ignore[arg-type]
    return link


def flushed(kept: Spool, reply: Callable[[Any], int] = lambda _: 200) -> list[int]:
    """The numbers of the payloads that were taken, in order."""
    return [int(body["tool_use_id"].rpartition("-")[2]) for body in flush(kept, reply).bodies]


def log_of(kept: Spool) -> str:
    path = Path(kept.path).with_name("hook.log")
    return path.read_text() if path.exists() else ""


def test_what_is_added_is_sent_in_order_and_the_file_is_empty_then(kept: Spool) -> None:
    fill(kept, 1, 2, 3)
    assert kept.waits()
    assert flushed(kept) == [1, 2, 3]
    assert not kept.waits()
    fill(kept, 4)
    assert flushed(kept) == [4]


def test_a_flush_that_is_cut_short_goes_on_where_it_was(kept: Spool) -> None:
    fill(kept, *range(5))
    assert flushed(kept, lambda body: 0 if body["tool_use_id"] == "s-1-3" else 200) == [0, 1, 2]
    fill(kept, 5)
    assert flushed(kept) == [3, 4, 5]


def test_whether_a_session_waits_is_asked_of_what_was_not_sent(kept: Spool) -> None:
    kept.add(made(tool_call(1, session='first "one"')))
    kept.add(made(tool_call(2, session="second")))
    assert kept.has('first "one"')
    assert not kept.has("first")
    flushed(kept, lambda body: 0 if body["session_id"] == "second" else 200)
    assert not kept.has('first "one"')
    assert kept.has("second")


def test_two_do_not_send_at_once(kept: Spool) -> None:
    fill(kept, 1, 2)
    with Reading(kept):
        assert flushed(kept) == []
        fill(kept, 3)
    assert flushed(kept) == [1, 2, 3]


def test_who_cannot_add_in_time_says_so(kept: Spool) -> None:
    fill(kept, 1)
    late = Spool(kept.path, time.monotonic())
    with locks.Held(kept.path, os.O_RDWR, 0.0), pytest.raises(locks.Busy):
        late.add(made(tool_call(2)))


def test_what_is_added_while_the_file_is_replaced_is_in_the_one_that_is_there(kept: Spool) -> None:
    fill(kept, 1)
    adding = threading.Thread(target=fill, args=(kept, 2))
    with locks.Held(kept.path, os.O_RDWR, 0.0):
        adding.start()
        # It has opened the file, or opens the other one at once.
        adding.join(0.05)
        shutil.copy(kept.path, f"{kept.path}.next")
        os.rename(f"{kept.path}.next", kept.path)
    adding.join()
    assert flushed(kept) == [1, 2]


def test_a_full_spool_refuses_the_newest(kept: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(kept, 1, 2)
    monkeypatch.setattr(spool, "MOST", os.stat(kept.path).st_size + 100)
    with pytest.raises(Full):
        fill(kept, 3)
    assert flushed(kept) == [1, 2]
    fill(kept, 3)


def test_what_was_sent_makes_room(kept: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "x" * 300_000
    for number in range(8):
        kept.add(made(tool_call(number, text=text)))
    size = os.stat(kept.path).st_size
    assert len(flushed(kept, lambda body: 0 if body["tool_use_id"] == "s-1-5" else 200)) == 5
    # A second look at what was sent, with nothing to send it to.
    flushed(kept, lambda _: 503)
    assert os.stat(kept.path).st_size < size / 2
    assert os.stat(kept.path).st_mode & 0o777 == 0o600
    assert not Path(f"{kept.path}.next").exists()
    assert flushed(kept) == [5, 6, 7]


def test_a_spool_that_others_could_read_is_closed_to_them(kept: Spool) -> None:
    fill(kept, 1)
    Path(kept.path).chmod(0o644)
    fill(kept, 2)
    assert os.stat(kept.path).st_mode & 0o777 == 0o600


def test_half_a_copy_of_who_was_killed_is_taken_away(kept: Spool, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    fill(kept, 1)
    Path(kept.beside).symlink_to(other)
    assert flushed(kept) == [1]
    assert not os.path.lexists(kept.beside)
    assert other.read_bytes() == b"precious"


HALF = b'{"agent": "claude-code", "session": "s", "headers": {}, "sum": 20, "payload": {"a": 1'
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half a line at its end": lambda whole: whole + b"\n" + HALF,
    "half a line in the middle": lambda whole: whole.replace(b"\n\n", b"\n" + HALF + b"\n\n", 1),
    "garbage": lambda whole: whole + b"\n" + random.Random(7).randbytes(5000).replace(b"\n", b""),
    "zeros at its end": lambda whole: whole + b"\0" * 4096,
    "no first line": lambda whole: whole.partition(b"\n")[2],
    "another first line": lambda whole: b"# my notes\n" + whole.partition(b"\n")[2],
    "a mark in the middle of a line": lambda whole: whole.replace(b"000000000032", b"000000000099"),
    "a mark behind its end": lambda whole: whole.replace(b"000000000032", b"000000999999"),
    "a mark that is no number": lambda whole: whole.replace(b"000000000032", b"00000000\0\0\0\0"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_broken_file_what_can_be_read_is_sent(kept: Spool, damage: str) -> None:
    fill(kept, 1, 2, 3)
    path = Path(kept.path)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    fill(kept, 4)

    assert flushed(kept) == [1, 2, 3, 4]
    assert path.read_bytes() == b""
    aside = Path(kept.aside)
    if damage.startswith("a mark"):
        assert not aside.exists()
    elif damage != "no first line":
        assert aside.stat().st_mode & 0o777 == 0o600
        assert f"cannot be sent: put aside in {aside}" in log_of(kept)


def test_a_line_cut_off_by_a_full_disk_costs_itself_alone(kept: Spool) -> None:
    fill(kept, 1, 2, 3)
    path = Path(kept.path)
    path.write_bytes(path.read_bytes()[:-40])
    fill(kept, 4)

    assert flushed(kept) == [1, 2, 4]
    assert Path(kept.aside).read_bytes().startswith(b'{"agent": "claude-code"')


def test_a_file_that_is_none_of_ours_is_put_aside(
    kept: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "MOST", 1000)
    Path(kept.path).write_bytes(b"a video\n" * 1000)
    assert flushed(kept) == []
    assert Path(kept.aside).read_bytes() == b"a video\n" * 1000
    assert "larger than a spool can be" in log_of(kept)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/null", path)])
def test_what_is_no_file_is_left_alone(kept: Spool, make: Callable[[str], None]) -> None:
    make(kept.path)
    with pytest.raises(OSError, match=r"no file|directory|symbolic links"):
        fill(kept, 1)
    assert os.path.lexists(kept.path)


def test_what_was_put_aside_is_not_put_aside_again(kept: Spool) -> None:
    Path(kept.path).write_bytes(b"claude-mem spool 1 000000000032\n" + HALF + b"\n")
    fill(kept, 1)
    for _ in range(2):
        assert flushed(kept, lambda _: 0) == []
    assert Path(kept.aside).read_bytes() == HALF + b"\n"
    assert flushed(kept) == [1]


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.binary(max_size=300), st.integers(0, 2000))
def test_bytes_written_anywhere_cost_no_more_than_the_lines_that_they_hit(
    kept: Spool, noise: bytes, where: int
) -> None:
    path = Path(kept.path)
    path.unlink(missing_ok=True)
    fill(kept, *range(6))
    whole = path.read_bytes()
    at = min(where, len(whole))
    broken = whole[:at] + noise + whole[at + len(noise) :]
    path.write_bytes(broken)
    starts = [place for place in range(len(whole)) if whole.startswith(b'{"agent"', place)]
    ends = [whole.index(b"\n", place) for place in starts]
    hit = {n for n, (a, b) in enumerate(zip(starts, ends, strict=True))
           if a <= at + len(noise) and at <= b + 1}  # fmt: skip

    sent = flushed(kept)
    assert sent == sorted(sent)
    # Bytes over the mark may make it skip; that is a file somebody wrote into on purpose.
    if at > 32:
        assert set(range(6)) - hit <= set(sent)


def test_a_disk_that_takes_no_more_leaves_the_file_as_it_was(kept: Spool) -> None:
    fill(kept, 1)
    before = Path(kept.path).read_bytes()
    program = (
        "import sys, time; from pathlib import Path;"
        "from claudemem.hook.call import understood; from claudemem.hook.spool import Spool;"
        "Spool(sys.argv[1], time.monotonic() + 5).add(understood('a', sys.stdin.buffer.read()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, kept.path], input=json.dumps(tool_call(2)), cwd=ROOT,
        text=True, capture_output=True, env=environment({"PYTHONDONTWRITEBYTECODE": "1"}),
        check=False,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (len(before) + 50, len(before) + 50)
        ),
    )  # fmt: skip
    assert "File too large" in ended.stderr
    assert Path(kept.path).read_bytes() == before


KILLED = """
import os, signal, sys, time
from claudemem.hook import spool
from claudemem.hook.flush import Flush
from claudemem.hook.link import Answer
from claudemem.hook.log import Log
path, step, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
calls = 0
def dying(real):
    def call(*given):
        global calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return call
if step in ("pwrite", "ftruncate", "rename", "write", "flock"):
    import fcntl
    home = fcntl if step == "flock" else os
    setattr(home, step, dying(getattr(home, step)))
class Link:
    def post(self, agent, headers, body, until):
        with open(path + ".sent", "ab") as file:
            file.write(headers["X-Claude-Mem-Delivery"].encode() + b" " + body + b"\\n")
        return Answer(200, b"{}")
kept = spool.Spool(path, time.monotonic() + 60)
Flush(kept, Link(), Log(os.path.dirname(path), "a"), time.monotonic() + 60).run()
"""


@pytest.mark.parametrize("step", ["pwrite", "ftruncate", "flock"])
def test_who_is_killed_while_sending_loses_nothing_and_repeats_at_most_one(
    kept: Spool, step: str
) -> None:
    fill(kept, *range(4))
    for number in (1, 2, 3):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, kept.path, step, str(number)], cwd=ROOT,
            env=environment(), check=False,
        )  # fmt: skip
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL
    sent = [line.partition(" ") for line in Path(f"{kept.path}.sent").read_text().splitlines()]
    link = flush(kept)
    ids = [each[0] for each in sent] + link.ids
    numbers = [json.loads(each[2])["tool_use_id"] for each in sent] + [
        body["tool_use_id"] for body in link.bodies
    ]
    assert list(dict.fromkeys(numbers)) == [f"s-1-{number}" for number in range(4)]
    # What was sent again is known by its id.
    assert len(set(ids)) == 4
    assert len(ids) <= 4 + 3
