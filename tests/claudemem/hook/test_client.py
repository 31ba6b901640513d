"""The client as a process: whatever its parent, its disk and its server do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from claudemem.hook import client, flush
from claudemem.hook.call import understood
from claudemem.hook.client import Handling
from claudemem.hook.heavy import LIGHT, TRIES
from claudemem.hook.link import Answer, Away
from claudemem.hook.log import Log
from claudemem.hook.spool import Spool
from claudemem.hook.target import Target, read
from tests.hooks import (
    AWAY,
    CAPTURE,
    CONTEXT,
    Answering,
    Hooks,
    Reply,
    Request,
    answering,
    prompt,
    tool_call,
    words,
)
from tests.stack import ROOT, environment
from tests.stores import mounted

pytestmark = pytest.mark.once


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    return Hooks(tmp_path / "client")


@pytest.fixture
def server(hooks: Hooks) -> Iterator[Answering]:
    with answering() as told:
        hooks.configure(told.url)
        yield told


@pytest.fixture
def silent(hooks: Hooks) -> Iterator[socket.socket]:
    """A server that takes every connection and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=50)) as listening:
        hooks.configure(f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening


# --- what is sent, and what is said ---------------------------------------------------------------


def test_a_payload_is_sent_and_the_answer_printed(hooks: Hooks, server: Answering) -> None:
    server.reply = lambda _: (200, b'{"systemMessage": "hello"}')
    ran = hooks.run(prompt(), CLAUDE_CODE_ENTRYPOINT="cli")
    (request,) = server.requests

    assert (ran.code, ran.printed, ran.complained) == (0, '{"systemMessage": "hello"}', "")
    assert request.path == "/v1/hooks/claude-code"
    assert request.body == prompt()
    assert request.headers["Authorization"] == "Bearer cmem_key"
    assert len(request.headers["X-Claude-Mem-Delivery"]) == 32
    assert request.headers["X-Claude-Mem-Entrypoint"] == "cli"
    assert not {"X-Claude-Mem-Occurred", "X-Claude-Mem-Place"} & set(request.headers)
    assert sorted(each.name for each in hooks.folder.iterdir()) == ["config.json"]


def test_a_session_begins_with_where_it_is(hooks: Hooks, server: Answering) -> None:
    start = {"hook_event_name": "SessionStart", "session_id": "s-1", "cwd": str(ROOT)}
    hooks.run(start)
    place = json.loads(server.requests[0].headers["X-Claude-Mem-Place"])

    assert place["root"] == str(ROOT.resolve())


def test_where_a_payload_has_no_directory_the_agent_s_own_is_told(
    hooks: Hooks, server: Answering, tmp_path: Path
) -> None:
    asked = {"agent_action_name": "pre_user_prompt", "trajectory_id": "s-1", "tool_info": {}}
    hooks.told(hooks.start("windsurf", cwd=tmp_path), asked)
    begun = {"hook_event_name": "sessionStart", "conversation_id": "s-1"}
    hooks.run(begun, "cursor", CURSOR_PROJECT_DIR=str(ROOT))
    places = [json.loads(each.headers["X-Claude-Mem-Place"]) for each in server.requests]

    assert places[0] == {"root": str(tmp_path)}
    assert places[1]["root"] == str(ROOT.resolve())
    assert "common" in places[1]


@pytest.mark.parametrize("word", ["1", "TRUE", " yes ", "On"])
def test_what_is_switched_off_does_nothing(hooks: Hooks, server: Answering, word: str) -> None:
    ran = hooks.run(tool_call(1), MEM_OFF=word)

    assert (ran.code, ran.printed, server.requests, hooks.waiting()) == (0, "", [], [])


def test_where_it_was_uninstalled_nothing_is_made_again(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    ran = subprocess.run(
        words(gone), input=json.dumps(tool_call(1)),
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stdout, ran.stderr, gone.exists()) == (0, "", "", False)


def test_the_environment_names_another_server_with_a_spool_of_its_own(
    hooks: Hooks, server: Answering
) -> None:
    hooks.configure(AWAY)
    named = {"CLAUDE_MEM_SERVER_URL": AWAY + "1", "CLAUDE_MEM_SERVER_API_KEY": "cmem_other"}
    hooks.run(tool_call(1), **named)
    hooks.configure(server.url)
    hooks.run(tool_call(2))
    hooks.send_rest()

    assert server.bodies == [tool_call(2)]
    assert [each.name for each in hooks.folder.glob("spool-*")] != []


def test_a_key_goes_to_no_server_but_its_own(hooks: Hooks, server: Answering) -> None:
    hooks.configure(AWAY)
    hooks.run(tool_call(1), CLAUDE_MEM_SERVER_URL=server.url)

    assert server.requests == []
    assert "set CLAUDE_MEM_SERVER_API_KEY" in hooks.log


# --- what agents do -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [(b"", ""), (b" \n", ""), (b'{"hook_event_name": ', "no JSON"), (b"\xff\0\xfe", "no JSON"),
     (b"[1]", "no object"), (b'"text"', "no object"), (b'{"a": "' + b"[" * 50000, "no JSON"),
     (b'{"a": ' + b"[" * 50000 + b"]" * 50000 + b"}", "no JSON"),
     (b'{"a": [' + b"{}," * 2_000_000 + b"0]}", "too many pieces")],
    ids=["nothing", "blank", "half", "garbage", "list", "text", "open", "deep", "fine"],
)  # fmt: skip
def test_what_is_no_payload_ends_well_with_a_line(
    hooks: Hooks, server: Answering, said: bytes, why: str
) -> None:
    ran = hooks.run(said)

    assert (ran.code, ran.printed, ran.complained, server.requests) == (0, "", "", [])
    assert why in hooks.log
    assert hooks.log.count("\n") == bool(why)


