"""What `claudemem setup` does next, and what it then writes: decisions about the queue. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from claudemem import storechoice
from claudemem.kept import ENGINE, HOST, MODE, PORT, STORE, URL, Kept
from claudemem.storechoice import CELERY, DATABASE, DOCKER, ENGINES, EXTERNAL, MANAGED, Asked

BINARY = "CLAUDE_MEM_REDIS_BINARY"

Changes = dict[str, str | None]


class Step(Enum):
    """What to do next."""

    KEEP = auto()
    USE_DATABASE = auto()
    USE_URL = auto()
    USE_DOCKER = auto()
    MANAGE = auto()
    INSTALL = auto()
    ASK = auto()
    REFUSE = auto()


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: an engine, a store, or neither. `may_ask`: somebody can answer."""

    queue: str = ""
    url: str = ""
    docker: bool = False
    managed: bool = False
    install: bool = False
    may_ask: bool = False

    @property
    def names_store(self) -> bool:
        """Whether it says which store, or that there is none."""
        return any(self._named)

    @property
    def contradicts_itself(self) -> bool:
        """Whether it says more than one of these."""
        return sum(self._named) > 1

    @property
    def _named(self) -> tuple[bool, ...]:
        managed = self.managed or self.install
        return (self.url != "", self.docker, managed, self.queue == DATABASE)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the settings file says; "" for what it does not say."""

    engine: str = ""
    mode: str = ""
    url: str = ""
    binary: str = ""

    @property
    def is_choice(self) -> bool:
        """Whether a store was chosen, or that there is none."""
        return self.mode != "" or self.engine == DATABASE


def standing(kept: Kept) -> Standing:
    """What was chosen before."""
    texts = {name: each.text for name, each in kept.said.items() if each.text}
    engine = texts.get(ENGINE, "").lower()
    port = texts.get(PORT, "")
    asked = Asked(
        mode=texts.get(MODE, "").lower(),
        url=texts.get(URL, ""),
        host=texts.get(HOST, ""),
        port=int(port) if port.isascii() and port.isdigit() else 0,
    )
    named = asked.mode or asked.url or asked.host or asked.port
    mode = storechoice.mode(asked) if named else ""
    url = storechoice.external_url(asked)
    return Standing(ENGINES.get(engine, engine), mode, url, texts.get(BINARY, ""))


def decide(wish: Wish, before: Standing, *, server: bool) -> Step:
    """The next step; `server`: whether a Valkey or Redis program is on this machine."""
    if wish.queue == DATABASE:
        return Step.USE_DATABASE
    if wish.url:
        return Step.USE_URL
    if wish.docker:
        return Step.USE_DOCKER
    if _stands(wish, before, server):
        return Step.KEEP
    if server:
        return Step.MANAGE
    if wish.install:
        return Step.INSTALL
    return Step.ASK if wish.may_ask else Step.REFUSE


def changes(step: Step, wish: Wish, *, binary: str = "") -> Changes:
    """What to write for a step that was done. `binary` is a server's path, if it must be kept."""
    if step is Step.USE_DATABASE:
        return {ENGINE: DATABASE}
    if step is Step.KEEP:
        return {ENGINE: wish.queue} if wish.queue else {}
    chosen: Changes = {ENGINE: CELERY, URL: None, HOST: None, PORT: None}
    if step is Step.USE_URL:
        return {**chosen, MODE: EXTERNAL, URL: wish.url}
    if step is Step.USE_DOCKER:
        return {**chosen, MODE: DOCKER}
    return {**chosen, MODE: MANAGED, BINARY: binary or None}


def held(before: Standing) -> Changes:
    """What was chosen before, as it would be written."""
    engine: Changes = {ENGINE: before.engine} if before.engine else {}
    return {**engine, MODE: before.mode, URL: before.url or None} if before.mode else engine


def shadowed(environment: Mapping[str, str], written: Changes) -> list[str]:
    """The variables of the environment by which what was written does not hold."""
    given = {name: value.strip() for name, value in environment.items() if value.strip()}
    engine = given.get(ENGINE, "").lower()
    wrong = [ENGINE] if engine and ENGINES.get(engine, engine) != written.get(ENGINE) else []
    wrong = wrong if ENGINE in written else []
    if MODE in written:
        wrong += [name for name in STORE if name in given and given[name] != written.get(name)]
    return wrong


def _stands(wish: Wish, before: Standing, server: bool) -> bool:
    """Whether what was chosen before can stay as it is."""
    if wish.managed or wish.install:
        return False
    if not wish.queue and before.engine == DATABASE:
        return True
    # What was chosen to be managed may have been uninstalled since.
    return before.mode != "" and (before.mode != MANAGED or server)
