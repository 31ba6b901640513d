"""What is moved: the tables of all models, each after those that it points to."""

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from django.apps import apps
from django.db.models import AutoField, BigAutoField, Model

from claudemem.move.values import KINDS, Kind

# Why a table of the target has nothing of the source. All others are of models, and are moved.
LEFT_OUT: Final = {
    "django_migrations": "the target has its own",
    "observation_index": "the search index, which the target makes itself",
}
# What migrating writes: a target with rows here alone is empty.
BOOKKEEPING: Final = frozenset({"django_migrations", "django_content_type", "auth_permission"})

_KINDS: Final = {
    **dict.fromkeys(("CharField", "TextField", "SlugField", "EmailField", "URLField"), "text"),
    **dict.fromkeys(("AutoField", "BigAutoField", "IntegerField", "BigIntegerField"), "whole"),
    **dict.fromkeys(("SmallIntegerField", "PositiveSmallIntegerField"), "whole"),
    **dict.fromkeys(("PositiveIntegerField", "PositiveBigIntegerField"), "whole"),
    "FloatField": "real",
    "BooleanField": "truth",
    "DateTimeField": "time",
    "DateField": "day",
    "JSONField": "json",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, the sort of its values, and how many characters it may have, if it is limited."""

    name: str
    sort: str
    longest: int | None

    @property
    def kind(self) -> Kind:
        """How its values travel."""
        return KINDS[self.sort]


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns, the first of which is its key; `serial` if it numbers its rows."""

    name: str
    columns: tuple[Column, ...]
    serial: bool

    @property
    def key(self) -> Column:
        """What its rows are known and ordered by."""
        return self.columns[0]


def tables() -> list[Table]:
    """Every table of every model. Raises NotImplementedError for a field of an unknown sort."""
    models = [m for m in apps.get_models(include_auto_created=True) if _has_table(m)]
    graph = {model: set(_pointed_to(model)) for model in models}
    return [_table(model) for model in TopologicalSorter(graph).static_order()]


def _has_table(model: type[Model]) -> bool:
    return bool(model._meta.managed and not model._meta.proxy and not model._meta.swapped)


def _pointed_to(model: type[Model]) -> Iterator[Any]:
    for field in model._meta.local_concrete_fields:
        if field.remote_field and field.remote_field.model is not model:
            yield field.remote_field.model


def _table(model: type[Model]) -> Table:
    fields = sorted(model._meta.local_concrete_fields, key=lambda field: not field.primary_key)
    serial = isinstance(fields[0], AutoField | BigAutoField)
    return Table(model._meta.db_table, tuple(_column(field) for field in fields), serial)


def _column(field: Any) -> Column:
    valued = field
    while valued.remote_field:
        valued = valued.target_field
    sort = _KINDS.get(valued.get_internal_type())
    if sort is None:
        raise NotImplementedError(f"{field} is of a sort that cannot be moved yet: add it")
    return Column(field.column, sort, valued.max_length if sort == "text" else None)
