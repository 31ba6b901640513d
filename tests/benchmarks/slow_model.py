"""A model's API that takes its time: hundreds of calls at once cost it next to nothing.

It runs as a process of its own, prints its URL, and ends when its input is closed. `GET /figures`
answers how many calls came, and how many were in flight at most.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass

from tests.standin import reply


@dataclass
class Figures:
    """Calls so far, in flight now, and in flight at most."""

    calls: int = 0
    now: int = 0
    most: int = 0

    def begin(self) -> None:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)

    def end(self) -> None:
        self.now -= 1


class Model:
    """Answers well, after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._figures = Figures()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                body = await reader.readexactly(_length(head))
                answer = await self._answer(head, body)
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                    b"\r\n%s" % (len(answer), answer)
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"get"):
            return json.dumps(asdict(self._figures)).encode()
        self._figures.begin()
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._figures.end()
        return reply("good", json.loads(body))[2]


def _length(head: bytes) -> int:
    at = head.find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def _run(seconds: float) -> None:
    server = await asyncio.start_server(Model(seconds).serve, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main() -> None:
    """Serve until input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0)
    asyncio.run(_run(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
