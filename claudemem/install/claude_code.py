"""Claude Code: `http` hooks, one command at a session's start, the key, and the MCP server. Pure.

Source: Claude Code's references of hooks, settings and MCP, version 2.1. Of its events these are
the ones that the server makes something of, or answers. SessionStart takes commands alone; every
other takes `http` hooks, whose headers are filled in from the environment and so from `env` of the
settings. What is ours is known by itself: by the path of the URL, by that of the client, by the
name of the variable.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit

from claudemem.install import jsonedit
from claudemem.install.jsonedit import JSON, Document
from claudemem.install.plan import Agent, Change, Connection, Files, Found, Plan, Refused
from claudemem.install.plan import Surroundings as Around

NAME = "claude-code"
SERVER = "claude-mem"
KEY = "CLAUDE_MEM_SERVER_API_KEY"
OFF = "MEM_OFF"
# How the agent was started, which it tells its children; a policy of the server may ask for it.
STARTED_BY = "CLAUDE_CODE_ENTRYPOINT"
TOLD = (KEY, OFF, STARTED_BY)
ROUTE = f"/v1/hooks/{NAME}"
MCP_ROUTE = "/v1/mcp"
# Each event that is posted, and which tools it is for where it is not for all.
POSTED: Mapping[str, str | None] = {
    "UserPromptSubmit": None,
    "PreToolUse": "Read",
    "PostToolUse": None,
    "PostToolUseFailure": None,
    "SubagentStart": None,
    "SubagentStop": None,
    "Stop": None,
    "PreCompact": None,
    "SessionEnd": None,
}
STARTED = "SessionStart"
# Seconds. The client ends by itself before that; the agent waits for a server so long at most.
_COMMAND_TIMEOUT = 5
_POST_TIMEOUT = 2
_CLIENT = re.compile(r"claudemem[/\\]+hook[/\\]+__main__\.py")
# Plugins that remember as well: those of claude-mem and of this server.
_PLUGINS = ("claude-mem", "claudemem")
# Files, by what they are to Claude Code.
SETTINGS, SERVERS, LOCAL = "settings", "servers", "local"

Place = tuple[int, int]


def handlers(url: str, command: str) -> dict[str, dict[str, JSON]]:
    """What is run or posted at each event to the server at `url`, as a group of hooks."""
    post = {
        "type": "http",
        "url": url + ROUTE,
        "timeout": _POST_TIMEOUT,
        "headers": {
            "Authorization": f"Bearer ${KEY}",
            "X-Claude-Mem-Off": f"${OFF}",
            "X-Claude-Mem-Entrypoint": f"${STARTED_BY}",
        },
        "allowedEnvVars": list(TOLD),
    }
    run = {"type": "command", "command": command, "timeout": _COMMAND_TIMEOUT}
    posted = {event: _group(matcher, post) for event, matcher in POSTED.items()}
    return {STARTED: _group(None, run), **posted}


def server(url: str, key: str) -> dict[str, JSON]:
    """The entry of the MCP server; `key` as its header is to say it."""
    return {"type": "http", "url": url + MCP_ROUTE, "headers": {"Authorization": f"Bearer {key}"}}


def _group(matcher: str | None, handler: JSON) -> dict[str, JSON]:
    return {**({} if matcher is None else {"matcher": matcher}), "hooks": [handler]}


def _files(around: Around, project: bool) -> Mapping[str, Path]:
    named = around.environment.get("CLAUDE_CONFIG_DIR", "").strip()
    folder = Path(named).expanduser() if named else around.home / ".claude"
    servers = (folder if named else around.home) / ".claude.json"
    user = {SETTINGS: folder / "settings.json", SERVERS: servers}
    return {**user, LOCAL: around.here / ".claude" / "settings.local.json"} if project else user


def _install(found: Files, connection: Connection) -> Plan:
    settings, servers = found[SETTINGS], found[SERVERS]
    hooked = found[LOCAL] if connection.project else settings
    documents = {name: _load(each) for name, each in found.items()}
    former = _formers(settings, documents[SETTINGS], connection)
    command = shlex.join(connection.command(NAME))
    groups = handlers(connection.url, command)
    name = LOCAL if connection.project else SETTINGS
    documents[name] = _allowed(_hooked(documents[name], groups), connection.url + ROUTE)
    documents[SETTINGS] = _keyed(documents[SETTINGS], None if settings.shared else connection.key)
    entry = server(connection.url, f"${{{KEY}}}" if servers.shared else connection.key)
    documents[SERVERS] = _served(documents[SERVERS], _scope(found), entry)
    notes = [*_warnings(documents[name].value, hooked), *former, *_exports(settings, connection)]
    return Plan(_changes(found, documents), tuple(notes))


def _uninstall(found: Files) -> Plan:
    documents = {name: _load(each) for name, each in found.items()}
    scope = _scope(found)
    hooked = LOCAL if LOCAL in found else SETTINGS
    documents[hooked] = _unallowed(_hooked(documents[hooked], {}))
    if LOCAL not in found:
        documents[SETTINGS] = _keyed(documents[SETTINGS], None)
    if _is_our_server(jsonedit.at(documents[SERVERS], scope).get(SERVER)):
        documents[SERVERS] = jsonedit.take(documents[SERVERS], (*scope, SERVER))
    if LOCAL in found:
        notes = _kept(found[SETTINGS], documents[SETTINGS])
    else:
        notes = _left(found[SETTINGS], documents[SERVERS].value)
    return Plan(_changes(found, documents), tuple(notes))


def _load(found: Found) -> Document:
    return jsonedit.load(found.content, str(found.path))


def _changes(found: Files, documents: Mapping[str, Document]) -> tuple[Change, ...]:
    return tuple(
        Change(
            each.path, each.content, jsonedit.dump(documents[name]), secret=_holds(documents[name])
        )
        for name, each in found.items()
    )


def _holds(document: Document) -> bool:
    """Whether a key is in it as such."""
    return bool(document.text and re.search(r"\b(?:cmem_|cm_)[0-9a-f]{20}", document.text))


def _scope(found: Files) -> tuple[str, ...]:
    """Where servers are kept: those of the user, or those of one directory."""
    if LOCAL not in found:
        return ("mcpServers",)
    return ("projects", str(found[LOCAL].path.parent.parent), "mcpServers")


def _keyed(document: Document, key: str | None) -> Document:
    """The settings with the key in what they put into the environment, or without any."""
    if key is None:
        return jsonedit.take(document, ("env", KEY))
    return jsonedit.put(document, ("env", KEY), key)


def _hooked(document: Document, groups: Mapping[str, JSON]) -> Document:
    """The settings with these hooks of ours and no others."""
    events = jsonedit.at(document, ("hooks",))
    for event in [*groups, *(each for each in events if each not in groups)]:
        ours = list(_ours(jsonedit.at(document, ("hooks", event), list)))
        for place in reversed(ours[1 if event in groups else 0 :]):
            document = _unhooked(document, event, place)
        if event in groups:
            document = _hook(document, event, groups[event], ours[:1])
    return document


def _hook(document: Document, event: str, group: JSON, there: list[Place]) -> Document:
    if not there:
        return jsonedit.append(document, ("hooks", event), group)
    ((outer, inner),) = there
    return jsonedit.put(document, ("hooks", event, outer, "hooks", inner), group["hooks"][0])


def _unhooked(document: Document, event: str, place: Place) -> Document:
    """The settings without one hook; and without its group, if it was alone in it."""
    outer, inner = place
    alone = len(document.value["hooks"][event][outer]["hooks"]) == 1
    path = ("hooks", event, outer) if alone else ("hooks", event, outer, "hooks", inner)
    return jsonedit.take(document, path)


def _ours(groups: list[JSON]) -> Iterator[Place]:
    for outer, group in enumerate(groups):
        inside = group.get("hooks") if isinstance(group, dict) else None
        for inner, hook in enumerate(inside if isinstance(inside, list) else ()):
            if isinstance(hook, dict) and _is_our_hook(hook):
                yield outer, inner


def _is_our_hook(hook: Mapping[str, Any]) -> bool:
    if hook.get("type") == "http":
        return _leads_to(hook.get("url"), ROUTE)
    command = hook.get("command")
    return isinstance(command, str) and bool(_CLIENT.search(command))


def _leads_to(url: JSON, route: str) -> bool:
    try:
        return isinstance(url, str) and urlsplit(url).path.endswith(route)
    except ValueError:
        return False


def _served(document: Document, scope: tuple[str, ...], entry: JSON) -> Document:
    there = jsonedit.at(document, scope).get(SERVER)
    if there is not None and not _is_our_server(there):
        raise Refused(
            f"{document.place} has another MCP server of the name {SERVER}: remove it with "
            f"`claude mcp remove {SERVER}`, and run this again"
        )
    return jsonedit.put(document, (*scope, SERVER), entry)


def _is_our_server(entry: JSON) -> bool:
    if not isinstance(entry, dict):
        return False
    command = entry.get("command")
    ours = isinstance(command, str) and PurePath(command).name in ("claudemem", "claudemem.exe")
    return ours or _leads_to(entry.get("url"), MCP_ROUTE)


def _allowed(document: Document, url: str) -> Document:
    """The settings with our hooks let through, where they say which are."""
    patterns = _unlisted(document.value, "allowedHttpHookUrls")
    if patterns is not None and not any(fnmatchcase(url, each) for each in patterns):
        document = jsonedit.append(_unallowed(document), ("allowedHttpHookUrls",), url)
    for name in TOLD:
        names = _unlisted(document.value, "httpHookAllowedEnvVars")
        if names is not None and name not in names:
            document = jsonedit.append(document, ("httpHookAllowedEnvVars",), name)
    return document


def _unallowed(document: Document) -> Document:
    for name in ("allowedHttpHookUrls", "httpHookAllowedEnvVars"):
        listed = _unlisted(document.value, name) or []
        for index in reversed(range(len(listed))):
            if listed[index] in TOLD or _leads_to(listed[index], ROUTE):
                document = jsonedit.take(document, (name, index))
    return document


def _unlisted(value: Mapping[str, JSON], name: str) -> list[str] | None:
    """A list of texts in the settings, None where there is none."""
    listed = value.get(name)
    return [str(each) for each in listed] if isinstance(listed, list) else None


def _warnings(value: Mapping[str, JSON], found: Found) -> Iterator[str]:
    if value.get("disableAllHooks") is True:
        yield f"{found.path} says disableAllHooks: nothing is remembered until that is taken out"
    plugins = value.get("enabledPlugins")
    for name, on in plugins.items() if isinstance(plugins, dict) else ():
        if on and name.partition("@")[0] in _PLUGINS:
            yield (
                f"the plugin {name} is enabled as well: `claude plugin disable {name}`, unless "
                "both are to remember"
            )


def _formers(settings: Found, document: Document, connection: Connection) -> list[str]:
    """What becomes of a key that somebody else put where ours is to be."""
    there = jsonedit.at(document, ("env",)).get(KEY)
    events = jsonedit.at(document, ("hooks",)).values()
    ours = any(True for groups in events if isinstance(groups, list) for _ in _ours(groups))
    if there in (None, connection.key) or ours or connection.project:
        return []
    return [
        f"{settings.path} sets {KEY} already, for something else: that is replaced, and not put "
        "back when this is uninstalled; keep a copy of it"
    ]


def _exports(settings: Found, connection: Connection) -> Iterator[str]:
    """Where a key is not put into settings that may be shared: how it gets into the environment."""
    if settings.shared:
        config = shlex.quote(str(connection.directory / "config.json"))
        yield (
            f"{settings.path} is a link, so the key is not put there: have the profile of your "
            f"shell say `export {KEY}=…`, with the key that is in {config}"
        )


def _left(settings: Found, servers: Mapping[str, JSON]) -> Iterator[str]:
    """What is to be undone somewhere else."""
    if settings.shared:
        yield f"if the profile of your shell says `export {KEY}=…`, take that out as well"
    for each in _elsewhere(servers):
        yield f"{each} is connected by itself: `claudemem uninstall claude-code --project` there"


def _kept(settings: Found, document: Document) -> Iterator[str]:
    """What is for all directories and stays when one is disconnected."""
    if KEY in jsonedit.at(document, ("env",)):
        yield f"the key stays in {settings.path}: `claudemem uninstall {NAME}` takes it out"


def _elsewhere(value: Mapping[str, JSON]) -> Iterator[str]:
    """The directories that are connected by themselves."""
    projects = value.get("projects")
    for place, each in projects.items() if isinstance(projects, dict) else ():
        servers = each.get("mcpServers") if isinstance(each, dict) else None
        if isinstance(servers, dict) and _is_our_server(servers.get(SERVER)):
            yield place


AGENT = Agent(NAME, "Claude Code", _files, _install, _uninstall, project=True)
