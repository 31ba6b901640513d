"""Our MCP server in Codex's config.toml: a table of its own, put behind all others. Pure.

Codex writes to that file itself and moves what follows a table, so the table begins with a comment
that is ours, which stays with it, and ends where the next one begins. The comment says as well what
was in front of it, so that the bytes that were there are there again when it is taken out.
"""

import json
import re
import tomllib
from typing import Any

from claudemem.install import entries
from claudemem.install.jsonedit import Unreadable
from claudemem.install.plan import Found, Refused

_BOM = "\ufeff"
_TABLE = f"mcp_servers.{entries.SERVER}"
_MARK = "# Put here by `claudemem install codex`"
_WHOLE, _UNENDED = ", which made this file", ", behind a line without an end"
_BEGIN = re.compile(
    rf"^{re.escape(_MARK)}(?P<how>{re.escape(_WHOLE)}|{re.escape(_UNENDED)}|)\r?\n"
    rf"\[{re.escape(_TABLE)}\][ \t]*(?:\r?\n|\Z)",
    re.MULTILINE,
)
_HEADER = re.compile(r"^[ \t]*\[\[?[ \t]*(?P<name>[^\]\r\n]*)", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def entry(content: bytes) -> Any:
    """The MCP server of our name in the file; None if there is none."""
    servers = _parsed(content.decode("utf-8-sig"), "config.toml").get("mcp_servers")
    return servers.get(entries.SERVER) if isinstance(servers, dict) else None


def served(found: Found, url: str, key: str) -> bytes:
    """The file with our server in it. Raises Unreadable, and Refused for another's of its name."""
    place = str(found.path)
    marked, text = _text(found)
    _parsed(text, place)
    block = _block(url, "" if found.shared else key)
    if _BEGIN.search(text):
        begin, end, how = _extent(text)
        after = text[:begin] + _lines(text, how, block) + text[end:]
    else:
        _see_no_other(found)
        after = text + _gap(found, text) + _lines(text, _how(found, text), block)
    try:
        tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        raise Refused(
            f"{place} has its MCP servers in a form to which none can be added at the end: add\n"
            f"[{_TABLE}]\n{block}by hand"
        ) from None
    return (_BOM * marked + after).encode()


def unserved(found: Found) -> bytes | None:
    """The file as it was without our server; None where there was none. Raises Unreadable."""
    if found.content is None:
        return None
    marked, text = _text(found)
    _parsed(text, str(found.path))
    if not _BEGIN.search(text):
        return found.content
    begin, end, how = _extent(text)
    before, rest = _ungapped(text[:begin], how), _without_own(text[end:])
    if how == _WHOLE and not (before + rest).strip():
        return None
    if rest and how == _UNENDED:
        before += _newline(text)
    return (_BOM * marked + before + rest).encode()


def _block(url: str, key: str) -> str:
    how = (
        f"http_headers = {{ Authorization = {_quoted(f'Bearer {key}')} }}"
        if key
        else f"bearer_token_env_var = {_quoted(entries.KEY)}"
    )
    return f"url = {_quoted(url + entries.MCP_ROUTE)}\n{how}\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _lines(text: str, how: str, block: str) -> str:
    return f"{_MARK}{how}\n[{_TABLE}]\n{block}".replace("\n", _newline(text))


def _how(found: Found, text: str) -> str:
    if found.content is None:
        return _WHOLE
    return "" if not text or text.endswith("\n") else _UNENDED


def _gap(found: Found, text: str) -> str:
    """What is put between what is there and the table: an empty line."""
    return _newline(text) * (0 if not text else 2 if _how(found, text) == _UNENDED else 1)


def _ungapped(before: str, how: str) -> str:
    newline = _newline(before)
    if how == _UNENDED and before.endswith(newline * 2):
        return before[: -2 * len(newline)]
    alone = before.endswith(newline * 2) or before == newline
    return before[: -len(newline)] if alone else before


def _extent(text: str) -> tuple[int, int, str]:
    """Where our table begins and ends: with the last thing that is set in it, whoever set it."""
    match = _BEGIN.search(text)
    assert match is not None
    lines = _LINE.findall(text[match.end() : _next_table(text, match.end())])
    # Comments and empty lines behind that belong to what follows.
    while lines and lines[-1].strip()[:1] in ("", "#"):
        lines.pop()
    return match.start(), match.end() + len("".join(lines)), match["how"]


def _next_table(text: str, position: int) -> int:
    """Where the first table behind a position begins; what looks so within a value is none."""
    starts = (match.start() for match in _HEADER.finditer(text, position))
    return next((start for start in starts if _is_toml(text[:start])), len(text))


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _without_own(text: str) -> str:
    """Without the tables that Codex has put below ours: a server is no server without its URL."""
    kept, begin = [], 0
    headers = [*_HEADER.finditer(text), None]
    for match, following in zip([None, *headers[:-1]], headers, strict=True):
        end = following.start() if following else len(text)
        name = match["name"].replace('"', "").strip() if match else ""
        if not name.startswith(f"{_TABLE}."):
            kept.append(text[begin:end])
        begin = end
    return "".join(kept)


def _see_no_other(found: Found) -> None:
    there = entry(found.content or b"")
    if there is not None:
        raise Refused(
            f"{found.path} has an MCP server of the name {entries.SERVER} that claudemem did not "
            f"put there: run `codex mcp remove {entries.SERVER}`, then this again"
        )


def _text(found: Found) -> tuple[bool, str]:
    try:
        text = (found.content or b"").decode()
    except UnicodeDecodeError:
        raise Unreadable(f"{found.path} is no text in UTF-8: mend it, or move it away") from None
    return text.startswith(_BOM), text.removeprefix(_BOM)


def _parsed(text: str, place: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"{place} is no TOML ({error}): mend it, or move it away") from None


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