def test_a_parent_that_never_closes_its_pipe_is_not_waited_for(
    hooks: Hooks, server: Answering
) -> None:
    whole = hooks.start()
    hooks.hurried = True
    half, nothing = hooks.start(), hooks.start()
    assert whole.stdin
    assert half.stdin
    whole.stdin.write(json.dumps(tool_call(1)).encode())
    half.stdin.write(b'{"hook_event_name": "Stop", ')
    for pipe in (whole.stdin, half.stdin):
        pipe.flush()
    try:
        assert [each.wait(CAPTURE) for each in (half, nothing)] == [0, 0]
        assert whole.wait(60) == 0
    finally:
        for each in (whole, half, nothing):
            each.communicate()
    assert server.bodies == [tool_call(1)]
    assert "no JSON" in hooks.log
    assert "nothing, in the time that there is" in hooks.log


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_ends_well(hooks: Hooks, stream: str) -> None:
    number = ("stdin", "stdout", "stderr").index(stream)
    script = f'exec "$@" {number}{"<" if number == 0 else ">"}&-'
    ran = subprocess.run(
        ["sh", "-c", script, "sh", *words(hooks.folder)],
        input=json.dumps(tool_call(1)), capture_output=True, text=True, env=environment(),
        check=False,
    )  # fmt: skip

    assert ran.returncode == 0
    assert hooks.waiting() == ([] if stream == "stdin" else [tool_call(1)])


def test_no_file_of_ours_is_opened_as_a_standard_stream(tmp_path: Path) -> None:
    program = (
        "import os, sys; [os.close(n) for n in (0, 1, 2)];"
        "from claudemem.hook import client; client._fill_closed();"
        "os._exit(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))"
    )
    opened = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "spool")], cwd=ROOT, env=environment(),
        check=False,
    )  # fmt: skip
    assert opened.returncode > 2


def test_an_answer_that_nobody_reads_ends_well(hooks: Hooks, server: Answering) -> None:
    server.reply = lambda _: (200, json.dumps({"a": "b" * 300_000}).encode())
    reading, writing = os.pipe()
    os.close(reading)
    running = hooks.start(stdout=writing)
    os.close(writing)
    ran = hooks.told(running, tool_call(1))
    # And one that reads nothing, and keeps the pipe open.
    hooks.hurried = True
    running = hooks.start()
    assert running.stdin
    running.stdin.write(json.dumps(tool_call(1)).encode())
    running.stdin.close()
    try:
        assert (ran.code, running.wait(CAPTURE)) == (0, 0)
    finally:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        running.stderr.close()


def test_who_is_told_to_end_before_it_sends_keeps_the_payload(hooks: Hooks) -> None:
    kept = Spool(str(hooks.spool), time.monotonic() + 20)
    call = understood("claude-code", json.dumps(tool_call(1)).encode())
    ended: Any = SimpleNamespace(network=0.0, brief=0.0)
    Handling(call, kept, Log(str(hooks.folder), "claude-code")).run(read(str(hooks.folder)), ended)
    assert hooks.waiting() == [tool_call(1)]


