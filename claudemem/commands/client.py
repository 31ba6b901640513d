"""A small client of a running server, for the commands that are one."""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import httpx

# A server that is overloaded or restarting says so; the client comes back for so long.
PATIENCE_SECONDS = 30.0


class Server:
    """A running server at `url`, called with `key`."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=30.0
        )

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer to a POST. Raises ClickException with the server's own words."""
        answer: dict[str, Any] = self._answered("POST", path, content=json.dumps(body)).json()
        return answer

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """The answer to a GET. Raises ClickException with the server's own words."""
        answer: dict[str, Any] = self._answered("GET", path, params=query).json()
        return answer

    def hook(self, payload: Any) -> bool:
        """Send a hook payload; whether the server had it already. Raises ClickException."""
        answer = self._answered("POST", "/v1/hooks/claude-code", content=json.dumps(payload))
        return bool(answer.headers.get("X-Duplicate") == "true")

    def _answered(self, method: str, path: str, **how: Any) -> httpx.Response:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            response = self._sent(method, path, **how)
            if response.status_code not in (429, 503) or time.monotonic() > until:
                break
            time.sleep(min(5.0, float(response.headers.get("Retry-After", 1))))
        if response.is_success:
            return response
        raise click.ClickException(
            f"{method} {path} was answered {response.status_code}: {_words(response)}"
        )

    def _sent(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            return self._http.request(
                method, path, headers={"Content-Type": "application/json"}, **how
            )
        except httpx.TransportError as error:
            raise click.ClickException(
                f"no server answers at {self._url} ({type(error).__name__}): start one with "
                "`claudemem start`, or name another with --url"
            ) from error


def _words(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:200]
    return str(body.get("message") or body.get("issues") or body)


def payloads(files: Iterable[Path]) -> Iterator[tuple[Path, int, Any]]:
    """The recorded payloads of `files`, one a line, with their file and line number.

    Raises ClickException naming the line that is no JSON.
    """
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                yield file, number, json.loads(line)
            except ValueError as error:
                raise click.ClickException(f"{file}:{number} is no JSON: {error}") from error
