"""Why a managed server did not start, by what it wrote into its log. Pure."""

import re
from dataclasses import dataclass

# What every server writes before it reads its data, and once it has, from Redis 6.2 to Valkey 9.1.
# In between there are dozens of sentences about what is wrong with them, others in each version.
_BEGAN, _READY = "Server initialized", "Ready to accept connections"
_ASKED = ("Received SIG", "User requested shutdown")
_ROOM = "make room on the disk of {home} and start again"
_LEAVE = (
    "make {home} writable for the user who runs claudemem, or name another data directory in "
    "CLAUDE_MEM_DATA_DIR"
)
# What the system says, and what to do.
_SYSTEM = {
    "No space left on device": _ROOM,
    "Disk quota exceeded": _ROOM,
    "Read-only file system": _LEAVE,
    "Permission denied": _LEAVE,
    "Operation not permitted": _LEAVE,
    "Cannot allocate memory": "end other programs, or give the machine more memory",
    "Input/output error": "look after the disk of {home}: the system reports faults of it",
    "Too many open files": "raise the limit of open files (`ulimit -n`) and start again",
}
# 1234:M 01 Jan 2031 00:00:00.000 # Sentence
_WARNING = re.compile(r"\d+:[A-Z] .*?\d\.\d{3} # (.*)")


@dataclass(frozen=True, slots=True)
class Ending:
    """`damaged`: it could not read its data. Else `advice` is what to do, "" if nobody knows."""

    last: str
    damaged: bool
    advice: str


def judge(log: str, home: str) -> Ending:
    """What the lines say that a server wrote between its start and its end.

    `home` is its directory, for the advice. Its data are damaged if it ended while it read them,
    unless the system refused it something or it was told to end.
    """
    # Before it began it may have been refused what it can do without, such as many open files.
    advice = advice_on(log.partition(_BEGAN)[2] or log, home)
    reading = _BEGAN in log and _READY not in log and not any(sign in log for sign in _ASKED)
    return Ending(_last(log), reading and not advice, advice)


def advice_on(words: str, home: str) -> str:
    """What to do about an error of the system that is named in `words`, "" if there is none."""
    found = next((advice for sign, advice in _SYSTEM.items() if sign in words), "")
    return found.format(home=home)


def _last(log: str) -> str:
    """The last line of a warning, or of anything, without process number and time."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    warnings = [found[1] for line in lines if (found := _WARNING.match(line))]
    return (warnings or lines or [""])[-1]
