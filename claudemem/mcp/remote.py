"""The tools of a server somewhere else, called over HTTP. No Django: it has to start fast."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from claudemem.mcp import catalogue
from claudemem.mcp.answers import Answer
from claudemem.mcp.protocol import Context

# So long (seconds) a call may take; a server gives up sooner, and says so.
PATIENCE: Final = 30.0
# Of an answer that is none of ours, so many characters are shown.
_SHOWN: Final = 200
_HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
_ADVICE: Final = {
    401: "give a key in CLAUDE_MEM_SERVER_API_KEY (`claudemem api-key create` makes one)",
    403: "the key in CLAUDE_MEM_SERVER_API_KEY is unknown, revoked, expired or may not do this",
    404: "the URL in CLAUDE_MEM_SERVER_URL is not that of a claudemem server",
}


class Unplaced(Exception):
    """Where the server is cannot be said; the message tells what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server is, with which key it is called, and about which project if none is said."""

    url: str
    key: str = ""
    project: str = ""


class Remote:
    """The tools of the server at `place`, which is looked up at each call: servers come and go."""

    def __init__(self, place: Callable[[], Place]) -> None:
        self._place = place
        self._http = httpx2.AsyncClient(timeout=PATIENCE, headers=_HEADERS)

    def tools(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002
        """All of them: what the key may do is known to the server, which need not be there yet."""
        return catalogue.listed(writes=True)

    async def call(self, context: Context, name: str, arguments: dict[str, Any]) -> Answer:  # noqa: ARG002
        """What the server says, or why it could not be asked."""
        try:
            place = self._place()
        except Unplaced as error:
            return Answer(str(error), is_error=True)
        if place.project:
            arguments = {"projectId": place.project, **arguments}
        return await self._asked(place, {"name": name, "arguments": arguments})

    async def _asked(self, place: Place, params: dict[str, Any]) -> Answer:
        url = f"{place.url.rstrip('/')}/v1/mcp"
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        key = {"Authorization": f"Bearer {place.key}"} if place.key else {}
        try:
            response = await self._http.post(url, json=body, headers=key)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Answer(_unreachable(place.url, error), is_error=True)
        return _read(url, response)


def _read(url: str, response: httpx2.Response) -> Answer:
    told = _told(response)
    if response.is_success and isinstance(result := told.get("result"), dict):
        text = "\n".join(part.get("text", "") for part in result.get("content", ()))
        return Answer(text, is_error=bool(result.get("isError")))
    said = told.get("message") or told.get("error") or response.text
    words = said if isinstance(said, str) else json.dumps(said)
    advice = _ADVICE.get(response.status_code)
    after = f". What to do: {advice}" if advice else ""
    return Answer(
        f"Server error (http {response.status_code}): POST {url} was answered: "
        f"{words[:_SHOWN]}{after}",
        is_error=True,
    )


def _told(response: httpx2.Response) -> dict[str, Any]:
    """The answer's JSON, be it alone or the first message of a stream; empty where it is none."""
    text = response.text
    if response.headers.get("Content-Type", "").startswith("text/event-stream"):
        lines = (line.removeprefix("data:") for line in text.splitlines() if line[:5] == "data:")
        text = next(lines, "")
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _unreachable(url: str, error: Exception) -> str:
    return (
        f"Server error (transport): no memory server answers at {url} ({type(error).__name__}): "
        "start one with `claudemem start`, or name another in CLAUDE_MEM_SERVER_URL"
    )
