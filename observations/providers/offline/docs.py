"""What documentation strings say, in any of the usual styles."""

import re

from observations.providers.offline.wording import line_of

_LOOKED_AT = 4_000  # characters
_SECTION = re.compile(
    r"^[ \t]*(?:(?:Parameters|Args|Arguments|Returns?|Raises|Yields|Examples?|Notes?|Attributes|"
    r"See Also)(?::[ \t]*$|[ \t]*\n[ \t]*-{3,})|:(?:param|returns?|raises?|type|rtype)\b|"
    r"@(?:param|returns?)\b|>>> )",
    re.MULTILINE,
)
_MORE = r"\S[^\n]*(?:\n[ \t]+(?![A-Za-z_]\w*:|[:@-])\S[^\n]*){0,3}"
_PARAMETER = re.compile(
    rf"^[ \t]*([A-Za-z_]\w*)(?:[ \t]*\([^)\n]*\))?:[ \t]*(?:\n[ \t]+)?({_MORE})"
    rf"|^[ \t]*[:@]param[ \t]+(?:\w+[ \t]+)?(\w+):?[ \t]*({_MORE})",
    re.MULTILINE,
)


def description(doc: str) -> str:
    """The part before the lists of parameters, results and errors, and before examples."""
    doc = doc[:_LOOKED_AT]
    end = _SECTION.search(doc)
    return doc[: end.start()].strip() if end else doc


def parameters(doc: str) -> tuple[str, ...]:
    """Each parameter that is explained as "name: what it is", at most eight."""
    start = _SECTION.search(doc)
    found = _PARAMETER.findall(doc[start.start() : start.start() + _LOOKED_AT]) if start else []
    explained = ((name or tag, line_of(text or more)) for name, text, tag, more in found)
    return tuple(f"{name}: {text}" for name, text in explained if len(text.split()) > 2)[:8]
