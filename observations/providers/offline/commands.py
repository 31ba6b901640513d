"""What a shell command is for: its main program, its family, the files that it names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from observations.providers.offline import paths
from observations.providers.offline.wording import clip, shortened, words_of

_HEREDOC = re.compile(
    r"<<-?\s*(['\"]?)(\w+)\1[^\n]*\n(.*?)(?:^\s*\2\s*$|\Z)", re.DOTALL | re.MULTILINE
)
_SIGN = re.compile(
    r"'[^']*'?|\"(?:\\.|[^\"\\])*\"?|\\.|&&|\|\||[;|\n&]|>>?|<|[^\s'\"\\;|&<>]+|\s", re.DOTALL
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_TAIL = re.compile(
    r"(?:\s*2>&1|\s*[12]?>\s*/dev/null|\s*\|\s*(?:head|tail|cat|less|tee)\b[^|]*)+\s*$"
)
_INTO = "\0>"  # where a part's output goes, among its words
_PLUMBING = re.compile(r"\d?>&\d|&?[12]?>>?\s*/dev/null")
_SUBSTITUTION = re.compile(r"[sy]/.*/.*/\w*$")
_PATH = re.compile(r"^[\w.~@/+-]*[\w-]\.\w{1,8}$|^[\w.~@+-]*(?:/[\w.@+*-]+)+/?$")

_FAMILIES = {
    "test": "pytest py.test tox nox jest vitest mocha rspec phpunit ctest ava unittest",
    "check": "ruff mypy flake8 pyright eslint tsc pylint black prettier isort shellcheck bandit "
    "clippy py_compile compileall pre-commit lint-imports golangci-lint rubocop",
    "build": "make cmake ninja mvn gradle gcc g++ clang cc docker podman webpack vite msbuild",
    "install": "apt apt-get brew dnf yum pacman apk conda gem",
    "git": "git",
    "list": "ls pwd tree which whoami date true cd env sleep clear history type mkdir touch chmod "
    "export source echo printf set unset alias stat hostname uname id du df ps kill jobs",
    "read": "cat head tail less more bat nl sed",
    "search": "grep rg ag ack egrep fgrep find fd locate",
    "file": "rm mv cp ln rmdir",
    "fetch": "curl wget http https gh",
    "run": "python python2 python3 node deno bun ruby perl php java bash sh zsh Rscript julia lua "
    "sage tsx ts-node",
    "submit": "submit",
}
_FAMILY_OF = {name: family for family, names in _FAMILIES.items() for name in names.split()}
_SUBCOMMANDS = {
    "test": "test t check-test",
    "build": "build compile bundle package",
    "install": "install i add sync ci get ensure",
    "check": "lint check vet clippy typecheck type-check fmt format",
    "run": "run start exec",
}
_SUBFAMILY_OF = {name: family for family, names in _SUBCOMMANDS.items() for name in names.split()}
_TOOLBOXES = words_of(
    "npm yarn pnpm bun go cargo dotnet mvn gradle deno pip pip3 pipenv poetry uv make "
    "swift mix composer bundle rake just task invoke manage.py"
)
_WRAPPERS = words_of("sudo time nohup nice env command exec timeout xargs npx bunx pipx uvx stdbuf")
_FILTERS = words_of("head tail grep egrep sort uniq wc tee cut sed awk tr less cat column jq")
_RANK = {"test": 0, "submit": 0, "install": 2, "search": 3, "read": 3, "file": 3, "list": 4}


@dataclass(frozen=True, slots=True)
class Part:
    """One simple command: its words, quotes taken off, and where its output goes ("" : shown)."""

    words: tuple[str, ...]
    piped: bool = False
    target: str = ""

    @property
    def program(self) -> str:
        """The name of its program, without folders."""
        return self.words[0].rsplit("/", 1)[-1] if self.words else ""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line. `main` is the part that it is about; `written` what a here-document holds."""

    text: str
    parts: tuple[Part, ...]
    main: Part
    family: str
    written: str = ""

    @property
    def program(self) -> str:
        """The main part's program."""
        return self.main.program

    @property
    def shown(self) -> str:
        """The command for a title: its first line, without its plumbing and long words."""
        return shown(self.text)

    @property
    def files(self) -> tuple[str, ...]:
        """The main part's words that look like paths."""
        words = (w for w in self.main.words[1:] if _PATH.match(w) and not _SUBSTITUTION.match(w))
        return tuple(dict.fromkeys(words))[:6]


