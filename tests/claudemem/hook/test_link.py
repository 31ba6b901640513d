"""What the client says to servers, and what it makes of what they say."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from claudemem.hook.link import Away, Link
from claudemem.hook.target import Target
from tests.certificates import Certificate, issued

pytestmark = pytest.mark.once

Linked = Callable[..., Link]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

CHUNKS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'3;x=y\r\n{"a\r\n4\r\n":1}\r\n0\r\nT: x\r\n\r\n'
)


@contextmanager
def saying(
    *answers: bytes, host: str = "127.0.0.1", shown: Certificate | None = None
) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives these answers, one a connection, and closes each; its port, and the
    first 4 kB of what it was told.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    heard: list[bytes] = []
    with closing(socket.create_server((host, 0), family=family)) as listening:
        context = None
        if shown:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown.certificate, shown.key)

        def serve() -> None:
            for answer in answers:
                try:
                    connection, _ = listening.accept()
                    connection.settimeout(20)
                    if context:
                        connection = context.wrap_socket(connection, server_side=True)
                    with closing(connection):
                        heard.append(connection.recv(4096))
                        connection.sendall(answer)
                except OSError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], heard
        finally:
            listening.settimeout(0.01)
            for _ in answers:
                # Whoever still waits for a connection gets one, and goes.
                with closing(socket.socket(family)) as knock:
                    knock.connect_ex((host, listening.getsockname()[1]))
            thread.join()


@pytest.fixture
def linked() -> Iterator[Linked]:
    """Makes connections that are closed after the test."""
    made: list[Link] = []

    def link(url: str, ca: str = "") -> Link:
        made.append(Link(Target(url, "cmem_k", ca, "spool")))
        return made[-1]

    yield link
    for each in made:
        each.close()


def soon() -> float:
    return time.monotonic() + 20


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (OK, b"{}"),
        (CHUNKS, b'{"a":1}'),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", b"{}"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"{}"),
        (b"HTTP/1.1 200\nContent-Length: 2\n\n{}", b"{}"),
    ],
    ids=["length", "chunks", "until it closes", "interim", "bare newlines"],
)  # fmt: skip
def test_an_answer_is_read_however_it_ends(linked: Linked, said: bytes, body: bytes) -> None:
    with saying(said) as (port, heard):
        answer = linked(f"http://127.0.0.1:{port}/team/").post("codex", {"X-A": "b"}, b"{}", soon())
    assert (answer.status, answer.body) == (200, body)
    head, _, sent = heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /team/v1/hooks/codex HTTP/1.1\r\n")
    assert b"\r\nHost: 127.0.0.1:%d\r\n" % port in head
    assert b"\r\nX-A: b" in head
    assert sent == b"{}"


@pytest.mark.parametrize(
    "said",
    [b"", b"hello\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
     b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nno colon\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"SSH-2.0-x\r\n" * 50,
     b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300],
)  # fmt: skip
def test_what_is_no_answer_is_none(linked: Linked, said: bytes) -> None:
    with saying(said) as (port, _), pytest.raises(Away):
        linked(f"http://127.0.0.1:{port}").post("a", {}, b"{}", soon())


def test_a_connection_that_was_closed_meanwhile_is_opened_again(
    linked: Linked,
) -> None:
    with saying(OK, OK) as (port, heard):
        link = linked(f"http://127.0.0.1:{port}")
        for _ in range(2):
            assert link.post("a", {}, b"{}", soon()).status == 200
    assert len(heard) == 2


def test_an_answer_that_comes_before_the_body_was_read_is_heard(linked: Linked) -> None:
    link = linked("http://127.0.0.1:1")
    # Of a pair of sockets, what was said stays when the other one is closed; it is said first.
    ours, theirs = socket.socketpair()
    theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    theirs.close()
    link._socket, link._file = ours, ours.makefile("rb")

    assert link.post("a", {}, b" " * 1000, soon()).status == 413


def test_over_ipv6(linked: Linked) -> None:
    try:
        with saying(OK, host="::1") as (port, heard):
            link = linked(f"http://[::1]:{port}")
            assert link.post("a", {}, b"{}", soon()).status == 200
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert b"\r\nHost: [::1]:%d\r\n" % port in heard[0]


def test_over_tls_who_shows_no_certificate_of_a_known_authority_is_told_nothing(
    tmp_path: Path, linked: Linked
) -> None:
    ours, another = issued(tmp_path, "ours"), issued(tmp_path, "another")
    with saying(OK, OK, OK, OK, shown=ours) as (port, heard):
        url = f"https://127.0.0.1:{port}"
        assert linked(url, str(ours.authority)).post("a", {}, b"{}", soon()).status == 200
        for ca, why in ((str(another.authority), "verify"), ("", "verify")):
            with pytest.raises(Away, match=why):
                linked(url, ca).post("a", {}, b"{}", soon())
        with pytest.raises(Away, match="No such file"):
            linked(url, str(tmp_path / "missing")).post("a", {}, b"{}", soon())
    assert [each for each in heard if each] == heard[:1]


def test_the_system_s_authorities_are_found_by_their_hashes_without_reading_all(
    tmp_path: Path, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = issued(tmp_path, "ours")
    folder = tmp_path / "authorities"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with saying(OK, OK, OK, shown=ours) as (port, heard):
        (folder / "00000000.0").symlink_to(ours.authority)
        with pytest.raises(Away, match="verify"):
            linked(f"https://127.0.0.1:{port}").post("a", {}, b"{}", soon())
        (folder / f"{_hash(ours.authority)}.0").symlink_to(ours.authority)
        assert linked(f"https://127.0.0.1:{port}").post("a", {}, b"{}", soon()).status == 200
    assert len([each for each in heard if each]) == 1


def test_authorities_in_a_file_that_somebody_chose_are_read(
    tmp_path: Path, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = issued(tmp_path, "ours")
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.authority))
    with saying(OK, shown=ours) as (port, _):
        assert linked(f"https://127.0.0.1:{port}").post("a", {}, b"{}", soon()).status == 200


def _hash(certificate: Path) -> str:
    """What OpenSSL looks an authority up by."""
    said = ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)]
    return subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()


def test_variables_that_name_a_proxy_are_not_followed(
    monkeypatch: pytest.MonkeyPatch, linked: Linked
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with saying(OK) as (port, _):
        assert linked(f"http://127.0.0.1:{port}").post("a", {}, b"{}", soon()).status == 200


def test_who_says_nothing_is_slow(linked: Linked) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        link = linked(f"http://127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(Away) as raised:
            link.post("a", {}, b"{}", time.monotonic() + 0.05)
    assert raised.value.slow
