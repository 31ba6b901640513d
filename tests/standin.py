"""A local server that speaks `POST …/chat/completions` as models' APIs do, well and badly.

It keeps every request, so that tests can say what was never sent.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from xml.sax.saxutils import escape, unescape

EVENT = re.compile(r'<event number="(\d+)" type="([^"]*)"[^>]*>\n(.*?)\n</event>', re.DOTALL)
ENTITIES = {"&quot;": '"', "&apos;": "'"}

Reply = tuple[int, dict[str, str], bytes]


class StandIn:
    """What is told to the server and what it was asked. `mode` may be changed at any time.

    A mode is a name of TEXTS or STATUSES, "hang", "drip", "slow head", "slowly", "429 until" or
    "broken", or else itself the text to answer.
    """

    def __init__(self) -> None:
        self.mode = "good"
        # Modes for the next requests, one each; then `mode`.
        self.next: list[str] = []
        self.marked: dict[str, str] = {}  # modes of requests that hold a word, before all others
        self.key = ""  # if set, others are refused with 401
        self.answering = threading.Event()  # while it is clear, requests wait
        self.answering.set()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.gone = threading.Event()

    @property
    def everything(self) -> str:
        """All that was ever sent to it."""
        return json.dumps(self.requests, ensure_ascii=False) + json.dumps(self.headers)

    @property
    def prompts(self) -> list[str]:
        """The first message of each request."""
        return [request["messages"][0]["content"] for request in self.requests]


def _tool(payload: Any) -> tuple[str, str]:
    """A title and a quotation from an event's payload, such that its evidence can be found."""
    if not isinstance(payload, dict):
        return "Something was noted", ""
    given = payload.get("tool_input")
    given = given if isinstance(given, dict) else {}
    for name in ("file_path", "path", "command", "pattern", "url", "description"):
        value = given.get(name)
        if isinstance(value, str) and value.strip():
            return f"{payload.get('tool_name')} of a {name}", value.strip().splitlines()[0][:80]
    return f"{payload.get('tool_name')} was used", ""


def observations(prompt: str) -> list[dict[str, Any]]:
    """One observation an event, from nothing but what the prompt shows."""
    made = []
    for number, _, text in EVENT.findall(prompt):
        shown = unescape(text, ENTITIES)
        try:
            title, quote = _tool(json.loads(shown))
        except ValueError:
            title, quote = "Something long was noted", ""
        quoted = f"`{quote}` was at work" if quote and "`" not in quote else "It happened"
        made.append(
            {"type": "discovery", "title": title, "subtitle": "", "narrative": escape(quoted),
             "facts": [escape(quoted)], "concepts": ["how-it-works", "what-changed"],
             "files_read": [], "files_modified": [], "events": [int(number)]}
        )  # fmt: skip
    return made


def summary(prompt: str) -> dict[str, str]:
    """A summary whose request is what the first prompt among the events says."""
    request = "To go on with the work"
    for _, kind, text in EVENT.findall(prompt):
        if kind == "UserPromptSubmit":
            request = unescape(text, ENTITIES)[:300]
            break
    return {"request": request, "investigated": "", "learned": "", "completed": "It was done",
            "next_steps": "", "notes": ""}  # fmt: skip


def good(request: dict[str, Any]) -> str:
    """A good answer, in the form that is asked for."""
    prompt = request["messages"][0]["content"]
    told = summary(prompt) if "Summarise it" in prompt else None
    if "response_format" in request:
        return json.dumps(told or {"observations": observations(prompt)})
    if told:
        fields = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in told.items())
        return f"Here it is:\n<summary>{fields}</summary>"
    return "".join(_element(each) for each in observations(prompt)) or "<skip_summary/>"


def _element(one: dict[str, Any]) -> str:
    return (
        f"<observation><type>{one['type']}</type><title>{escape(one['title'])}</title>"
        f"<facts><fact>{one['facts'][0]}</fact></facts>"
        f"<concepts><concept>how-it-works: yes</concept></concepts>"
        f"<events><event>{one['events'][0]}</event></events></observation>\n"
    )


TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "good": good,
    "cut off": lambda request: good(request)[:40],
    "prose": lambda _: "I am sorry, but I would rather talk about the weather.",
    "wrong types": lambda _: json.dumps({"observations": [{"title": 5, "facts": "one"}]}),
    "broken": good,
    "half": lambda _: "<observation><type>bugfix</type><title>Half a doc",
    "nothing": lambda _: "",
}
STATUSES: dict[str, tuple[int, dict[str, str], Any]] = {
    "400": (400, {}, {"error": {"message": "Invalid request about PRIVATE-ECHO"}}),
    "401": (401, {}, {"error": {"message": "Incorrect API key provided: sk-ECHOED-KEY"}}),
    "402": (402, {}, {"error": {"message": "Insufficient credits"}}),
    "403": (403, {}, {"error": {"message": "not for you"}}),
    "404": (404, {}, {"error": {"message": "no such model"}}),
    "429": (429, {"Retry-After": "120"}, {"error": {"message": "slow down"}}),
    "500": (500, {}, {"error": {"message": "oops PRIVATE-ECHO"}}),
    "not json": (200, {}, "<html>Sign in to the hotel's network</html>"),
    "error in 200": (200, {}, {"error": {"code": 429, "message": "slow down"}}),
    "no choices": (200, {}, {"choices": []}),
    "list": (200, {}, [1, 2]),
    "redirect": (302, {"Location": "http://127.0.0.1:9/elsewhere"}, ""),
    "no format": (400, {}, {"error": {"message": "response_format is not supported",
                                      "param": "response_format"}}),
    "no limit": (400, {}, {"error": {"message": "Unsupported parameter: 'max_tokens'"}}),
}  # fmt: skip


def reply(mode: str, request: dict[str, Any]) -> Reply:
    """Status, headers and body of the answer to `request` in this mode."""
    if mode in STATUSES:
        status, headers, body = STATUSES[mode]
        text = body if isinstance(body, str) else json.dumps(body)
        return status, headers, text.encode()
    content = TEXTS[mode](request) if mode in TEXTS else mode
    body = {
        "id": "x", "object": "chat.completion", "model": request["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content},
                     "finish_reason": "length" if mode == "cut off" else "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }  # fmt: skip
    return 200, {}, json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    standin: StandIn

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        standin = self.server.standin
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        standin.requests.append(request)
        standin.headers.append({name.lower(): text for name, text in self.headers.items()})
        mode = self._marked(request) or (standin.next.pop(0) if standin.next else standin.mode)
        if not self.path.endswith("/chat/completions"):
            mode = "404"
        if standin.key and self.headers["Authorization"] != f"Bearer {standin.key}":
            mode = "401"
        if mode == "no format" and "response_format" not in request:
            mode = "good"
        if mode == "no limit" and "max_tokens" not in request:
            mode = "good"
        if mode == "hang":
            standin.gone.wait(30)
            return
        if mode == "drip":
            self._drip(standin)
            return
        if mode == "slow head":
            self._drip_head(standin)
            return
        if mode == "slowly":
            standin.gone.wait(2)
            mode = "good"
        standin.answering.wait(60)
        until = {"Retry-After": formatdate(time.time() + 120, usegmt=True)}
        status, headers, body = reply("429" if mode == "429 until" else mode, request)
        headers = until if mode == "429 until" else headers
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = mode == "broken"
        self.wfile.write(body[: len(body) // 2] if mode == "broken" else body)

    def _marked(self, request: dict[str, Any]) -> str:
        said = json.dumps(request["messages"])
        marked = self.server.standin.marked
        return next((mode for word, mode in list(marked.items()) if word in said), "")

    def _drip_head(self, standin: StandIn) -> None:
        """No read takes long, and no answer ever begins."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not standin.gone.wait(0.2):
            self.wfile.write(b"z")

    def _drip(self, standin: StandIn) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        while not standin.gone.wait(0.05):
            self.wfile.write(b" ")

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


@contextmanager
def running(port: int = 0) -> Iterator[StandIn]:
    """A stand-in at `url`, until the end of the block."""
    standin = StandIn()
    with _Server(("127.0.0.1", port), _Handler) as server:
        server.standin = standin
        standin.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield standin
        finally:
            standin.gone.set()
            server.shutdown()
            thread.join()