def test_a_link_in_the_place_of_the_log_is_not_followed(hooks: Hooks, tmp_path: Path) -> None:
    (hooks.folder / "hook.log").symlink_to(tmp_path / "other")
    assert hooks.run(tool_call(1)).code == 0
    assert hooks.waiting() == [tool_call(1)]
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_who_is_told_to_end_keeps_the_payload_first(
    hooks: Hooks, silent: socket.socket, number: int
) -> None:
    running = hooks.start()
    assert running.stdin
    running.stdin.write(json.dumps(prompt()).encode())
    running.stdin.close()
    connection, _ = silent.accept()
    with closing(connection):
        running.send_signal(number)
        assert running.wait(20) == 0  # by itself it would wait for longer
    for pipe in (running.stdout, running.stderr):
        assert pipe
        assert pipe.read() == b""
        pipe.close()
    assert hooks.waiting() == [prompt()]


# --- servers that do not answer -------------------------------------------------------------------


def test_one_that_is_away_costs_nothing_and_loses_nothing(hooks: Hooks, server: Answering) -> None:
    hooks.configure(AWAY)
    away = [tool_call(number) for number in range(4)] + [prompt()]
    ran = [hooks.run(payload) for payload in away]
    assert [(each.code, each.printed, each.complained) for each in ran] == [(0, "", "")] * 5
    assert hooks.waiting() == away
    assert hooks.spool.stat().st_mode & 0o777 == 0o600
    assert hooks.log.count("the server is away (Connection refused): payloads wait in") == 1

    hooks.configure(server.url)
    assert hooks.run(tool_call(9)).code == 0
    hooks.send_rest()

    assert server.bodies == [*away, tool_call(9)]
    assert len({each.headers["X-Claude-Mem-Delivery"] for each in server.requests}) == 6
    assert all(float(each.headers["X-Claude-Mem-Occurred"]) for each in server.requests[:5])
    assert hooks.waiting() == []
    assert hooks.spool.read_bytes() == b""


def test_one_that_is_silent_is_waited_for_once_and_no_longer_than_allowed(
    hooks: Hooks, silent: socket.socket
) -> None:
    hooks.hurried = True
    mark = hooks.spool.with_name("spool.slow")
    ran = [hooks.run(tool_call(1))]
    # No server is called slow by who had no time for it, on a busy machine.
    while not mark.exists():
        ran.append(hooks.run(tool_call(len(ran) + 1)))
    assert len(connected(silent)) == len(ran)
    ran.append(hooks.run(tool_call(len(ran) + 1)))
    assert connected(silent) == []
    asked = hooks.run(prompt("s-2"))
    assert len(connected(silent)) == 1

    assert {each.code for each in (*ran, asked)} == {0}
    assert max(each.seconds for each in ran) < CAPTURE
    assert asked.seconds < CONTEXT
    calls = [tool_call(number) for number in range(1, len(ran) + 1)]
    assert hooks.waiting() == [*calls, prompt("s-2")]
    assert "does not answer in time" in hooks.log