@lru_cache(maxsize=256)
def shown(text: str) -> str:
    """A command line cut down to what a reader recognises it by."""
    line = text.strip().split("\n", 1)[0][:600]
    line = re.sub(r"^cd\s+\S+\s*(?:&&|;)\s*", "", line)
    line = _TAIL.sub("", line)
    return clip(shortened(line), 64)


def command_of(text: str) -> Command:
    """The command in a line, or in several; never fails, whatever the text."""
    text = text[:6000].replace("\\\n", " ").strip()
    heredoc = _HEREDOC.search(text)
    bare = f"{text[: heredoc.start()]}{text[heredoc.end() :]}" if heredoc else text
    found = map(_unwrapped, _parts(_PLUMBING.sub(" ", bare[:3000])))
    parts = tuple(part for part in found if part.words)
    main = _main(parts)
    return Command(text, parts, main, _family(main), heredoc[3] if heredoc else "")


def _parts(text: str) -> list[Part]:
    parts: list[Part] = []
    signs: list[str] = []
    piped = False
    for sign in [*_SIGN.findall(text), ";"]:
        if sign in ("&&", "||", ";", "|", "\n"):
            parts.append(_part(signs, piped))
            signs, piped = [], sign == "|"
        else:
            signs.append(sign)
    return parts


def _part(signs: Sequence[str], piped: bool) -> Part:
    words = [""]
    for sign in signs:
        if sign in (">", ">>"):
            words += [_INTO, ""]
        elif sign.isspace() or sign in ("&", "<"):
            words.append("")
        else:
            words[-1] += _unquoted(sign)
    words = [word for word in words if word]
    at = words.index(_INTO) if _INTO in words else len(words)
    target = "".join(words[at + 1 : at + 2])
    return Part((*words[:at], *words[at + 2 :]), piped, target)


def _unquoted(sign: str) -> str:
    if sign[:1] in ("'", '"') and len(sign) > 1:
        return sign[1:-1] if sign[-1] == sign[0] else sign[1:]
    return sign[1:] if sign[:1] == "\\" else sign


def _unwrapped(part: Part) -> Part:
    """The part without assignments and programs that only run others."""
    words = list(part.words)
    while words and (_ASSIGNMENT.match(words[0]) or words[0] in _WRAPPERS):
        wrapper = words.pop(0)
        while words and wrapper in ("timeout", "nice", "stdbuf") and re.match(r"-|\d", words[0]):
            words.pop(0)
    if (
        len(words) > 2
        and words[0] in ("uv", "poetry", "pipenv", "hatch", "pdm")
        and words[1] == "run"
    ):
        words = [w for n, w in enumerate(words[2:]) if n or not w.startswith("-")] or words
    if (
        len(words) > 2
        and re.match(r"(?:py|python[\d.]*)$", words[0].rsplit("/", 1)[-1])
        and words[1] == "-m"
    ):
        words = words[2:]
    return Part(tuple(words), part.piped, part.target)


def _main(parts: Sequence[Part]) -> Part:
    """The part that matters most, the first of equals; filters in a pipe do not count."""
    real = [part for part in parts if not (part.piped and part.program in _FILTERS)]
    ranked = sorted(real or parts, key=lambda part: _RANK.get(_family(part), 1))
    return ranked[0] if ranked else Part(())


def _family(part: Part) -> str:
    program = part.program
    words = part.words
    if program in _TOOLBOXES and len(words) > 1:
        rest = [w for w in words[1:4] if not w.startswith("-")]
        found = (_SUBFAMILY_OF.get(w.split(":")[0]) for w in rest)
        family = next(filter(None, found), "")
        if family == "run" and len(rest) > 1:
            return _SUBFAMILY_OF.get(rest[1].split(":")[0], "run")
        if family:
            return family
    if re.match(r"(?:run[-_]?)?tests?(?:\.\w+)?$", program):
        return "test"
    if program in ("sed", "perl") and any(w.startswith("-i") for w in words[1:3]):
        return "edit"
    known = _FAMILY_OF.get(program) or ("run" if program.startswith("python") else "")
    return known or ("run" if words and words[0].startswith(("./", "../")) else "other")


def subject(command: Command, cwd: str = "") -> str:
    """What the main part works on: its first path, from the project's root, or ""."""
    return next((name for each in command.files if (name := paths.shown(each, cwd))), "")
