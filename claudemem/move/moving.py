"""The steps of a move, in their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from django.db.migrations.loader import MigrationLoader

from claudemem.move.errors import MoveFailed
from claudemem.move.source import Fault, Source
from claudemem.move.tables import Table, tables
from claudemem.move.target import Target
from claudemem.move.values import digest

# What step it is, of which table, and how many rows of how many are done.
Told = Callable[[str, str, int, int], None]

COPYING: Final = "copying"
VERIFYING: Final = "verifying"
_TELL_EVERY: Final = 500
_FAULTS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Check:
    """What was counted and hashed of a table on both sides; `differs` is the first such row's key.

    A hash is the SHA-256 of its rows' in the order of their keys.
    """

    table: str
    rows: int
    rows_found: int
    sha256: str
    sha256_found: str
    differs: str

    @property
    def same(self) -> bool:
        """Whether the target has what the source has."""
        return (self.rows, self.sha256) == (self.rows_found, self.sha256_found)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is moved, and what is known before: rows by table, and values that do not fit."""

    tables: tuple[Table, ...]
    counts: dict[str, int]
    faults: tuple[Fault, ...]
    strangers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tell:
    """Tells now and then how many rows have gone by."""

    told: Told
    step: str
    table: str
    total: int

    def each(self, rows: Iterator[Any]) -> Iterator[Any]:
        """These rows."""
        done = 0
        for done, row in enumerate(rows, 1):
            yield row
            if done % _TELL_EVERY == 0:
                self.told(self.step, self.table, done, self.total)
        self.told(self.step, self.table, done, self.total)


class Differs(MoveFailed):
    """What came to the target is not what was sent: it was taken back. `checks` says where."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self.checks = checks
        first = next(check for check in checks if not check.same)
        super().__init__(
            f"the target has something else in {first.table}, first in the row {first.differs}: "
            "nothing was moved; look for a trigger or a rule in the target, or report it"
        )


def plan(source: Source) -> Plan:
    """Look through the source. Raises MoveFailed if its tables are not those of this version."""
    _refuse_other_versions("the source", source.migrations())
    moved = tuple(tables())
    return Plan(
        moved,
        {table.name: source.count(table) for table in moved},
        tuple(fault for table in moved for fault in source.faults(table)),
        tuple(source.strangers(moved)),
    )


def refuse_faults(faults: Sequence[Fault], path: Path, *, replace: bool) -> None:
    """Raise MoveFailed for values that PostgreSQL would not take, and that are not replaced."""
    left = [fault for fault in faults if not (replace and fault.replaceable)]
    if not left:
        return
    shown = [f"{f.table}.{f.column} of {f.key} {f.what}" for f in left[:_FAULTS_SHOWN]]
    more = f", and {len(left) - len(shown)} more" if len(left) > len(shown) else ""
    remedy = (
        "--replace-unstorable puts U+FFFD in the place of such characters"
        if all(fault.replaceable for fault in left)
        else f"change them in {path}"
    )
    raise MoveFailed(f"PostgreSQL cannot hold all values: {'; '.join(shown)}{more}: {remedy}")


def move(source: Source, target: Target, todo: Plan, *, replace: bool, told: Told) -> list[Check]:
    """Copy everything, verify it, and commit; what was verified. Raises MoveFailed or Differs.

    With `replace` each character that PostgreSQL cannot store becomes U+FFFD.
    """
    _refuse_other_versions("the target", target.migrate())

    def rows(table: Table) -> Iterator[Sequence[Any]]:
        return _storable(table, source.rows(table), replace=replace)

    with target.filling(todo.tables):
        for table in todo.tables:
            tell = _Tell(told, COPYING, table.name, todo.counts[table.name])
            target.write(table, tell.each(_sent(table, rows(table))))
        checks = []
        for table in todo.tables:
            tell = _Tell(told, VERIFYING, table.name, todo.counts[table.name])
            checks.append(_checked(table, rows(table), target.rows(table), tell))
        if not all(check.same for check in checks):
            raise Differs(checks)
        for table in todo.tables:
            if table.serial:
                target.number_from(table, source.last_number(table))
        target.analyse(todo.tables)
        if source.changed():
            raise MoveFailed(
                f"something wrote to {source.path} while it was moved: nothing was moved; stop "
                "every process that uses it, and move again"
            )
    return checks


def _refuse_other_versions(which: str, applied: set[tuple[str, str]]) -> None:
    known = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    apps = {app for app, _ in known}
    if missing := known - applied:
        raise MoveFailed(
            f"{which} lacks {len(missing)} migrations: run `claudemem migrate` for it first, "
            "without CLAUDE_MEM_SERVER_DATABASE_URL where it is the SQLite file"
        )
    if any(app in apps for app, _ in applied - known):
        raise MoveFailed(f"{which} was written by a newer version of claudemem: use that one")


@dataclass(slots=True)
class _Side:
    """One of two tables that are read beside each other."""

    meanings: Sequence[Callable[[Any], Any]]
    rows: int = 0
    hashed: Any = field(default_factory=sha256)

    def take(self, row: Sequence[Any] | None) -> bytes:
        """The hash of its next row; of nothing, if there is none any more."""
        if row is None:
            return b""
        pairs = zip(self.meanings, row, strict=True)
        hashed = digest([None if value is None else meaning(value) for meaning, value in pairs])
        self.rows += 1
        self.hashed.update(hashed)
        return hashed


def _checked(
    table: Table, sent: Iterator[Sequence[Any]], found: Iterator[Sequence[Any]], tell: _Tell
) -> Check:
    """Read the table on both sides, row beside row."""
    before = _Side([column.kind.sent for column in table.columns])
    after = _Side([column.kind.found for column in table.columns])
    differs = ""
    for was, now in tell.each(zip_longest(sent, found)):
        if before.take(was) != after.take(now) and not differs:
            differs = str((was or now)[0])
    hashes = before.hashed.hexdigest(), after.hashed.hexdigest()
    return Check(table.name, before.rows, after.rows, *hashes, differs)


def _storable(
    table: Table, rows: Iterator[Sequence[Any]], *, replace: bool
) -> Iterator[Sequence[Any]]:
    return _converted([column.kind.storable for column in table.columns], rows) if replace else rows


def _sent(table: Table, rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    try:
        yield from _converted([column.kind.send for column in table.columns], rows)
    except (TypeError, ValueError) as error:
        raise MoveFailed(
            f"a row of {table.name} holds what is not of its column's sort ({error}): nothing was "
            "moved; mend it in the source"
        ) from error


def _converted(
    by: Sequence[Callable[[Any], Any]], rows: Iterator[Sequence[Any]]
) -> Iterator[Sequence[Any]]:
    for row in rows:
        yield [None if value is None else make(value)
               for make, value in zip(by, row, strict=True)]  # fmt: skip
