"""What a prompt asks for, without the boilerplate that programs put around it."""

import re

from observations.providers.offline.wording import clip, ended, line_of, plain, sentences

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[a-z][\w-]*(?:\s[^<>\n]*)?>", re.IGNORECASE)
_NOTICE = re.compile(
    r"<(task-notification|local-command-\w+|command-\w+|system-reminder)\b.*?(?:</\1>|\Z)",
    re.DOTALL,
)
# From such a line on a prompt tells how to work, no longer what is wanted.
_INSTRUCTIONS = re.compile(
    r"^(?:#+ )?(?:INSTRUCTIONS|IMPORTANT|TIPS|RULES|GUIDELINES|NOTE|OUTPUT FORMAT|CONSTRAINTS)\b"
    r"[^\n]*:",
    re.MULTILINE,
)
_INTRODUCTION = re.compile(
    r"\s*(?:We(?:'re| are) currently solving the following[^.:\n]*[.:]\s*|"
    r"Here(?:'s| is) the (?:issue|task|problem)[^.:\n]*[.:]\s*|"
    r"(?:ISSUE|TASK|PROBLEM|REQUEST):\s*|(?:Hi|Hello|Hey)(?: there| all| everyone)?[!,.]\s*|"
    r"(?:Please|Could you|Can you)(?: please)? (?=\w+ \w+))",
    re.IGNORECASE,
)


def request_of(prompt: str, limit: int = 600) -> str:
    """The request in a prompt, at most `limit` characters long; "" if there is none in it."""
    text = _NOTICE.sub(" ", plain(prompt[:20_000]))
    text = "\n".join(line_of(line) for line in text.split("\n"))
    end = _INSTRUCTIONS.search(text)
    if end and len(text[: end.start()].strip()) > 20:
        text = text[: end.start()]
    text = _TAG.sub(" ", _FENCED.sub("\n\n", text[:8_000])).strip()
    while (start := _INTRODUCTION.match(text)) and start.end() < len(text):
        text = text[start.end() :]
    return _cut(_parts(text), limit)


def _parts(text: str) -> list[str]:
    """The text's sentences; a line that stands alone, as a title does, is one of them."""
    lines = re.sub(r"^([^\n]{3,100}[^\n.:,;])\n(?=\s*[A-Z\n])", r"\1.\n\n", text)
    lines = re.sub(r":\s*\n", ": ", lines)
    lines = re.sub(
        r"(?<=^)([^\n]{0,59}[^\n.:,;!?\s])\n(?=[A-Z])", r"\1.\n", lines, flags=re.MULTILINE
    )
    return [ended(each) for each in sentences(lines) if re.search(r"\w", each)]


def _cut(parts: list[str], limit: int) -> str:
    whole = ""
    for part in parts:
        if whole and len(whole) + len(part) >= limit:
            break
        whole = f"{whole} {part}" if whole else clip(part, limit)
    return line_of(whole)
