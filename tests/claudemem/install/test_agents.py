"""The agents beside Claude Code: what connects them is put into their files and taken out again."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from claudemem.install import BY_NAME
from claudemem.install.jsonedit import Unreadable
from claudemem.install.plan import Connection, Found, Plan, Refused, Surroundings
from observations import agents

pytestmark = pytest.mark.once

OTHERS = ("codex", "cursor", "gemini", "opencode", "windsurf")
HOME = Path("/home/dev")
KEY = "cmem_" + "0123456789abcdef" * 2
CLIENT = ("/usr/bin/python3", "-I", "-S", "/opt/my apps/claudemem/hook/__main__.py")
CONNECTION = Connection("http://127.0.0.1:37877", KEY, CLIENT, HOME / ".claudemem/client")
MOVED = Connection("https://memory.example", KEY, CLIENT, HOME / ".claudemem/client")

OTHER_HOOKS = json.dumps(
    {
        "hooks": {
            "PostToolUse": [
                {"matcher": "Bash", "hooks": [{"type": "command", "command": "./audit.sh"}]}
            ],
            "Stop": [],
        }
    },
    indent="\t",
)
CODEX_TOML = """\
model = "gpt-5-codex"   # the best
approval_policy = "on-request"

[features]
hooks = true

[mcp_servers.docs]
command = "npx"
args = ["-y", "docs-mcp"]

[projects."/home/dev/shop"]
trust_level = "trusted"
"""
GEMINI = """\
{
    "theme": "GitHub",
    "mcpServers": { "docs": { "command": "npx", "args": ["docs"] } },
    "hooks": {
        "AfterTool": [
            { "matcher": "write_file", "hooks": [ { "type": "command", "command": "fmt" } ] }
        ]
    }
}
"""
FILES: list[tuple[str, dict[str, bytes | None]]] = [
    *((agent, {}) for agent in OTHERS),
    *((agent, {"hooks": b"{}", "servers": b"", "settings": b"{ }\n", "config": b""})
      for agent in OTHERS),
    ("codex", {"hooks": OTHER_HOOKS.encode(), "config": CODEX_TOML.encode()}),
    ("codex", {"config": CODEX_TOML.rstrip("\n").encode()}),
    ("codex", {"config": CODEX_TOML.replace("\n", "\r\n").encode()}),
    ("codex", {"config": b"\xef\xbb\xbf" + CODEX_TOML.encode() + b"\n\n"}),
    ("codex", {"config": b"\n", "hooks": b"\n"}),
    ("codex", {"config": b"# nothing yet", "hooks": b'{"hooks":{}}'}),
    ("cursor", {"hooks": b'{"version": 1}'}),
    ("cursor", {"hooks": b'{"version": 1, "hooks": {"stop": [{"command": "./beep.sh"}]}}\n'}),
    ("cursor", {"hooks": b'{"hooks": {"stop": []}, "version": 1}',
                "servers": b'{\r\n  "mcpServers": {\r\n  }\r\n}\r\n'}),
    ("gemini", {"settings": GEMINI.encode()}),
    ("gemini", {"settings": GEMINI.replace("\n", "\r\n").encode()}),
    ("gemini", {"settings": b'\xef\xbb\xbf{"hooksConfig": {"enabled": true}}'}),
    ("opencode", {"config": b'{"$schema": "https://opencode.ai/config.json", "mcp": {}}'}),
    ("opencode", {"config": b'{\n\t"mcp": {\n\t\t"servers": {}\n\t}\n}'}),
    ("windsurf", {"servers": b'{"mcpServers": {"docs": {"command": "npx"}}}',
                  "hooks": b'{"hooks": {"post_write_code": [{"command": "fmt"}]}}'}),
]  # fmt: skip


def found(agent: str, contents: Mapping[str, bytes | None], *, shared: bool = False) -> Any:
    paths = BY_NAME[agent].files(Surroundings(HOME, HOME / "shop", {}), False)
    return {name: Found(path, contents.get(name), shared) for name, path in paths.items()}


def after(plan: Plan, files: Mapping[str, Found]) -> dict[str, bytes | None]:
    by_path = {change.path: change.after for change in plan.changes}
    return {name: by_path[each.path] for name, each in files.items()}


def installed(
    agent: str, contents: Mapping[str, bytes | None], connection: Connection = CONNECTION
) -> dict[str, bytes | None]:
    files = found(agent, contents)
    return after(BY_NAME[agent].install(files, connection), files)


def uninstalled(agent: str, contents: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    files = found(agent, contents)
    return after(BY_NAME[agent].uninstall(files), files)


def before(agent: str, contents: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    return {name: each.content for name, each in found(agent, contents).items()}


def said(agent: str, contents: Mapping[str, bytes | None] | None = None) -> Any:
    """What an agent's files say once it is connected."""
    now = installed(agent, contents or {})
    return {
        name: tomllib.loads(text.decode("utf-8-sig"))
        if (agent, name) == ("codex", "config")
        else json.loads(text.decode("utf-8-sig"))
        for name, text in now.items()
        if text is not None and name != "plugin"
    }