def test_one_that_answers_is_not_called_slow_because_much_waits(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all that waits would go at the pace of one short attempt in ten seconds."""
    sent: list[tuple[str, Any]] = []
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now, time=time.time)

    class Steady:
        """Some 30 answers in a hook's time, and the last one is not in time."""

        def __init__(self, _: Target) -> None: ...

        def post(self, _: str, headers: dict[str, str], raw: bytes, until: float) -> Answer:
            sent.append((headers["X-Claude-Mem-Delivery"], json.loads(raw)))
            clock.now += 0.02
            if clock.now >= until:
                raise Away("it does not answer", slow=True)
            return Answer(200, b"{}")

    for module in (client, flush):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(client, "Link", Steady)
    kept = Spool(str(hooks.spool), time.monotonic() + 60)
    for number in range(120):
        call = understood("claude-code", json.dumps(tool_call(number)).encode())
        call.date()
        kept.add(call)
    while hooks.waiting():
        over, ends = threading.Event(), clock.now + 0.65
        deadline: Any = SimpleNamespace(
            network=ends, brief=ends, told_to_end=False, ring=over.set,
            wait=lambda _, over=over: over.wait(60),
        )  # fmt: skip
        Handling(None, kept, Log(str(hooks.folder), "a")).run(read(str(hooks.folder)), deadline)
        assert over.wait(60)
        assert not hooks.spool.with_name("spool.slow").exists()
    # What was answered too late was sent again, and would be known again.
    assert 120 < len(sent) < 130
    assert list(dict(sent).values()) == [tool_call(number) for number in range(120)]


def test_what_the_line_never_carries_in_time_is_sent_without_its_longest_texts(
    tmp_path: Path,
) -> None:
    over = threading.Event()

    def carried(request: Request) -> Reply:
        if len(json.dumps(request.body)) > LIGHT:
            over.wait(10)
        return 200, b"{}"

    large = tool_call(1, tool_response={"stdout": "x" * 2 * LIGHT, "code": 0})
    with answering(carried) as server:
        hooks = Hooks(tmp_path / "client", server.url, hurried=True)
        ran = [hooks.run(large), hooks.run(tool_call(2))]
        while hooks.waiting():
            assert len(ran) < 4 * TRIES
            hooks.forget_pause()
            ran.append(hooks.run(b""))
        over.set()
    assert {each.code for each in ran} == {0}
    assert max(each.seconds for each in ran) < CAPTURE
    left_out = f"[{2 * LIGHT} characters left out: too large to be sent]"
    light = tool_call(1, tool_response={"stdout": left_out, "code": 0})
    # What was answered too late was sent again, and would be known again.
    assert [body for body, _ in groupby(server.bodies)][-2:] == [light, tool_call(2)]
    assert f"found no time to be sent in {TRIES} tries" in hooks.log


def test_what_was_made_lighter_stays_so_while_somebody_has_to_mend_the_key(
    tmp_path: Path,
) -> None:
    mended = threading.Event()

    def barred(_: Request) -> Reply:
        return (200, b"{}") if mended.is_set() else (401, b'{"error": "x"}')

    hooks = Hooks(tmp_path / "client", AWAY)
    hooks.run(tool_call(1, tool_response={"stdout": "x" * 2 * LIGHT, "code": 0}))
    hooks.give_up_first()
    with answering(barred) as server:
        hooks.configure(server.url)
        for _ in range(2):
            hooks.run(b"")
        mended.set()
        hooks.send_rest()
    assert [len(json.dumps(body)) > LIGHT for body in server.bodies] == [False, False, False]
    assert hooks.waiting() == []


def test_what_cannot_be_made_lighter_is_put_aside_with_a_word_of_why(
    tmp_path: Path, server: Answering
) -> None:
    hooks = Hooks(tmp_path / "client", AWAY)
    hooks.run(tool_call(1, tool_response={"parts": [{"x": "x" * 100}] * 1000}))
    hooks.give_up_first()
    hooks = Hooks(tmp_path / "client", server.url)
    hooks.send_rest()
    assert hooks.waiting() == server.bodies == []
    assert "it has no long texts to leave out" in hooks.log
    assert "bytes of the spool cannot be sent: put aside in" in hooks.log


def connected(listener: socket.socket) -> list[socket.socket]:
    """The connections that were made since the last look."""
    listener.setblocking(False)
    found = []
    with suppress(BlockingIOError):
        while True:
            found.append(listener.accept()[0])
    for connection in found:
        connection.close()
    return found


def test_one_that_answers_a_byte_at_a_time_is_left_at_the_deadline(
    hooks: Hooks, silent: socket.socket
) -> None:
    hooks.hurried = True
    asked, ended = threading.Event(), threading.Event()
    silent.settimeout(0.05)

    def trickle() -> None:
        while not ended.is_set():
            with suppress(OSError), closing(silent.accept()[0]) as connection:
                asked.set()
                while not ended.wait(0.05):
                    connection.sendall(b"H")

    thread = threading.Thread(target=trickle)
    thread.start()
    ran = [hooks.run(tool_call(1))]
    # On a busy machine one may have had no time to ask.
    while not asked.is_set():
        hooks.forget_pause()
        ran.append(hooks.run(tool_call(len(ran) + 1)))
    ended.set()
    thread.join()

    assert {(each.code, each.printed) for each in ran} == {(0, "")}
    assert max(each.seconds for each in ran) < CAPTURE
    assert hooks.waiting() == [tool_call(number) for number in range(1, len(ran) + 1)]


def test_a_name_that_nobody_looks_up_is_left_at_the_deadline(hooks: Hooks) -> None:
    # The resolver's own call hangs, where no signal reaches Python.
    program = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import _socket, select;"
        "_socket.getaddrinfo = lambda *_, **__: select.select([], [], [], 60);"
        "import socket; socket.create_connection = lambda *_: _socket.getaddrinfo();"
        "from claudemem.hook import client; client.main(sys.argv[1], sys.argv[2])"
    )
    started = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(ROOT), "claude-code", str(hooks.folder)],
        input=json.dumps(tool_call(1)), capture_output=True, text=True, env=environment(),
        check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    assert time.monotonic() - started < CAPTURE
    assert hooks.waiting() == [tool_call(1)]


