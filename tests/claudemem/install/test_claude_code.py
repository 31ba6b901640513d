"""What connecting Claude Code puts into its files, and that disconnecting leaves no trace of it."""

import json
import re
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from claudemem.install import claude_code, jsonedit
from claudemem.install.claude_code import AGENT, LOCAL, SERVERS, SETTINGS
from claudemem.install.plan import Connection, Files, Found, Plan, Refused, Surroundings

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
KEY = "cmem_" + "5e" * 24
VARIABLES = ["CLAUDE_MEM_SERVER_API_KEY", "MEM_OFF", "CLAUDE_CODE_ENTRYPOINT"]
OTHER_KEY = "cmem_" + "a1" * 24
HOME = Path("/home/ada")
CONNECTION = Connection(
    "http://127.0.0.1:37877",
    KEY,
    ("/opt/claudemem/bin/python", "-I", "-S", "/opt/claudemem/claudemem/hook/__main__.py"),
    HOME / ".claude-mem" / "client",
)
SETTINGS_FILES = {path.name: path.read_bytes() for path in sorted((HERE / "settings").iterdir())}
SERVERS_FILES = {path.name: path.read_bytes() for path in sorted((HERE / "servers").iterdir())}
NONE: dict[str, bytes | None] = {"no file": None}
PAIRS = [
    pytest.param(settings, servers, id=f"{one}-{two}")
    for (one, settings), (two, servers) in [
        *product({**NONE, **SETTINGS_FILES}.items(), [("state.json", SERVERS_FILES["state.json"])]),
        *product([("no file", None)], {**NONE, **SERVERS_FILES}.items()),
    ]
]


def files(
    settings: bytes | None = None, servers: bytes | None = None, local: bytes | str | None = ""
) -> dict[str, Found]:
    """Files of Claude Code with these contents, and of a directory if `local` is no text."""
    found = {
        SETTINGS: Found(HOME / ".claude/settings.json", settings),
        SERVERS: Found(HOME / ".claude.json", servers),
    }
    if not isinstance(local, str):
        found[LOCAL] = Found(HOME / "src/shop/.claude/settings.local.json", local)
    return found


def after(found: Files, plan: Plan) -> dict[str, Found]:
    """The files once a plan was carried out."""
    contents = {change.path: change.after for change in plan.changes}
    return {
        name: Found(each.path, contents[each.path], each.shared) for name, each in found.items()
    }


def contents(found: Files) -> list[bytes | None]:
    return [each.content for each in found.values()]


def said(found: Files, name: str) -> Any:
    return json.loads((found[name].content or b"{}").decode("utf-8-sig"))


