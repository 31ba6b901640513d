"""The plugin for OpenCode, run by node in OpenCode's place, before a server that notes it all."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from claudemem.install import opencode_plugin
from observations import agents

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
UNDERSTAND = agents.BY_NAME["opencode"].understand

FIRST = """
const hooks = await plugin.server({ directory: "/home/dev/shop" })
const event = (type, properties) => hooks.event({ event: { type, properties } })
const tool = (status, more) => event("message.part.updated", { part: {
  type: "tool", sessionID: "ses_1", messageID: "msg_2", callID: "call_1", tool: "bash",
  state: { status, input: { command: "make" }, ...more } } })
await event("session.created", { info: { id: "ses_1", directory: "/home/dev/shop" } })
const output = { message: { id: "msg_1" }, parts: [{ type: "text", text: "Cap the wait." }] }
await hooks["chat.message"]({ sessionID: "ses_1", agent: "build" }, output)
await tool("running")
await tool("completed", { output: "done" })
await tool("completed", { output: "done" })
await event("message.part.updated", { part: { type: "text", sessionID: "ses_1",
  messageID: "msg_2", text: "It is capped.", time: { start: 1, end: 2 } } })
await event("session.idle", { sessionID: "ses_1" })
await event("something.else", undefined)
const compacting = { context: [] }
await hooks["experimental.session.compacting"]({ sessionID: "ses_1" }, compacting)
await event("session.deleted", { info: { id: "ses_1" } })
said = { parts: output.parts, compacting: compacting.context }
"""
SECOND = """
const hooks = {}
const on = (domain) => ({ hook: async (name, each) => { hooks[`${domain}.${name}`] = each } })
const heard = [
  { type: "session.text.ended", data: { sessionID: "ses_1", text: "It is capped." } },
  { type: "session.execution.succeeded", data: { sessionID: "ses_1" } },
]
const get = async () => ({ location: { directory: "/home/dev/shop" } })
let hear
const later = new Promise((resolve) => (hear = resolve))
const ctx = {
  session: { ...on("session"), get },
  tool: on("tool"),
  event: { subscribe: async function* () { await later; yield* heard } },
}
await plugin.setup(ctx)
await hooks["session.prompt"]({ sessionID: "ses_1", messageID: "msg_1",
  prompt: { text: "Cap the wait." } })
const context = { sessionID: "ses_1", system: [] }
await hooks["session.context"](context)
await hooks["tool.execute.after"]({ sessionID: "ses_1", id: "call_1", tool: "bash",
  input: { command: "make" }, status: "completed", result: { content: "done" } })
await hooks["tool.execute.after"]({ sessionID: "ses_1", id: "call_2", tool: "bash",
  input: { command: "make" }, status: "error", error: { message: "no rule" } })
const compacting = { sessionID: "ses_1", system: [] }
await hooks["session.compaction"](compacting)
hear()
said = { context: context.system, compacting: compacting.system }
"""


class Server(ThreadingHTTPServer):
    """Answers each hook with context that names its event."""

    taken: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        sent = {"path": self.path, "key": self.headers["Authorization"], "payload": payload}
        self.server.taken.append(sent)
        hook = UNDERSTAND(payload)
        text = f"known at {hook.event_type}" if hook.asks else ""
        body = json.dumps(agents.BY_NAME["opencode"].reply(hook, text)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as each:
        each.taken = []
        thread = Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield each
        each.shutdown()
        thread.join()


def run(tmp_path: Path, url: str, script: str, **environment: str) -> Any:
    """What a script says that plays OpenCode, once all that it started is done."""
    (tmp_path / "config.json").write_text(json.dumps({"url": url, "key": "cmem_k", "ca": None}))
    plugin = tmp_path / "claude-mem.mjs"
    plugin.write_text(opencode_plugin.source(str(tmp_path / "config.json")))
    main = tmp_path / "main.mjs"
    main.write_text(
        f'import plugin from "./claude-mem.mjs"\nlet said\n{script}\n'
        'process.on("exit", () => console.log(JSON.stringify(said)))\n'
    )
    assert NODE
    done = subprocess.run(
        [NODE, str(main)], capture_output=True, text=True, timeout=60, env=environment, check=True
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def understood(server: Server) -> list[tuple[str, str]]:
    hooks = [UNDERSTAND(each["payload"]) for each in server.taken]
    assert {(hook.session_id, hook.cwd) for hook in hooks} == {("ses_1", "/home/dev/shop")}
    assert {(each["path"], each["key"]) for each in server.taken} == {
        ("/v1/hooks/opencode", "Bearer cmem_k")
    }
    return [
        (hook.event_type, str(hook.body.get("prompt") or hook.body.get("last_assistant_message")))
        for hook in hooks
        if hook.event_type != "PreCompact"
    ]


def test_opencode_1_is_told_with_the_prompt_and_its_events_come_in_order(
    tmp_path: Path, server: Server
) -> None:
    said = run(tmp_path, f"http://127.0.0.1:{server.server_port}/", FIRST)
    assert said["parts"][1] == {
        "id": "prt_claude-mem_msg_1",
        "sessionID": "ses_1",
        "messageID": "msg_1",
        "type": "text",
        "text": "known at SessionStart\n\nknown at UserPromptSubmit",
        "synthetic": True,
    }
    assert said["compacting"] == ["known at PreCompact"]
    assert understood(server) == [
        ("SessionStart", "None"),
        ("UserPromptSubmit", "Cap the wait."),
        ("PostToolUse", "None"),
        ("Stop", "It is capped."),
        ("SessionEnd", "None"),
    ]


def test_opencode_2_is_told_in_the_context_of_its_requests(tmp_path: Path, server: Server) -> None:
    said = run(tmp_path, f"http://127.0.0.1:{server.server_port}", SECOND)
    assert said["context"] == [{"type": "text", "text": "known at SessionStart"}]
    assert said["compacting"] == [{"type": "text", "text": "known at PreCompact"}]
    assert sorted(understood(server)) == [
        ("PostToolUse", "None"),
        ("PostToolUseFailure", "None"),
        ("SessionStart", "None"),
        ("Stop", "It is capped."),
        ("UserPromptSubmit", "Cap the wait."),
    ]


def test_switched_off_nothing_is_sent(tmp_path: Path, server: Server) -> None:
    said = run(tmp_path, f"http://127.0.0.1:{server.server_port}", FIRST, MEM_OFF="1")
    assert len(said["parts"]) == 1
    assert server.taken == []


@pytest.mark.parametrize("script", [FIRST, SECOND])
def test_without_a_server_opencode_goes_on(tmp_path: Path, script: str) -> None:
    said = run(tmp_path, "http://127.0.0.1:1", script)
    assert said["compacting"] == []