@pytest.mark.parametrize("status", [408, 429, 500])
def test_one_that_cannot_take_it_now_is_asked_again(
    hooks: Hooks, server: Answering, status: int
) -> None:
    server.reply = lambda _: (status, b'{"error": "x"}')
    assert hooks.run(tool_call(1)).code == 0
    assert hooks.waiting() == [tool_call(1)]
    server.reply = lambda _: (200, b"{}")
    hooks.run(tool_call(2))
    hooks.send_rest()

    assert server.bodies == [tool_call(1), tool_call(1), tool_call(2)]
    first, again, _ = (each.headers["X-Claude-Mem-Delivery"] for each in server.requests)
    assert first == again


@pytest.mark.parametrize("status", [401, 403])
def test_what_somebody_has_to_mend_waits_and_is_said_once(
    hooks: Hooks, server: Answering, status: int
) -> None:
    server.reply = lambda _: (status, b'{"error": "x"}')
    for number in range(3):
        hooks.run(tool_call(number))
    assert hooks.waiting() == [tool_call(number) for number in range(3)]
    assert hooks.log.count(f"the server answers {status}, ") == 2


@pytest.mark.parametrize("status", [400, 413])
def test_what_will_never_be_taken_is_dropped_with_a_line(
    hooks: Hooks, server: Answering, status: int
) -> None:
    server.reply = lambda request: (
        (status, b'{"error": "no"}') if "bad" in request.body else (200, b"{}")
    )
    assert hooks.run(tool_call(1, bad=True)).code == 0
    assert hooks.waiting() == []
    assert hooks.log.count(f"refused a payload with {status}, it is dropped") == 1
    # And so is one that waited.
    hooks.configure(AWAY)
    for payload in (tool_call(2), tool_call(3, bad=True), tool_call(4)):
        hooks.run(payload)
    hooks.configure(server.url)
    hooks.run(tool_call(5))
    hooks.send_rest()

    assert [each.get("tool_use_id") for each in server.bodies[1:]] == [
        "s-1-2", "s-1-3", "s-1-4", "s-1-5",
    ]  # fmt: skip
    assert hooks.log.count(f"refused a payload with {status}, it is dropped") == 2


@pytest.mark.parametrize(
    "answer", [(200, b"<html>log in</html>"), (400, b"plain HTTP"), (200, b"")]
)
def test_who_is_not_the_server_is_told_nothing_of_to_the_agent(
    hooks: Hooks, server: Answering, answer: tuple[int, bytes]
) -> None:
    server.reply = lambda _: answer

    assert hooks.run(prompt()).printed == ""
    assert hooks.waiting() == [prompt()]
    assert "that is no answer of a claudemem server" in hooks.log


# --- disks ----------------------------------------------------------------------------------------


