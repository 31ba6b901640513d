"""A connection to the server, by HTTP/1.1 over a socket: http.client alone would cost 20 ms."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from io import BufferedReader

from claudemem.hook.target import Target

_LINE = 65536
_HEADERS = 200
# What is told to an agent is much smaller.
_BODY = 1024 * 1024


class Away(Exception):
    """The server did not answer; the message says in which way. `slow`: it ran out of time."""

    def __init__(self, message: str, *, slow: bool = False) -> None:
        super().__init__(message)
        self.slow = slow


class Answer:
    """What the server answered."""

    __slots__ = ("body", "status")

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def is_object(self) -> bool:
        """Whether the body is a JSON object, as all bodies of the server's are."""
        try:
            return isinstance(json.loads(self.body), dict)
        except (ValueError, RecursionError):
            return False


class Link:
    """A connection to `target`, opened when it is needed and kept for what follows."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._socket: socket.socket | None = None
        self._file: BufferedReader | None = None

    def post(self, agent: str, headers: Mapping[str, str], body: bytes, until: float) -> Answer:
        """The answer to a payload of `agent`, awaited until a moment of the monotonic clock.

        That moment holds for each step: who answers a byte at a time is not cut off by it.
        Raises Away.
        """
        head = self._head(agent, headers, len(body))
        if self._socket is not None:
            try:
                return self._exchange(head + body, until)
            except Away as error:
                if error.slow:
                    raise
                # A server may close a connection that was kept: that says nothing of it.
        return self._exchange(head + body, until)

    def close(self) -> None:
        """Let go of the connection."""
        for each in (self._file, self._socket):
            if each is not None:
                each.close()
        self._socket = self._file = None

    def _head(self, agent: str, headers: Mapping[str, str], size: int) -> bytes:
        said = {
            "Host": self._target.authority,
            "Content-Type": "application/json",
            "Content-Length": str(size),
            "Accept": "application/json",
            "User-Agent": "claudemem-hook",
            **({"Authorization": f"Bearer {self._target.key}"} if self._target.key else {}),
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        first = f"POST {self._target.path}/v1/hooks/{agent} HTTP/1.1\r\n"
        return f"{first}{lines}\r\n".encode("ascii")

    def _exchange(self, request: bytes, until: float) -> Answer:
        try:
            if self._socket is None:
                self._open(until)
            assert self._socket is not None
            self._socket.settimeout(_left(until))
            try:
                self._socket.sendall(request)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have answered before it had read it all
            return self._answer(until)
        except TimeoutError:
            self.close()
            raise Away("the server does not answer in time", slow=True) from None
        except (OSError, ValueError) as error:
            self.close()
            said = getattr(error, "strerror", None) or str(error)
            raise Away(f"the server is away ({said})"[:200]) from None

    def _open(self, until: float) -> None:
        if not self._target.secure:
            self._connect(until)
            return
        for wrap, is_last in _tls(self._target.ca):
            try:
                self._connect(until, wrap)
            except ValueError:  # no authority for its certificate
                if is_last:
                    raise
            else:
                return

    def _connect(self, until: float, wrap: Callable[..., socket.socket] | None = None) -> None:
        target = self._target
        # As text, it would be encoded by a codec that costs 2 ms.
        place = (target.host.encode("ascii"), target.port)
        connection = socket.create_connection(place, _left(until))  # type: ignore[arg-type]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap:
            connection.settimeout(_left(until))
            connection = wrap(connection, server_hostname=target.host)
        self._socket = connection
        self._file = connection.makefile("rb")

    def _answer(self, until: float) -> Answer:
        assert self._socket is not None
        assert self._file is not None
        self._socket.settimeout(_left(until))
        status = 100
        while 100 <= status < 200:
            words = self._file.readline(_LINE).split(None, 2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
                raise ValueError("it closed the connection, or does not speak HTTP/1.1")
            status = int(words[1])
            headers = self._headers()
        body = self._body(headers)
        if b"close" in headers.get(b"connection", b"").lower() or words[0] == b"HTTP/1.0":
            self.close()
        return Answer(status, body)

    def _headers(self) -> dict[bytes, bytes]:
        assert self._file is not None
        found: dict[bytes, bytes] = {}
        for _ in range(_HEADERS):
            line = self._file.readline(_LINE)
            if line in (b"\r\n", b"\n"):
                return found
            name, colon, value = line.partition(b":")
            if not colon:
                break
            found[name.strip().lower()] = value.strip()
        raise ValueError("its headers do not end")

    def _body(self, headers: Mapping[bytes, bytes]) -> bytes:
        assert self._file is not None
        if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
            return self._chunks()
        if b"content-length" not in headers:
            body = self._file.read(_BODY + 1)
            self.close()
        else:
            size = int(headers[b"content-length"])
            if not 0 <= size <= _BODY:
                raise ValueError("its answer is too long")
            body = self._file.read(size)
            if len(body) < size:
                raise ValueError("its answer broke off")
        if len(body) > _BODY:
            raise ValueError("its answer is too long")
        return body

    def _chunks(self) -> bytes:
        assert self._file is not None
        body = b""
        while size := int(self._file.readline(_LINE).partition(b";")[0], 16):
            if not 0 <= size <= _BODY - len(body):
                raise ValueError("its answer is too long")
            body += self._file.read(size)
            self._file.readline(_LINE)
        while self._file.readline(_LINE) not in (b"\r\n", b"\n", b""):
            pass
        return body


def _tls(ca: str) -> Iterator[tuple[Callable[..., socket.socket], bool]]:
    """What makes a connection secure, by the system's authorities or those in the file `ca`.

    One after the other is tried until the other side is known; with each, whether it is the last.
    """
    import ssl  # it costs more than all the rest

    if not ca and (hashed := _hashed()):
        # Of a directory the one authority is read that is asked for; a file is read whole: 30 ms.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(capath=hashed)
        yield context.wrap_socket, False
    yield ssl.create_default_context(cafile=ca or None).wrap_socket, True


def _hashed() -> str:
    """The system's directory of authorities by their hashes; "" where a file is to be read.

    That is where none has its hash for a name, and where somebody chose a file of their own.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    if not paths.capath or paths.cafile not in (None, paths.openssl_cafile):
        return ""
    with os.scandir(paths.capath) as entries:
        return paths.capath if any(entry.name.endswith(".0") for entry in entries) else ""


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
