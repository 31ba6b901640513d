"""What the output of a command says: did it fail, what did the tests do, what was found."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from observations.providers.offline.wording import clip, counted, is_prose, line_of, listed

_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION = re.compile(
    r"^(?:E\s+)?((?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Fault|"
    r"NotFound|DoesNotExist|Timeout|Refused|Denied)(?::[^\n]*|))\s*$",
    re.MULTILINE,
)
# A line is looked at closely only if it holds one of these.
_ALARMS = (
    *("error", "fatal", "panic", "fail", "not found", "no such", "denied", "refused", "cannot"),
    *("can't", "timed out", "invalid", "wrong", "unable", "usage:", "segmentation", "killed"),
    *("unknown", "unrecognized", "does not exist", "undefined reference", "exception", "err!"),
)
_ERROR = re.compile(
    r"(?:^|\b)[\w./*-]+: (?:[^\n:]{1,160}: )?(?:cannot|can't|invalid|unable|no such|not found|"
    r"permission denied|command not found|unrecognized|illegal|is not|does not|unknown|failed)\b.*"
    r"|^\W{0,8}(?:[\w.-]+ ){0,3}?(?:\w*error|fatal|panic|failed|failure|\w*exception)"
    r"(?:\[\w+\])?(?: \w+)?\s?[:!].*"
    r"|^[^\s:]+:\d+(?::\d+)?:? (?:fatal )?error\b.*|^make: \*\*\* .*"
    r"|^\W{0,4}(?:wrong|invalid|unknown|cannot|can't|unable|usage:|error\b|execution timed out|"
    r"killed|segmentation fault|permission denied|connection refused|no such|npm err|timed out).*"
    r"|^.*\b(?:undefined reference|connection refused|does not exist|command not found)\b.*",
    re.IGNORECASE,
)
_FRAME = re.compile(
    r"^\s*File \"([^\"\n]+)\", line (\d+)(?:, in (\S+))?\n\s+([^\n]+)"
    r"|^(\S+\.\w{1,5}):(\d+): in (\S+)\n\s+([^\n]+)",
    re.MULTILINE,
)
_FLAG = re.compile(r"\b(?:flag|ctf|htb|picoctf|[A-Z]{2,12})\{[^{}\n]{3,100}\}", re.IGNORECASE)
_PYTEST = re.compile(
    r"^=*\s*((?:\d+ (?:passed|failed|errors?|skipped|xfailed|xpassed|warnings?|deselected|rerun)"
    r"(?:, )?)+|no tests ran)\b[^\n]*$",
    re.MULTILINE,
)
_UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s\s+(OK|FAILED)([^\n]*)", re.MULTILINE)
_JEST = re.compile(r"^\s*Tests:?\s+([^\n]*\d+ (?:passed|failed|total)[^\n]*)$", re.MULTILINE)
_CARGO = re.compile(r"^test result: (ok|FAILED)\. (\d+) passed; (\d+) failed", re.MULTILINE)
_MOCHA = re.compile(r"^\s*(\d+) (passing|failing)\b", re.MULTILINE)
_TALLIED = ("passed", "failed", "Ran ", "passing", "failing", "ok ", "ok\t", "FAIL", "no tests")
_GO = re.compile(r"^(ok|FAIL|---\s+FAIL:)\s+(\S+)", re.MULTILINE)
_FAILED_TEST = re.compile(
    r"^(?:FAILED|ERROR) (\S+?)(?: - ([^\n]*))?$|^(?:FAIL|ERROR): (\w+) \(|^--- FAIL: (\w+)|"
    r"^test (\S+) \.\.\. FAILED|^\s*[✕✗×] (\S[^\n]*)$",
    re.MULTILINE,
)
_FOUND_PROBLEMS = re.compile(
    r"^(?:Found (\d+) errors?|✖ (\d+) problems?|(\d+) errors? generated)[^\n]*$", re.MULTILINE
)
_CLEAN = re.compile(
    r"^(?:All checks passed!|Success: no issues found[^\n]*|No problems found|"
    r"\d+ files? already formatted)",
    re.MULTILINE,
)
_LABEL = re.compile(r"[A-Z][\w ()-]{1,30}:")
_LABELLED = re.compile(r"^\s*([A-Za-z][\w ()./-]{1,30}?)\s*[:=]\s*(\S[^\n]*)$")
_RULER = re.compile(r"[\s=\-_*#~+|.<>%/:]*$|[-=*]{3,}.*[-=*]{3,}$")
_VARYING = re.compile(r"[0-9a-f]{4,}|\d+")
_PROGRESS = re.compile(
    r"\d{1,3}%\||it/s\]|^(?:\[x\]|ETA|Receiving|remote: |Requirement already|Collecting |"
    r"Downloading |Using cached|Running as user|WARNING: Running pip|Obtaining )|"
    r"^(?:Installing|Checking|Getting|Preparing|Building|Created|Stored)\b.*(?:status|started|wheel|directory|dependencies)"
)
_BLOB = re.compile(r"[A-Za-z0-9+/=_-]{60,}|[^\x00-\x7f]{20,}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command went. `failed`: it did not do what it was for. `headline`: its result in a
    few words, "" if it said nothing. `facts` are quotable lines, `found` what was looked for,
    `frames` where an error was raised, `names` the tests that failed or the problems found."""

    failed: bool = False
    headline: str = ""
    facts: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def error_in(output: str) -> str:
    """The line that best names an error in an output, or ""."""
    raised = _TRACEBACK in output or "\nE  " in f"\n{output}"
    if raised and (exceptions := _EXCEPTION.findall(output)):
        return clip(exceptions[-1], 200)
    return next(_errors(output), "")