def hooks(found: Files, name: str = SETTINGS) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Every hook: its event, its matcher, and itself."""
    return [
        (event, group.get("matcher"), hook)
        for event, groups in said(found, name).get("hooks", {}).items()
        for group in groups
        for hook in group["hooks"]
    ]


@pytest.mark.parametrize(("settings", "servers"), PAIRS)
def test_what_was_installed_and_uninstalled_leaves_the_very_bytes_that_were_there(
    settings: bytes | None, servers: bytes | None
) -> None:
    before = files(settings, servers)
    there = after(before, AGENT.install(before, CONNECTION))
    assert contents(there) != contents(before)

    assert contents(after(there, AGENT.uninstall(there))) == contents(before)


@pytest.mark.parametrize(("settings", "servers"), PAIRS)
def test_installing_twice_is_installing_once(settings: bytes | None, servers: bytes | None) -> None:
    before = files(settings, servers)
    once = after(before, AGENT.install(before, CONNECTION))

    assert AGENT.install(once, CONNECTION).due == ()


@pytest.mark.parametrize(("settings", "servers"), PAIRS)
def test_entries_of_another_port_path_and_key_are_brought_up_to_date_in_place(
    settings: bytes | None, servers: bytes | None
) -> None:
    moved = Connection(
        "https://memory.example.com",
        OTHER_KEY,
        ("/srv/py/bin/python3", "-I", "-S", "/srv/py/lib/claudemem/hook/__main__.py"),
        Path("/srv/data/client"),
    )
    before = files(settings, servers)
    old = after(before, AGENT.install(before, moved))
    new = after(old, AGENT.install(old, CONNECTION))

    assert contents(new) == contents(after(before, AGENT.install(before, CONNECTION)))
    assert contents(after(new, AGENT.uninstall(new))) == contents(before)


@pytest.mark.parametrize("name", SETTINGS_FILES)
def test_hooks_of_others_are_as_they_were_and_in_their_order(name: str) -> None:
    before = files(SETTINGS_FILES[name])
    if name == "blank.json":
        return
    there = after(before, AGENT.install(before, CONNECTION))

    others = [each for each in hooks(there) if not claude_code._is_our_hook(each[2])]
    assert others == hooks(before)


def test_each_event_that_takes_http_hooks_is_posted_and_a_sessions_start_is_run() -> None:
    there = after(files(), AGENT.install(files(), CONNECTION))
    posted = {event: (matcher, hook) for event, matcher, hook in hooks(there)}

    assert set(posted) == {
        "SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
        "SubagentStart", "SubagentStop", "Stop", "PreCompact", "SessionEnd",
    }  # fmt: skip
    assert {name for name, (matcher, _) in posted.items() if matcher} == {"PreToolUse"}
    assert posted["SessionStart"][1]["type"] == "command"
    _matcher, post = posted["PostToolUse"]
    assert post["url"] == "http://127.0.0.1:37877/v1/hooks/claude-code"
    assert post["headers"] == {
        "Authorization": "Bearer $CLAUDE_MEM_SERVER_API_KEY",
        "X-Claude-Mem-Off": "$MEM_OFF",
        "X-Claude-Mem-Entrypoint": "$CLAUDE_CODE_ENTRYPOINT",
    }
    assert post["allowedEnvVars"] == VARIABLES
    assert max(hook["timeout"] for _, hook in posted.values()) <= 5
    assert said(there, SETTINGS)["env"] == {"CLAUDE_MEM_SERVER_API_KEY": KEY}
    assert said(there, SERVERS)["mcpServers"]["claude-mem"] == {
        "type": "http",
        "url": "http://127.0.0.1:37877/v1/mcp",
        "headers": {"Authorization": f"Bearer {KEY}"},
    }


def test_a_client_in_a_directory_with_blanks_is_still_one_word() -> None:
    client = ("/home/ada/my env/bin/python", "/home/ada/my env/claudemem/hook/__main__.py")
    connection = Connection(CONNECTION.url, KEY, client, Path("/home/ada/my data/client"))
    there = after(files(), AGENT.install(files(), connection))
    (command,) = [hook["command"] for event, _, hook in hooks(there) if event == "SessionStart"]

    assert command == (
        "'/home/ada/my env/bin/python' '/home/ada/my env/claudemem/hook/__main__.py' "
        "claude-code '/home/ada/my data/client'"
    )
    assert AGENT.install(there, connection).due == ()
    assert contents(after(there, AGENT.uninstall(there))) == [None, None]


def test_only_files_with_a_key_in_them_become_their_owners_alone() -> None:
    plan = AGENT.install(files(), CONNECTION)
    assert [change.secret for change in plan.changes] == [True, True]

    project = Connection(*_parts(CONNECTION), project=True)
    plan = AGENT.install(files(local=None), project)
    assert {change.path.name: change.secret for change in plan.changes} == {
        "settings.json": True, ".claude.json": True, "settings.local.json": False,
    }  # fmt: skip


def test_what_is_shown_has_no_key_in_it() -> None:
    settings = SETTINGS_FILES["statusline-unicode.json"]
    shown = AGENT.install(files(settings), CONNECTION).diff()

    assert "CLAUDE_MEM_SERVER_API_KEY" in shown
    assert KEY not in shown
    assert "sk-ant" not in shown


# --- what others do meanwhile --------------------------------------------------------------------


@pytest.mark.parametrize("name", [each for each in SETTINGS_FILES if each != "blank.json"])
def test_what_the_user_changes_meanwhile_stays(name: str) -> None:
    before = files(SETTINGS_FILES[name])
    there = after(before, AGENT.install(before, CONNECTION))
    group = {"matcher": "Write", "hooks": [{"type": "command", "command": "notify"}]}

    def changed(found: Files) -> Files:
        document = jsonedit.load(found[SETTINGS].content, "settings.json")
        document = jsonedit.append(document, ("hooks", "PostToolUse"), group)
        document = jsonedit.put(document, ("theme",), "dark")
        return {**found, SETTINGS: Found(found[SETTINGS].path, jsonedit.dump(document))}

    left = after(changed(there), AGENT.uninstall(changed(there)))
    assert said(left, SETTINGS) == said(changed(before), SETTINGS)
    assert hooks(left) == hooks(changed(before))


@pytest.mark.parametrize("name", [each for each in SETTINGS_FILES if each != "blank.json"])
def test_a_file_that_the_agent_laid_out_anew_loses_what_is_ours_all_the_same(name: str) -> None:
    before = files(SETTINGS_FILES[name])
    there = after(before, AGENT.install(before, CONNECTION))
    anew = json.dumps(said(there, SETTINGS), indent=2, ensure_ascii=False).encode()
    left = after(
        {**there, SETTINGS: Found(there[SETTINGS].path, anew)},
        AGENT.uninstall({**there, SETTINGS: Found(there[SETTINGS].path, anew)}),
    )

    assert _full(said(left, SETTINGS)) == _full(said(before, SETTINGS))
    assert b"laude-mem/client" not in (left[SETTINGS].content or b"")
    assert b"/v1/hooks" not in (left[SETTINGS].content or b"")


def test_hooks_that_somebody_put_into_our_group_stay() -> None:
    there = after(files(), AGENT.install(files(), CONNECTION))
    document = jsonedit.load(there[SETTINGS].content, "settings.json")
    theirs = {"type": "command", "command": "prettier"}
    document = jsonedit.append(document, ("hooks", "Stop", 0, "hooks"), theirs)  # type: ignore[arg-type]
    there[SETTINGS] = Found(there[SETTINGS].path, jsonedit.dump(document))

    assert AGENT.install(there, CONNECTION).due == ()
    left = after(there, AGENT.uninstall(there))
    assert hooks(left) == [("Stop", None, theirs)]


def test_what_was_entered_by_hand_is_taken_over_and_not_doubled() -> None:
    by_hand = {
        "type": "http", "url": "http://127.0.0.1:40000/v1/hooks/claude-code", "timeout": 5,
        "headers": {"Authorization": "Bearer $CLAUDE_MEM_SERVER_API_KEY"},
        "allowedEnvVars": ["CLAUDE_MEM_SERVER_API_KEY"],
    }  # fmt: skip
    twice = {
        "hooks": {"Stop": [{"hooks": [by_hand, by_hand]}], "StopFailure": [{"hooks": [by_hand]}]}
    }
    servers = {"mcpServers": {"claude-mem": {"command": "/opt/bin/claudemem", "args": ["mcp"]}}}
    before = files(json.dumps(twice).encode(), json.dumps(servers).encode())
    there = after(before, AGENT.install(before, CONNECTION))

    (stop,) = [hook for event, _, hook in hooks(there) if event == "Stop"]
    assert stop["url"] == "http://127.0.0.1:37877/v1/hooks/claude-code"
    assert "StopFailure" not in {event for event, _, _ in hooks(there)}
    assert said(there, SERVERS)["mcpServers"]["claude-mem"]["type"] == "http"


# --- where hooks are held back --------------------------------------------------------------------


def test_lists_of_what_hooks_may_do_let_ours_through() -> None:
    before = files(SETTINGS_FILES["allow-lists.json"])
    there = said(after(before, AGENT.install(before, CONNECTION)), SETTINGS)

    assert there["allowedHttpHookUrls"] == [
        "https://hooks.example.com/*",
        "http://127.0.0.1:37877/v1/hooks/claude-code",
    ]
    assert there["httpHookAllowedEnvVars"] == VARIABLES


def test_a_list_that_lets_ours_through_already_stays_as_it_is() -> None:
    before = files(b'{"allowedHttpHookUrls": ["http://127.0.0.1:*"]}')
    there = said(after(before, AGENT.install(before, CONNECTION)), SETTINGS)

    assert there["allowedHttpHookUrls"] == ["http://127.0.0.1:*"]


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ('{"disableAllHooks": true}', "disableAllHooks"),
        ('{"enabledPlugins": {"claude-mem@thedotmack": true}}', "claude plugin disable"),
    ],
)
def test_what_keeps_hooks_from_working_is_said(settings: str, note: str) -> None:
    assert any(note in each for each in AGENT.install(files(settings.encode()), CONNECTION).notes)


# --- links ----------------------------------------------------------------------------------------


def test_files_that_are_links_get_no_key_and_the_user_is_told_how_it_is_found() -> None:
    before = {name: Found(each.path, each.content, shared=True) for name, each in files().items()}
    plan = AGENT.install(before, CONNECTION)
    there = after(before, plan)

    assert KEY not in "".join(str(each) for each in contents(there))
    assert len(hooks(there)) == 10
    assert said(there, SERVERS)["mcpServers"]["claude-mem"]["headers"] == {
        "Authorization": "Bearer ${CLAUDE_MEM_SERVER_API_KEY}"
    }
    assert any("export CLAUDE_MEM_SERVER_API_KEY=" in note for note in plan.notes)
    assert contents(after(there, AGENT.uninstall(there))) == contents(before)
    assert any("take that out as well" in note for note in AGENT.uninstall(there).notes)


def test_a_key_that_is_in_settings_which_became_a_link_is_taken_out() -> None:
    there = after(files(), AGENT.install(files(), CONNECTION))
    linked = {name: Found(each.path, each.content, shared=True) for name, each in there.items()}
    moved = after(linked, AGENT.install(linked, CONNECTION))

    assert KEY not in "".join(str(each) for each in contents(moved))


# --- one directory alone --------------------------------------------------------------------------


def _parts(connection: Connection) -> tuple[str, str, Any, Path]:
    return connection.url, connection.key, connection.client, connection.directory


@pytest.mark.parametrize("local", [None, *SETTINGS_FILES.values()])
def test_for_one_directory_its_own_settings_get_the_hooks_and_no_key(local: bytes | None) -> None:
    before = files(servers=SERVERS_FILES["state.json"], local=local)
    there = after(before, AGENT.install(before, Connection(*_parts(CONNECTION), project=True)))

    assert hooks(there) == []
    ours = [each for each in hooks(there, LOCAL) if claude_code._is_our_hook(each[2])]
    assert len(ours) == 10
    assert KEY.encode() not in (there[LOCAL].content or b"")
    assert said(there, SETTINGS) == {"env": {"CLAUDE_MEM_SERVER_API_KEY": KEY}}
    shop = said(there, SERVERS)["projects"]["/home/ada/src/shop"]
    assert shop["mcpServers"]["claude-mem"]["url"] == "http://127.0.0.1:37877/v1/mcp"
    assert "claude-mem" not in said(there, SERVERS)["mcpServers"]

    (note,) = AGENT.uninstall(there).notes
    assert "the key stays in /home/ada/.claude/settings.json" in note
    left = after(there, AGENT.uninstall(there))
    assert (left[LOCAL].content, left[SERVERS].content) == (local, before[SERVERS].content)


def test_directories_that_are_connected_by_themselves_are_named_when_all_is_taken_out() -> None:
    before = files(servers=SERVERS_FILES["state.json"], local=None)
    there = after(before, AGENT.install(before, Connection(*_parts(CONNECTION), project=True)))
    del there[LOCAL]

    (note,) = AGENT.uninstall(there).notes
    assert "/home/ada/src/shop" in note


# --- what cannot be understood --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (b'{"hooks": []}', "`hooks` is a list and must be an object"),
        (b'{"hooks": {"Stop": {}}}', "`hooks.Stop` is an object and must be a list"),
        (b'{"hooks": {"Stop": null}}', "`hooks.Stop` is null and must be a list"),
        (b'{"hooks": {"Stop": 1}}', "`hooks.Stop` is a number and must be a list"),
        (b"[]", "must hold an object"),
        (b'{"a": 1,}', "line 1: it is no JSON"),
        (b'{\n  // mine\n  "a": 1\n}', "line 2: there is a comment"),
        (b'{"a": 1} # mine', "there is a comment"),
        (b'{"a": NaN}', "holds JSON that cannot be read"),
        (b"\xff\xfe{\x00}\x00", "no text in UTF-8"),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, "holds JSON that cannot be read"),
    ],
)
@pytest.mark.parametrize("doing", ["install", "uninstall"])
def test_settings_that_cannot_be_understood_are_refused_with_a_sentence(
    settings: bytes, sentence: str, doing: str
) -> None:
    found = files(settings)
    with pytest.raises(jsonedit.Unreadable, match=re.escape(sentence)) as refused:
        AGENT.install(found, CONNECTION) if doing == "install" else AGENT.uninstall(found)
    assert str(refused.value).startswith("/home/ada/.claude/settings.json")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (b'{"env": "no"}', "`env` is a text and must be an object"),
        (b'{"hooks": {}, "hooks": {}}', "says `hooks` twice"),
    ],
)
def test_places_that_cannot_take_an_entry_are_refused_and_hold_none(
    settings: bytes, sentence: str
) -> None:
    with pytest.raises(jsonedit.Unreadable, match=sentence):
        AGENT.install(files(settings), CONNECTION)
    assert AGENT.uninstall(files(settings)).due == ()


def test_another_server_of_our_name_is_not_replaced() -> None:
    servers = b'{"mcpServers": {"claude-mem": {"command": "npx", "args": ["claude-mem"]}}}'
    with pytest.raises(Refused, match="claude mcp remove claude-mem"):
        AGENT.install(files(servers=servers), CONNECTION)
    assert AGENT.uninstall(files(servers=servers)).due == ()


# --- where the files are --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "settings", "servers"),
    [
        ({}, "/home/ada/.claude/settings.json", "/home/ada/.claude.json"),
        ({"CLAUDE_CONFIG_DIR": ""}, "/home/ada/.claude/settings.json", "/home/ada/.claude.json"),
        ({"CLAUDE_CONFIG_DIR": "/srv/cc"}, "/srv/cc/settings.json", "/srv/cc/.claude.json"),
    ],
)
def test_files_are_where_claude_code_has_them(
    environment: Mapping[str, str], settings: str, servers: str
) -> None:
    around = Surroundings(HOME, HOME / "src/shop", environment)

    assert AGENT.files(around, False) == {SETTINGS: Path(settings), SERVERS: Path(servers)}
    local = AGENT.files(around, True)[LOCAL]
    assert local == HOME / "src/shop/.claude/settings.local.json"


def test_a_hook_of_ours_that_is_there_three_times_is_taken_out_three_times() -> None:
    ours = {"hooks": [{"type": "http", "url": f"http://x{claude_code.ROUTE}"}]}
    theirs = {"hooks": [{"type": "command", "command": "./beep.sh"}]}
    each = [ours, theirs, ours, ours]
    there = files(json.dumps({"hooks": {"Stop": each}}).encode())
    assert [hook for _, _, hook in hooks(after(there, AGENT.uninstall(there)))] == theirs["hooks"]


def test_a_key_of_somebody_else_s_is_not_replaced_in_silence() -> None:
    def notes(found: Files) -> list[str]:
        plan = AGENT.install(found, CONNECTION)
        return [note for note in plan.notes if "keep a copy" in note]

    theirs = json.dumps({"env": {claude_code.KEY: OTHER_KEY}}).encode()
    assert len(notes(files(theirs))) == 1
    assert OTHER_KEY not in notes(files(theirs))[0]
    old = Connection(CONNECTION.url, OTHER_KEY, CONNECTION.client, CONNECTION.directory)
    assert notes(after(files(), AGENT.install(files(), old))) == []


def _full(value: Any) -> Any:
    """A value without what is empty in it, and holds nothing either way."""
    if isinstance(value, dict):
        inner = {name: _full(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each not in ({}, [])}
    return [_full(each) for each in value] if isinstance(value, list) else value