def test_a_full_disk_loses_the_newest_and_nothing_that_was_kept(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        hooks = Hooks(tmp_path / "disk" / "client")
        hooks.run(tool_call(1))
        disk.fill()
        large = tool_call(2, text="x" * 50_000)
        assert [hooks.run(large).code, hooks.run(prompt()).code] == [0, 0]
        kept = hooks.waiting()
        disk.clear()
        hooks.run(tool_call(3))

        # What is small may still fit where a file has begun.
        assert kept in ([tool_call(1)], [tool_call(1), prompt()])
        assert hooks.waiting() == [*kept, tool_call(3)]
        with answering() as server:
            hooks.configure(server.url)
            hooks.send_rest()
        assert server.bodies == [*kept, tool_call(3)]


def test_a_disk_that_cannot_be_written_to_costs_only_what_cannot_be_sent(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk, answering() as server:
        hooks = Hooks(tmp_path / "disk" / "client", server.url)
        disk.make_read_only()
        assert hooks.run(tool_call(1)).printed == "{}"
        server.reply = lambda _: (503, b"{}")
        ran = hooks.run(tool_call(2))

    assert (ran.code, ran.printed, ran.complained) == (0, "", "")
    assert server.bodies == [tool_call(1), tool_call(2)]


def test_what_is_too_much_for_the_spool_is_lost_with_a_line_each(hooks: Hooks) -> None:
    hooks.run(tool_call(1))
    with hooks.spool.open("ab") as file:
        file.write(bytes(20 * 1024 * 1024 - hooks.spool.stat().st_size))
    for number in (2, 3):
        assert hooks.run(tool_call(number)).code == 0
    assert hooks.waiting() == [tool_call(1)]
    assert hooks.log.count("is lost: the spool is full (20 MB)") == 2
    assert hooks.spool.stat().st_size == 20 * 1024 * 1024


def test_what_found_no_room_is_sent_once_all_that_waited_has_been(
    hooks: Hooks, server: Answering
) -> None:
    hooks.configure(AWAY)
    hooks.run(tool_call(1))
    with hooks.spool.open("ab") as file:
        file.write(bytes(20 * 1024 * 1024 - hooks.spool.stat().st_size))
    hooks.configure(server.url)
    hooks.run(tool_call(2))
    hooks.run(tool_call(3))
    hooks.send_rest()

    assert [body["tool_use_id"] for body in server.bodies] == ["s-1-1", "s-1-2", "s-1-3"]


def test_what_is_in_the_spools_place_and_is_no_file_hinders_nobody(
    hooks: Hooks, server: Answering
) -> None:
    hooks.spool.mkdir()
    assert hooks.run(tool_call(1)).printed == "{}"
    server.reply = lambda _: (503, b"{}")
    hooks.run(tool_call(2))
    assert "is lost: it cannot be kept" in hooks.log


def test_a_broken_file_of_the_clients_own_keeps_the_payload(
    hooks: Hooks, server: Answering
) -> None:
    (hooks.folder / "config.json").write_text('{"url": "http')
    assert hooks.run(tool_call(1)).code == 0
    assert "config.json cannot be read" in hooks.log
    hooks.configure(server.url)
    hooks.run(tool_call(2))
    hooks.send_rest()
    assert server.bodies == [tool_call(1), tool_call(2)]


# --- order ----------------------------------------------------------------------------------------


def test_a_session_that_begins_is_answered_before_what_waits_of_others(
    hooks: Hooks, server: Answering
) -> None:
    hooks.configure(AWAY)
    hooks.run(tool_call(1, "old"))
    hooks.configure(server.url)
    server.reply = lambda request: (
        200, json.dumps({"systemMessage": request.body["session_id"]}).encode()
    )  # fmt: skip
    start = {"hook_event_name": "SessionStart", "session_id": "young", "cwd": "/"}

    assert hooks.run(start).printed == '{"systemMessage": "young"}'
    hooks.send_rest()
    assert server.bodies == [start, tool_call(1, "old")]


def test_a_prompt_waits_for_what_was_kept_of_its_session_and_is_answered_then(
    hooks: Hooks, server: Answering
) -> None:
    hooks.configure(AWAY)
    hooks.run(tool_call(1))
    hooks.configure(server.url)
    server.reply = lambda request: (
        200, json.dumps({"systemMessage": request.body["hook_event_name"]}).encode()
    )  # fmt: skip

    assert hooks.run(prompt()).printed == '{"systemMessage": "UserPromptSubmit"}'
    assert server.bodies == [tool_call(1), prompt()]
    # What comes late is told nothing.
    late = ["X-Claude-Mem-Occurred" in request.headers for request in server.requests]
    assert late == [True, False]


def test_what_comes_while_another_client_sends_waits_behind_it(
    hooks: Hooks, server: Answering
) -> None:
    hooks.configure(AWAY)
    hooks.run(tool_call(1))
    hooks.configure(server.url)
    asked, go_on = threading.Event(), threading.Event()

    def reply(_: Request) -> tuple[int, bytes]:
        asked.set()
        go_on.wait(20)
        return 200, b"{}"

    server.reply = reply
    first = hooks.start()
    assert first.stdin
    first.stdin.write(json.dumps(tool_call(2)).encode())
    first.stdin.close()
    assert asked.wait(20)
    # It has the lock, and its first payload is under way.
    second = hooks.run(tool_call(3))
    go_on.set()
    assert (first.wait(60), second.code, second.printed) == (0, 0, "")
    for pipe in (first.stdout, first.stderr):
        assert pipe
        pipe.close()
    hooks.send_rest()

    numbers = [body["tool_use_id"] for body in server.bodies]
    assert list(dict.fromkeys(numbers)) == ["s-1-1", "s-1-2", "s-1-3"]
    ids = {each.headers["X-Claude-Mem-Delivery"] for each in server.requests}
    assert len(ids) == 3