def _errors(output: str) -> Iterator[str]:
    low = output.lower()
    alarms = [each for each in _ALARMS if each in low]
    if alarms:
        lines = (line[:300] for line in output.split("\n")[:400])
        alarming = (line for line in lines if any(each in line.lower() for each in alarms))
        for match in filter(None, map(_ERROR.search, alarming)):
            yield clip(match[0].strip().removeprefix("E  "), 200)


def frames_in(output: str) -> tuple[str, ...]:
    """Where an error was raised, innermost last: "path:line in function: code"."""
    found = []
    for match in _FRAME.finditer(output):
        path, line, name, code = (match[n] or match[n + 4] for n in (1, 2, 3, 4))
        found.append((path, line, name or "", line_of(code)))
    return tuple(f"{path}:{line}|{name}|{code}" for path, line, name, code in found[-4:])


def flags_in(output: str) -> tuple[str, ...]:
    """The tokens that look like what a challenge hides."""
    return tuple(dict.fromkeys(_FLAG.findall(output)))[:3] if "{" in output else ()


def telling(output: str, limit: int = 6) -> tuple[str, ...]:
    """The lines of an output that say most: no rulers, no progress, no repetitions, no blobs."""
    kept = list(dict.fromkeys(line for line in _lines(output) if not _is_noise(line)))
    if len(kept) > 60:
        kept = kept[:40] + kept[-20:]
    if len(kept) > limit:
        kept = list({_VARYING.sub("#", line): line for line in reversed(kept)}.values())[::-1]
    if len(kept) <= limit:
        return tuple(kept)
    best = sorted(range(len(kept)), key=lambda n: (-_weight(kept[n], n, len(kept)), n))[:limit]
    return tuple(kept[n] for n in sorted(best))


def leading_to(output: str, found: str, limit: int = 4) -> tuple[str, ...]:
    """The line with what was found, and what was printed right before it, that line last."""
    lines = _lines(output)
    at = next((n for n, line in enumerate(lines) if found in line), 0)
    before = [line for line in lines[max(0, at - 30) : at] if not _is_noise(line)]
    plain_ones = [line for line in before if len(line) > 3 and not _LABELLED.match(line)]
    return (*plain_ones[-limit + 1 :], *lines[at : at + 1])


def _lines(output: str) -> list[str]:
    """The lines that are not blank, each label with the value on the line after it."""
    text = output.replace("\\r", "").replace("\\n", "\n")
    joined: list[str] = []
    label = False
    lines = text.split("\n")
    if len(lines) > 240:
        lines = lines[:160] + lines[-80:]
    for line in (line_of(each[:400]) for each in lines):
        if label and line:
            joined[-1] = f"{joined[-1]} {line}"
        elif line:
            joined.append(line)
        label = bool(_LABEL.fullmatch(line))
    return joined


def tests_in(output: str) -> Outcome | None:
    """The result of a test run of any of the usual runners, or None."""
    summary = _tally(output)
    if summary is None:
        return None
    failed, headline = summary
    names = tuple(dict.fromkeys(_failing(output)))[:6]
    return Outcome(failed, headline, frames=frames_in(output) if failed else (), names=names)


def check_in(output: str) -> Outcome | None:
    """The result of a linter or type checker, or None."""
    problems = _FOUND_PROBLEMS.search(output)
    if problems:
        lines = [line for line in telling(output, 6) if line != line_of(problems[0])]
        return Outcome(True, line_of(problems[0]).rstrip("."), names=tuple(lines[:5]))
    clean = _CLEAN.search(output)
    return Outcome(headline=line_of(clean[0]).rstrip("!.")) if clean else None


def _tally(output: str) -> tuple[bool, str] | None:
    if not any(word in output for word in _TALLIED):
        return None
    if match := _UNITTEST.search(output):
        text = f"{counted(int(match[1][:9]), 'test')} ran: {match[2]}{match[3].rstrip()}"
        return match[2] != "OK", text
    if match := _CARGO.search(output):
        return match[1] != "ok", f"{match[2]} passed, {match[3]} failed"
    if match := _JEST.search(output):
        return "failed" in match[1], line_of(match[1])
    if found := [*_PYTEST.finditer(output)]:
        text = line_of(found[-1][1]).rstrip(", ")
        return bool(re.search(r"failed|error", text)), text
    if counts := _MOCHA.findall(output):
        text = ", ".join(f"{number} {word}" for number, word in counts)
        return "failing" in text, text
    if packages := _GO.findall(output):
        bad = [name for word, name in packages if word != "ok"]
        good = counted(len(packages) - len(bad), "package")
        return bool(bad), f"{listed(bad)} failed" if bad else f"{good} ok"
    return None


def _failing(output: str) -> Iterator[str]:
    for groups in _FAILED_TEST.findall(output)[:20]:
        name = next(filter(None, (groups[0], *groups[2:])), "")
        yield f"{name} ({clip(groups[1], 120)})" if groups[1] else name


def _is_noise(line: str) -> bool:
    return bool(_RULER.match(line) or _PROGRESS.search(line[:120]) or _BLOB.fullmatch(line))


def _weight(line: str, number: int, count: int) -> float:
    """How much a line says: words and labels for it, length and being in the middle against it."""
    score = -1.0 if line.count("|") > 3 else 0.0
    score += 2.0 if is_prose(line, 3) else 0.0
    score += 1.5 if _LABELLED.match(line) else 0.0
    score += 2.0 if _ERROR.match(line) else 0.0
    score += 1.0 if number == 0 or number >= count - 2 else 0.0
    score += 1.0 if '"' in line or "'" in line else 0.0
    return score - (1.5 if len(line) > 160 else 0.0) - number / count
