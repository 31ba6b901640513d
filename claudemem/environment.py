"""Settings read from variables, with a file below them, and every fault in either. Pure.

A value that cannot be used is noted, and the default stands in for it, so that one look finds all
the faults. No sentence repeats a value: what was put into a wrong variable may be a secret. A
fault of the file names it and the line; one that names neither is the environment's.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from claudemem.kept import Kept

OURS = "CLAUDE_MEM_"
# So alike are a name and the setting that was meant by it, of 1.
_ALIKE = 0.8
# Variables of clients and programs that share a machine with this server.
ELSEWHERE = """
ANTHROPIC_API_KEY API_TIMEOUT_MS CONTAINER_MODE CREDENTIALS_FILE GEMINI_API_KEY
HEALTH_TIMEOUT_MS HOOK_FAIL_LOUD_THRESHOLD HOOK_READINESS_TIMEOUT_MS INTERNAL MANAGED MODEL
PROVIDER QUEUE_ENCRYPT_PAYLOADS QUEUE_REDIS_PREFIX
SEMANTIC_INJECT SERVER_ADMIN SERVER_API_KEY
SERVER_BETA_API_KEY SERVER_BETA_PROJECT_ID SERVER_BETA_URL SERVER_PROJECT_ID SERVER_URL
WORKER_HOST WORKER_PORT
"""
_FAMILIES = (f"{OURS}TEST_", f"{OURS}CONTEXT_")
# What a whole number may be at most: PostgreSQL takes no more milliseconds.
_LARGEST = 2**31 - 1
# Seconds, and so eleven days: SQLite and timers count longer times wrong.
_LONGEST = 1e6
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


class Environment:
    """What `given` says, one method a kind of value. An empty value counts as one not given."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._given = given
        self._kept = Kept()
        self._read: set[str] = set()

    def beneath(self, kept: Kept) -> None:
        """Let what a file says hold where no variable does, and note the faults of the file."""
        self._kept = kept.below([name for name, value in self._given.items() if value.strip()])
        self.faults += kept.faults

    def text(
        self, name: str, default: str = "", *, check: Callable[[str], str] = lambda _: ""
    ) -> str:
        """A text; `check` says what is wrong with it and what to do, or ""."""
        value = self._value(name)
        if value and (wrong := check(value)):
            self._refuse(name, wrong)
            return default
        return value or default

    def whole(self, name: str, default: int, *, least: int = 1, most: int = _LARGEST) -> int:
        """A whole number in the range."""
        number: int | None
        try:
            number = int(self._value(name) or default)
        except ValueError:
            number = None
        if number is not None and least <= number <= most:
            return number
        self._refuse(name, f"must be a whole number from {least} to {most}")
        return default

    def number(self, name: str, default: float, *, zero: bool = False) -> float:
        """A positive number, a million at most; zero too, where that has a meaning."""
        try:
            number = float(self._value(name) or default)
        except ValueError:
            number = -1.0
        if 0 < number <= _LONGEST or (zero and number == 0):
            return number
        least = "from 0" if zero else "above 0"
        self._refuse(name, f"must be a number {least}, and {_LONGEST:.0f} at most")
        return default

    def flag(self, name: str, default: bool = False) -> bool:
        """Whether it is switched on."""
        value = self._value(name).lower()
        if value and value not in _YES | _NO:
            self._refuse(name, "must be 1 or 0, or not be set")
        return default if value not in _YES | _NO else value in _YES

    def choice(self, name: str, default: str, *among: str) -> str:
        """One of a few words, in capitals or not."""
        words = {word.lower(): word for word in among}
        value = self._value(name).lower()
        if value and value not in words:
            self._refuse(name, f"must be one of: {', '.join(among)}")
        return words.get(value, default)

    def words(
        self, name: str, default: list[str], *, check: Callable[[str], str] = lambda _: ""
    ) -> list[str]:
        """Words with commas between them; `check` looks at each."""
        words = [word.strip() for word in self._value(name).split(",")]
        wrong = {said for word in words if word and (said := check(word))}
        for said in sorted(wrong):
            self._refuse(name, said)
        return [word for word in words if word] or default

    def url(self, name: str, default: str = "", *, schemes: tuple[str, ...]) -> str:
        """A URL with a host, of one of the schemes."""
        shape = " or ".join(f"{scheme}://" for scheme in schemes)

        def check(value: str) -> str:
            wrong = value.partition("://")[0] not in schemes or not _has_host(value)
            return f"must be a URL that begins with {shape} and names a host" if wrong else ""

        return self.text(name, default, check=check)

    @property
    def known(self) -> frozenset[str]:
        """The names that were asked for."""
        return frozenset(self._read)

    def given(self, name: str) -> bool:
        """Whether it has a value, be it a good one or not."""
        return bool(self._value(name))

    def refuse(self, faults: Iterable[str]) -> None:
        """Note faults that are in no one variable alone."""
        self.faults += faults

    def strangers(self) -> tuple[str, ...]:
        """A sentence about each variable that nobody reads and that looks like a setting."""
        return tuple(self._strangers())

    def verdict(self) -> str:
        """All faults in one message; empty where there are none."""
        if len(self.faults) < 2:
            return "".join(self.faults)
        lines = "".join(f"\n- {fault}" for fault in self.faults)
        return f"{len(self.faults)} settings must be mended:{lines}"

    def _value(self, name: str) -> str:
        self._read.add(name)
        if value := self._given.get(name, "").strip():
            return value
        said = self._kept.said.get(name)
        if said and said.wrong:
            self._refuse(name, said.wrong)
        return said.text if said else ""

    def _refuse(self, name: str, wrong: str) -> None:
        given = self._given.get(name, "").strip()
        where = "" if given or name not in self._kept.said else f" ({self._kept.where(name)})"
        if (fault := f"{name}{where} {wrong}") not in self.faults:
            self.faults.append(fault)

    def _strangers(self) -> Iterator[str]:
        from difflib import get_close_matches  # hardly ever needed

        known = {name.removeprefix(OURS) for name in self._read} | set(ELSEWHERE.split())
        ours = (name for name in sorted(self._given) if name.startswith(OURS))
        for name in (name.removeprefix(OURS) for name in ours if not name.startswith(_FAMILIES)):
            if name not in known and (meant := get_close_matches(name, known, 1, _ALIKE)):
                yield (
                    f"{OURS}{name} is no setting: {OURS}{meant[0]} may be meant; rename or unset it"
                )


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