def words(contents: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Without what is only layout."""
    return {name: b"".join((text or b"").split()) for name, text in contents.items()}


@pytest.mark.parametrize(("agent", "contents"), FILES)
def test_what_is_taken_out_leaves_the_bytes_that_were_there(
    agent: str, contents: dict[str, bytes | None]
) -> None:
    was = before(agent, contents)
    now = installed(agent, contents)
    assert now != was
    assert uninstalled(agent, now) == was
    assert uninstalled(agent, installed(agent, now, MOVED)) == was


@pytest.mark.parametrize(("agent", "contents"), FILES)
def test_twice_is_once_and_another_server_takes_the_place_of_the_first(
    agent: str, contents: dict[str, bytes | None]
) -> None:
    once = installed(agent, contents)
    assert installed(agent, once) == once
    moved = installed(agent, once, MOVED)
    assert b"127.0.0.1" not in b"".join(text or b"" for text in moved.values())
    assert words(installed(agent, moved)) == words(once)


@pytest.mark.parametrize("agent", OTHERS)
def test_what_holds_the_key_is_its_owners_alone_and_a_diff_does_not_show_it(agent: str) -> None:
    plan = BY_NAME[agent].install(found(agent, {}), CONNECTION)
    assert all(change.secret == (KEY.encode() in (change.after or b"")) for change in plan.changes)
    assert any(change.secret for change in plan.changes)
    assert KEY not in plan.diff()


@pytest.mark.parametrize("agent", OTHERS)
def test_no_key_is_put_into_a_file_that_may_be_shared(agent: str) -> None:
    plan = BY_NAME[agent].install(found(agent, {}, shared=True), CONNECTION)
    assert not any(KEY.encode() in (change.after or b"") for change in plan.changes)
    assert any("export CLAUDE_MEM_SERVER_API_KEY" in note for note in plan.notes)


@pytest.mark.parametrize("agent", ["codex", "cursor", "gemini", "windsurf"])
def test_every_event_that_is_hooked_is_one_that_the_server_understands(agent: str) -> None:
    hooks = said(agent).get("hooks") or said(agent)["settings"]
    documented = Path(__file__).parents[2] / f"documented/{agent}.jsonl"
    named = "agent_action_name" if agent == "windsurf" else "hook_event_name"
    known = {json.loads(line)[named] for line in documented.read_text().splitlines()}
    assert set(hooks["hooks"]) <= known
    command = f"'{CLIENT[-1]}' {agent} /home/dev/.claudemem/client"
    assert json.dumps(hooks).count(command) == len(hooks["hooks"])
    assert agent in agents.BY_NAME


def test_each_agent_is_given_its_server_in_its_own_words() -> None:
    url, bearer = "http://127.0.0.1:37877/v1/mcp", {"Authorization": f"Bearer {KEY}"}
    assert said("codex")["config"] == {
        "mcp_servers": {"claude-mem": {"url": url, "http_headers": bearer}}
    }
    assert said("cursor")["servers"]["mcpServers"]["claude-mem"]["url"] == url
    assert said("gemini")["settings"]["mcpServers"]["claude-mem"] == {
        "httpUrl": url, "headers": bearer,
    }  # fmt: skip
    assert said("windsurf")["servers"]["mcpServers"]["claude-mem"]["serverUrl"] == url
    first = said("opencode")["config"]["mcp"]["claude-mem"]
    assert (first["type"], first["url"], first["enabled"]) == ("remote", url, True)
    second = said("opencode", {"config": b'{"mcp": {"servers": {}}}'})["config"]["mcp"]["servers"]
    assert "enabled" not in second["claude-mem"]


def test_hooks_of_others_keep_their_place_before_ours() -> None:
    """Codex remembers which hooks are trusted by where they stand."""
    hooks = said("codex", {"hooks": OTHER_HOOKS.encode()})["hooks"]["hooks"]["PostToolUse"]
    assert hooks[0]["hooks"][0]["command"] == "./audit.sh"
    assert "__main__.py" in hooks[1]["hooks"][0]["command"]


@pytest.mark.parametrize(("agent", "event"), [("codex", "Stop"), ("cursor", "stop")])
def test_what_is_there_more_than_once_is_there_once_and_then_not_at_all(
    agent: str, event: str
) -> None:
    def commands(contents: Mapping[str, bytes | None]) -> list[str]:
        held = json.loads(contents["hooks"] or b"{}")["hooks"].get(event, [])
        return [str(each.get("command") or each["hooks"][0]["command"]) for each in held]

    ours = {"type": "command", "command": f"python /old/claudemem/hook/__main__.py {agent} /x"}
    theirs = {"type": "command", "command": "./beep.sh"}
    each = [{"hooks": [hook]} if agent == "codex" else hook for hook in (ours, theirs, ours, ours)]
    now = installed(agent, {"hooks": json.dumps({"hooks": {event: each}}).encode()})
    assert commands(now)[1:] == ["./beep.sh"]
    assert CLIENT[-1] in commands(now)[0]
    assert commands(uninstalled(agent, now)) == ["./beep.sh"]


def test_what_codex_adds_meanwhile_stays_and_what_it_hangs_below_our_server_goes() -> None:
    now = installed("codex", {"config": CODEX_TOML.encode()})
    assert now["config"]
    allowed = b'\n[mcp_servers.claude-mem.tools.search]\napproval_mode = "approve"\n'
    theirs = b'\n[projects."/home/dev/other"]\ntrust_level = "trusted"\n'
    now["config"] = now["config"].replace(b"[features]", b"[tui]\ntheme = 1\n\n[features]")
    now["config"] += allowed + theirs
    left = uninstalled("codex", now)["config"]
    assert left
    assert tomllib.loads(left.decode()) == tomllib.loads(
        CODEX_TOML.replace("[features]", "[tui]\ntheme = 1\n\n[features]") + theirs.decode()
    )


@pytest.mark.parametrize(
    "set_by_hand",
    [b'enabled_tools = [\n  "search",\n  "timeline",\n]\n', b"\n# slow\ntool_timeout_sec = 9 # s\n",
     b'"enabled" = false\n', b'env.note = """\n[tui]\nno = "table"\n"""\n'],
    ids=["lines", "comment", "quoted", "text"],
)  # fmt: skip
def test_what_is_set_by_hand_in_our_table_goes_with_it(set_by_hand: bytes) -> None:
    now = installed("codex", {"config": CODEX_TOML.encode()})
    assert now["config"]
    theirs = b"\n# of others\n[tui]\ntheme = 1\n"
    left = uninstalled("codex", now | {"config": now["config"] + set_by_hand + theirs})["config"]
    assert left == CODEX_TOML.encode() + theirs


def test_a_file_of_codex_s_keeps_its_lines_whatever_became_of_those_around_ours() -> None:
    def left(content: bytes, edited: tuple[bytes, bytes]) -> bytes | None:
        now = installed("codex", {"config": content})
        assert now["config"]
        assert edited[0] in now["config"]
        return uninstalled("codex", {"config": now["config"].replace(*edited)})["config"]

    closer = (b"\n\n# Put here", b"\n# Put here")
    assert left(CODEX_TOML.encode(), closer) == CODEX_TOML.encode()
    more = (b'"Bearer ' + KEY.encode() + b'" }\n', b'"Bearer x" }\n[tui]\ntheme = 1\n')
    assert left(b'model = "x"', more) == b'model = "x"\n[tui]\ntheme = 1\n'
    assert left(b"", more) == b"[tui]\ntheme = 1\n"


def test_a_server_of_our_name_that_is_another_s_is_refused() -> None:
    theirs = b'{"mcpServers": {"claude-mem": {"command": "npx"}}}'
    for agent, name in (("cursor", "servers"), ("gemini", "settings"), ("windsurf", "servers")):
        with pytest.raises(Refused, match="another MCP server"):
            installed(agent, {name: theirs})
        assert uninstalled(agent, {name: theirs})[name] == theirs
    with pytest.raises(Refused, match="codex mcp remove"):
        installed("codex", {"config": b'[mcp_servers.claude-mem]\ncommand = "npx"\n'})
    with pytest.raises(Refused, match="is not claudemem's"):
        installed("opencode", {"plugin": b"export const Mine = 1"})
    assert uninstalled("opencode", {"plugin": b"export const Mine = 1"})["plugin"]


@pytest.mark.parametrize(
    ("agent", "contents", "why"),
    [
        ("codex", {"config": b"model = "}, "is no TOML"),
        ("codex", {"config": b'\xff = "x"'}, "UTF-8"),
        ("codex", {"hooks": b"[1]"}, "must hold an object"),
        ("gemini", {"settings": b'{\n  // my theme\n  "theme": 1\n}'}, "comment"),
        ("cursor", {"hooks": b'{"hooks": []}'}, "must be an object"),
    ],
)
def test_what_cannot_be_edited_is_refused_with_what_to_do(
    agent: str, contents: dict[str, bytes | None], why: str
) -> None:
    with pytest.raises(Unreadable, match=why):
        installed(agent, contents)


def test_servers_in_a_form_that_cannot_be_added_to_are_left_alone() -> None:
    with pytest.raises(Refused, match="by hand"):
        installed("codex", {"config": b'mcp_servers = { docs = { command = "npx" } }\n'})


def test_what_switches_hooks_off_is_said() -> None:
    def notes(agent: str, name: str, text: bytes) -> str:
        return "\n".join(BY_NAME[agent].install(found(agent, {name: text}), CONNECTION).notes)

    assert "switches hooks off" in notes("codex", "config", b"[features]\nhooks = false\n")
    off = b'{"hooksConfig": {"disabled": ["claude-mem"]}}'
    assert "switches our hooks off" in notes("gemini", "settings", off)
    assert "trusted" in notes("codex", "config", b"")
    assert "over MCP" in notes("windsurf", "hooks", b"{}")


def test_files_are_looked_for_where_the_environment_says() -> None:
    named = {"CODEX_HOME": "/c", "GEMINI_CLI_HOME": "/g", "XDG_CONFIG_HOME": "/x"}
    around = Surroundings(HOME, HOME, named)
    assert BY_NAME["codex"].files(around, False)["config"] == Path("/c/config.toml")
    assert BY_NAME["gemini"].files(around, False)["settings"] == Path("/g/.gemini/settings.json")
    assert BY_NAME["opencode"].files(around, False)["config"] == Path("/x/opencode/opencode.json")
