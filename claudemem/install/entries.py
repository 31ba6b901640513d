"""What agents that run commands have in common: hooks that run our client, and an MCP server. Pure.

Hooks are lists by event, of groups of commands as Claude Code has them, or of commands alone. What
is ours is known by itself: a hook by the path of the client, a server by its name and its URL.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from claudemem.install import jsonedit
from claudemem.install.jsonedit import JSON, Document
from claudemem.install.plan import Change, Files, Found, Refused

SERVER = "claude-mem"
KEY = "CLAUDE_MEM_SERVER_API_KEY"
MCP_ROUTE = "/v1/mcp"
_CLIENT = re.compile(r"claudemem[/\\]+hook[/\\]+__main__\.py")
_A_KEY = re.compile(rb"\b(?:cmem_|cm_)[0-9a-f]{20}")

Place = tuple[int, ...]


def load(found: Found) -> Document:
    """A file's settings. Raises Unreadable."""
    return jsonedit.load(found.content, str(found.path))


def changes(found: Files, after: Mapping[str, bytes | None]) -> tuple[Change, ...]:
    """Each file with what it is to hold; one that holds a key is its owner's alone."""
    return tuple(
        Change(each.path, each.content, after[name], secret=bool(_A_KEY.search(after[name] or b"")))
        for name, each in found.items()
    )


def hooked(document: Document, entries: Mapping[str, JSON]) -> Document:
    """The document with these hooks of ours, one an event, and no others. Raises Unreadable.

    An entry with `hooks` in it is a group. One that is there already stays where it is.
    """
    events = jsonedit.at(document, ("hooks",))
    for event in [*entries, *(each for each in events if each not in entries)]:
        ours = list(_ours(jsonedit.at(document, ("hooks", event), list)))
        for place in reversed(ours[1 if event in entries else 0 :]):
            document = _taken(document, event, place)
        if event not in entries:
            continue
        entry = entries[event]
        if not ours:
            document = jsonedit.append(document, ("hooks", event), entry)
        else:
            hook = entry["hooks"][0] if len(ours[0]) > 1 else entry
            document = jsonedit.put(document, _path(event, ours[0]), hook)
    return document


def _taken(document: Document, event: str, place: Place) -> Document:
    """The document without one hook; and without its group, if it was alone in it."""
    if len(place) > 1 and len(document.value["hooks"][event][place[0]]["hooks"]) == 1:
        place = place[:1]
    return jsonedit.take(document, _path(event, place))


def _path(event: str, place: Place) -> tuple[str | int, ...]:
    outer, *inner = place
    return ("hooks", event, outer, *(("hooks", inner[0]) if inner else ()))


def _ours(entries: list[JSON]) -> Iterator[Place]:
    for outer, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        if _is_our_hook(entry):
            yield (outer,)
        inside = entry.get("hooks")
        for inner, hook in enumerate(inside if isinstance(inside, list) else ()):
            if isinstance(hook, dict) and _is_our_hook(hook):
                yield outer, inner


def _is_our_hook(hook: Mapping[str, JSON]) -> bool:
    command = hook.get("command")
    return isinstance(command, str) and bool(_CLIENT.search(command))


def served(document: Document, path: Sequence[str], entry: Mapping[str, JSON]) -> Document:
    """The document with our MCP server below `path`. Raises Unreadable, and Refused for another's
    server of its name.
    """
    there = jsonedit.at(document, path).get(SERVER)
    if there is not None and not is_our_server(there):
        raise Refused(
            f"{document.place} has another MCP server of the name {SERVER}: take it out, and run "
            "this again"
        )
    return jsonedit.put(document, (*path, SERVER), dict(entry))


def unserved(document: Document, path: Sequence[str]) -> Document:
    """The document without our MCP server below `path`. Raises Unreadable."""
    if is_our_server(jsonedit.at(document, path).get(SERVER)):
        return jsonedit.take(document, (*path, SERVER))
    return document


def is_our_server(entry: JSON) -> bool:
    """Whether an MCP server's entry leads to a server of claudemem."""
    if not isinstance(entry, dict):
        return False
    return any(leads_to(entry.get(name)) for name in ("url", "httpUrl", "serverUrl"))


def leads_to(url: JSON) -> bool:
    """Whether this is the URL of a claudemem server's MCP."""
    try:
        return isinstance(url, str) and urlsplit(url).path.endswith(MCP_ROUTE)
    except ValueError:
        return False


def exported(found: Found) -> str:
    """What is said where a file may be shared, so that no key is put into it."""
    return (
        f"{found.path} is a link, so the key is not put there: have the profile of your shell say "
        f"`export {KEY}=…`"
    )
